"""Depth of pictures of which only the cameras are known: plane sweep stereo that first finds what range to sweep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import cv2
import numpy as np
import torch
from torch import Tensor

from recon3d.core.cameras import fitted_size, resize_map
from recon3d.reconstruction.seeding.plane_sweep import (
    NEIGHBOURS,
    PLANES,
    SIZE,
    Small,
    agreeing,
    depth_map,
)

COARSE = 96  # longest side of the pictures that find the range, pixels
FIRST = (0.005, 2.0)  # what they sweep: inverse depths, in shares of the inverse of the distance to a middling neighbour
FOUND = (0.02, 0.98)  # quantiles of the inverse depths that they find, and by how much the range is wider
WIDER = (0.5, 1.2)
FEWEST = 50  # pixels that tell a range
EDGE, AROUND = 1.2, 5  # between pixels so many apart, across and down, depths that differ by more are of two surfaces
# Other depth maps that must have a point, where there are MANY pictures and where there are fewer. On procedural scenes 1, 2 and
# 3 give an AbsRel of 0.047, 0.038 and 0.030; with 3 a sixth fewer scenes are left (python -m tools.benchmarks.posed_stereo).
AGREEING, MANY, OF_FEW = 2, 4, 1


def stereo_depth(
    images: Annotated[Tensor, "N 3 H W"], camera_from_world: Annotated[Tensor, "N 4 4"], K: Annotated[Tensor, "N 3 3"],
    wanted: Sequence[int],
) -> Annotated[Tensor, "n H W"]:  # fmt: skip
    """z-depth of the `wanted` pictures in world units, 0 where the depths of too few others agree (plane_sweep, AGREEMENT).

    Pictures (sRGB 0 to 1) have one size and K in its pixels. Compared at SIZE pixels of the longest side at most; larger
    ones get the depth of the nearest pixel compared.
    """
    size = (images.shape[-2], images.shape[-1])
    grey = (images * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    coarse, fine = (
        scaled(grey, camera_from_world, K, fitted_size(*size, longest)) for longest in (min(COARSE, max(size)), SIZE)
    )
    depths: dict[int, np.ndarray] = {}
    for i in range(len(images)):
        near = nearest(camera_from_world, i)
        range_ = None if not near else range_of(i, near, coarse)
        if range_ is not None:
            depths[i] = off_edges(depth_map(i, near, fine, spread(*range_), "cpu"))
    agree = AGREEING if len(images) >= MANY else OF_FEW
    found = torch.zeros(len(wanted), 1, *fine[0].grey.shape)
    for place, i in enumerate(wanted):
        if i in depths:
            found[place, 0] = torch.from_numpy(depths[i] * (agreeing(i, depths, fine) >= agree))
    return torch.nn.functional.interpolate(found, size, mode="nearest-exact")[:, 0]


def off_edges(depth: Annotated[np.ndarray, "H W"]) -> Annotated[np.ndarray, "H W"]:
    """0 where two surfaces meet: there windows carry the depth of the nearer one over the edge, in all pictures alike."""
    inverse = np.where(depth > 0, 1 / np.maximum(depth, 1e-12), 0)
    window = np.ones((AROUND, AROUND))
    farthest = cv2.erode(np.where(depth > 0, inverse, inverse.max()), window)
    return np.where(cv2.dilate(inverse, window) <= EDGE * farthest, depth, 0)


def scaled(
    grey: Annotated[Tensor, "N 1 H W"], camera_from_world: Annotated[Tensor, "N 4 4"], K: Annotated[Tensor, "N 3 3"],
    size: tuple[int, int],
) -> list[Small]:  # fmt: skip
    """Pictures for matching, of (height, width) `size`."""
    new_from_old = resize_map((grey.shape[-2], grey.shape[-1]), size)
    small = torch.nn.functional.interpolate(grey, size, mode="bilinear", antialias=True)[:, 0]
    cameras = camera_from_world.double().numpy()
    return [Small(small[i].numpy(), (new_from_old @ K[i].double()).numpy(), cameras[i]) for i in range(len(grey))]


def nearest(camera_from_world: Annotated[Tensor, "N 4 4"], i: int) -> list[int]:
    """The other pictures whose cameras stand nearest, but not where camera i stands."""
    distances = distances_from(camera_from_world, i)
    others = [j for j in distances.argsort().tolist() if distances[j] > 1e-6 * distances.max()]
    return others[:NEIGHBOURS]


def distances_from(camera_from_world: Annotated[Tensor, "N 4 4"], i: int) -> Annotated[Tensor, "N"]:
    centers = torch.linalg.inv(camera_from_world.double())[:, :3, 3]
    return (centers - centers[i]).norm(dim=1)


def range_of(i: int, near: list[int], coarse: list[Small]) -> tuple[float, float] | None:
    """The inverse depths to sweep for picture i; None where coarse pictures tell none."""
    depth = coarse_depth(i, near, coarse)
    inverse = 1 / depth[depth > 0]
    if len(inverse) < FEWEST:
        return None
    low, high = np.quantile(inverse, FOUND) * WIDER
    return float(low), float(high)


def coarse_depth(i: int, near: list[int], coarse: list[Small]) -> Annotated[np.ndarray, "H W"]:
    """z-depth of picture i by a sweep of FIRST, 0 where no neighbour supports it."""
    cameras = torch.from_numpy(np.stack([picture.camera_from_world for picture in coarse]))
    baseline = float(distances_from(cameras, i)[near].median())
    return depth_map(i, near, coarse, spread(FIRST[0] / baseline, FIRST[1] / baseline), "cpu")


def spread(low: float, high: float) -> Annotated[np.ndarray, "D"]:
    return np.linspace(low, high, PLANES).astype(np.float32)
