"""Depth of the surfaces that several photos show, by plane sweep stereo. Coarse and quick: splats start from it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated

import cv2
import numpy as np
import torch
from torch import Tensor

from recon3d.core.cameras import fitted_size, resize_map
from recon3d.core.geometry import Geometry
from recon3d.core.jit import run
from recon3d.core.views import Views
from recon3d.reconstruction.seeding import plane_sweep_kernels as kernels
from recon3d.reconstruction.seeding import plane_sweep_tensors as tensors

SIZE = 256  # longest side of the pictures that are compared, pixels: see docs/measurements.md, Scenes
PLANES = 128  # inverse depths
NEIGHBOURS = 4  # pictures that each one is compared with
REFERENCES = 48  # pictures at most that get a depth map: about a second each
SMALL, LARGE, CONTRAST = 0.02, 0.5, 0.04  # of costs from 0 to 1, and of grey values: see smooth_rows
# Of the two best neighbours, the better one's share of the cost: what stands before a far surface hides it from many. On
# fountain-P11 with photo 4 held out 0.5 gives 28.5 dB, 0.7 28.9 and 1.0 28.6; with 0 and 8 held out 23.1, 23.7 and 21.4.
BEST = 0.7
ALONE = 0.05  # more for a point that one neighbour shows
UNKNOWN = 0.5  # no correlation: the cost of a point that no neighbour shows
AGREEING = 1  # other depth maps that must have a point
AGREEMENT = 0.03  # relative difference of depths that two pictures may have in one point
SPECKLE = 178  # pixels: a smaller patch of like depths is noise
WORST_COST = 0.3  # of a pixel that is believed: a correlation above 0.4
RANGE = (0.2, 1.2)  # of the least and the greatest inverse depth of the sparse points: what is swept


@dataclass(frozen=True)
class Small:
    """A picture for matching."""

    grey: Annotated[np.ndarray, "H W"]  # float32, 0 to 1
    K: Annotated[np.ndarray, "3 3"]
    camera_from_world: Annotated[np.ndarray, "4 4"]


def swept(
    views: Views, geometry: Geometry, device: str = "cpu"
) -> tuple[list[Small], dict[int, Annotated[np.ndarray, "H W"]]]:
    """Small pictures of all views, and z-depth of the views that have neighbours (at most REFERENCES of them), 0 where no
    other depth map agrees."""
    small = [small_picture(views, geometry, i) for i in range(len(views))]
    near = neighbours(geometry, REFERENCES)
    references = [i for i in range(len(views)) if near[i]]
    depths = {i: depth_map(i, near[i], small, inverse_depths(geometry, i), device) for i in references}
    return small, {i: depths[i] * (agreeing(i, depths, small) >= AGREEING) for i in references}


def small_picture(views: Views, geometry: Geometry, i: int) -> Small:
    height, width = geometry.cameras.size(i)
    size = fitted_size(height, width, SIZE)
    grey = (views.rgb(i) * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(0)
    grey = torch.nn.functional.interpolate(grey[None, None], size, mode="bilinear", antialias=True)[0, 0]
    K = resize_map((height, width), size).numpy() @ geometry.cameras.K[i].numpy()
    return Small(grey.numpy(), K, geometry.cameras.camera_from_world[i].numpy())


def neighbours(geometry: Geometry, most: int | None = None) -> list[list[int]]:
    """For every view the ones that share most points with it, of those seen under a useful angle.

    `most`: of the views that have some, only so many get theirs, evenly spread; the others' lists are empty.
    """
    tracks, count = geometry.tracks, len(geometry)
    found: list[list[int]] = [[] for _ in range(count)]
    if tracks is None:
        return found
    sees = torch.zeros(count, len(geometry.points), dtype=torch.bool)
    sees[tracks.view, tracks.point] = True
    common = sees.float() @ sees.float().T
    centers = geometry.cameras.centers_in_world

    def score(i: int, j: int) -> float:
        if i == j or common[i, j] < 8:
            return 0.0
        points = geometry.points[sees[i] & sees[j]]
        one, other = (torch.nn.functional.normalize(points - centers[k], dim=-1) for k in (i, j))
        angles = torch.rad2deg(torch.acos((one * other).sum(-1).clamp(-1, 1)))
        # Under 4 degrees depth is uncertain, over 40 the two windows show different things.
        useful = (angles / 4).clamp(max=1) * (40 / angles.clamp_min(1e-6)).clamp(max=1) ** 2
        return float(useful.sum())

    references = [i for i in range(count) if any(score(i, j) > 0 for j in range(count))]
    if most is not None and len(references) > most:
        references = [references[i] for i in np.linspace(0, len(references) - 1, most).round().astype(int)]
    for i in references:
        scores = [score(i, j) for j in range(count)]
        best = sorted(range(count), key=lambda j, scores=scores: -scores[j])[:NEIGHBOURS]
        found[i] = [j for j in best if scores[j] > 0]
    return found


def depth_map(
    i: int, near: list[int], small: list[Small], inverse: Annotated[np.ndarray, "D"], device: str
) -> Annotated[np.ndarray, "H W"]:
    """z-depth of every pixel of picture i, one of the inverse ones, 0 where no neighbour supports it."""
    sweep = sweep_on_a_cpu if device == "cpu" else partial(sweep_on_device, device=device)
    chosen, costs = sweep(small[i], [(small[j], *seen_from(small[i], small[j])) for j in near], inverse)
    plane = np.clip(np.round((chosen - inverse[0]) / (inverse[1] - inverse[0])), 0, PLANES - 1).astype(int)
    cost = np.take_along_axis(costs, plane[:, :, None], 2)[:, :, 0]
    return np.where((cost < WORST_COST) & ~speckles(plane), 1 / chosen, 0)


# A neighbour with the map to its pixels: of pixel p = (x, y, 1) at inverse depth w to matrix @ p + w shift (homogeneous).
Neighbour = tuple[Small, Annotated[np.ndarray, "3 3"], Annotated[np.ndarray, "3"]]
Swept = tuple[Annotated[np.ndarray, "H W"], Annotated[np.ndarray, "H W D"]]  # the inverse depths chosen, and all costs


def seen_from(here: Small, there: Small) -> tuple[Annotated[np.ndarray, "3 3"], Annotated[np.ndarray, "3"]]:
    other_from_here = there.camera_from_world @ np.linalg.inv(here.camera_from_world)
    matrix = there.K @ other_from_here[:3, :3] @ np.linalg.inv(here.K)
    return matrix.astype(np.float32), (there.K @ other_from_here[:3, 3]).astype(np.float32)


def sweep_on_a_cpu(here: Small, near: list[Neighbour], inverse: Annotated[np.ndarray, "D"]) -> Swept:
    height, width = here.grey.shape
    best, second = (np.full((height, width, PLANES), np.inf, np.float32) for _ in range(2))
    for there, matrix, shift in near:
        run(kernels.correlate, PLANES, here.grey, there.grey, matrix, shift, inverse, best, second, grain=8)
    costs = merged_costs(torch.from_numpy(best), torch.from_numpy(second)).numpy()
    total = np.zeros_like(costs)
    weights = (np.float32(SMALL), np.float32(LARGE), np.float32(CONTRAST))
    run(kernels.smooth_rows, height, costs, here.grey, *weights, total)
    run(kernels.smooth_columns, width, costs, here.grey, *weights, total)
    chosen = np.empty((height, width), np.float32)
    run(kernels.choose, height, total, inverse, chosen)
    return chosen, costs


def sweep_on_device(here: Small, near: list[Neighbour], inverse: Annotated[np.ndarray, "D"], device: str) -> Swept:
    """The same in torch operations."""

    def there(array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(device)

    grey, depths = there(here.grey), there(inverse)
    best, second = (torch.full((len(depths), *grey.shape), torch.inf, device=device) for _ in range(2))
    for other, matrix, shift in near:
        picture = tensors.warped(there(other.grey), here.grey.shape, there(matrix), there(shift), depths)
        costs = tensors.correlation_costs(grey, picture)
        second = torch.minimum(second, torch.maximum(best, costs))
        best = torch.minimum(best, costs)
    costs = merged_costs(best, second)
    total = tensors.smoothed(costs, grey, SMALL, LARGE, CONTRAST)
    return tensors.chosen(total, depths).cpu().numpy(), costs.permute(1, 2, 0).cpu().numpy()


def merged_costs(best: Annotated[Tensor, "..."], second: Annotated[Tensor, "..."]) -> Annotated[Tensor, "..."]:
    """From the least costs over the neighbours, infinite where too few of them show the point, to one cost."""
    costs = torch.where(second.isfinite(), BEST * best + (1 - BEST) * second, best + ALONE)
    return torch.where(best.isfinite(), costs, UNKNOWN)


def speckles(plane: Annotated[np.ndarray, "H W"]) -> Annotated[np.ndarray, "H W"]:
    """Pixels (bool) of patches of less than SPECKLE pixels, within which planes change by 1 at most."""
    patches = np.ascontiguousarray(plane + 1, np.int16)
    cv2.filterSpeckles(patches, 0, SPECKLE, 1)
    return patches == 0


def inverse_depths(geometry: Geometry, i: int) -> Annotated[np.ndarray, "D"]:
    """Evenly spread over what the sparse points of view i span, and some more at both ends."""
    assert geometry.tracks is not None
    points = geometry.points[geometry.tracks.point[geometry.tracks.view == i]]
    _, depth = geometry.cameras[[i]].project(points)
    inverse = (1 / depth[0][depth[0] > 0]).numpy()
    low, high = np.quantile(inverse, [0.005, 0.995]) * RANGE
    return np.linspace(low, high, PLANES).astype(np.float32)


def unprojected(depth: Annotated[np.ndarray, "H W"], picture: Small) -> Annotated[np.ndarray, "H W 3"]:
    """World points of all pixels."""
    height, width = depth.shape
    y, x = np.meshgrid(np.arange(height) + 0.5, np.arange(width) + 0.5, indexing="ij")
    rays = np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(picture.K).T
    world_from_camera = np.linalg.inv(picture.camera_from_world)
    return (rays * depth[..., None]) @ world_from_camera[:3, :3].T + world_from_camera[:3, 3]


def seen_at(points: Annotated[np.ndarray, "... 3"], picture: Small):
    """Row, column and z-depth of world points in a picture, and which of them it shows."""
    in_camera = points @ picture.camera_from_world[:3, :3].T + picture.camera_from_world[:3, 3]
    depth = in_camera[..., 2]
    pixels = in_camera @ picture.K.T
    safe = np.where(depth > 1e-9, depth, 1)
    column, row = np.floor(pixels[..., 0] / safe), np.floor(pixels[..., 1] / safe)
    height, width = picture.grey.shape
    shown = (depth > 1e-9) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    return np.where(shown, row, 0).astype(int), np.where(shown, column, 0).astype(int), depth, shown


def agreeing(i: int, depths: dict[int, np.ndarray], small: list[Small]) -> Annotated[np.ndarray, "H W"]:
    """How many other depth maps have every point of picture i where it has it."""
    points = unprojected(depths[i], small[i])
    count = np.zeros(depths[i].shape, int)
    for j, depth in depths.items():
        if j == i:
            continue
        row, column, here, shown = seen_at(points, small[j])
        count += shown & (np.abs(depth[row, column] - here) < AGREEMENT * here)
    return count
