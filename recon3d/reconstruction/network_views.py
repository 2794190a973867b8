"""From a network's pictures back to photos: its cameras, depth and confidence in the pixels that everything else works in."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from recon3d.core.cameras import Cameras
from recon3d.core.geometry import Geometry, Tracks
from recon3d.core.lens import Lens, undistorted, undistortion_map
from recon3d.core.matches import Matches
from recon3d.core.views import Views
from recon3d.io.undistortion import undistorted_views
from recon3d.models.pictures import Answer
from recon3d.reconstruction.confidence import believed, least_confidence
from recon3d.reconstruction.depth_fusion import depth_at as depth_of
from recon3d.reconstruction.depth_fusion import world_points
from recon3d.reconstruction.network_matches import matches_in_undistorted
from recon3d.reconstruction.sky import sky_of
from recon3d.reconstruction.voxels import voxelised
from recon3d.sfm.registration import image_sizes, shared_cameras

STEP = 0.02  # of the depth: where interpolation is further from the nearest pixel, there is an edge, and no depth between
LEAST_CONFIDENT = 0.3  # share of the pixels, the least confident ones, that give no point of the cloud
SEVERAL = 4  # pixels for each point that is wanted, from which the cloud is made
MAPS = (torch.float32, torch.float16)  # of depth and of confidence: of 1000 photos every byte counts
FAINTEST = 2.0**-14  # confidence of a pixel with any: float16's smallest number of full precision
UNKNOWN_ERROR = -1.0  # COLMAP's mark for a point whose reprojection error nobody measured


def in_photos(
    answer: Answer, views: Views, max_size: int, max_points: int = 50_000, keep_sky: bool = False
) -> tuple[Views, Geometry]:
    """The views at working size, and the network's geometry in their pixels.

    A given lens stays; photos of one physical camera without one get a pinhole in common. Depth follows the focal length,
    so that what a pixel covers stays: the parallax that tells depth does not change. What a picture did not show (cropped,
    masked) has depth 0 and no confidence. Sky has a depth, but no confidence unless `keep_sky`: what the network calls so,
    or what looks so where it calls nothing.
    """
    known = answer.geometry
    assert known.depth is not None and known.confidence is not None
    K_of_photos = torch.linalg.inv(answer.network_from_photo) @ known.cameras.K
    lenses = lenses_of(views, K_of_photos, known.confidence)
    flat = undistorted_views(replace(views, lenses=lenses), max_size)
    K = flat.pixel_from_photo @ torch.from_numpy(np.stack([undistorted(lens).K for lens in lenses]))
    cameras = Cameras(known.cameras.camera_from_world, K, image_sizes(flat), shared_cameras(flat))
    # Made before what is needed for one view only: in between, it would leave the heap full of holes.
    depth, confidence = (tuple(torch.zeros(x.shape[1:], dtype=kind) for x in flat.images) for kind in MAPS)
    for i, lens in enumerate(lenses):
        at = pixels_seen(flat, i, lens, answer.network_from_photo[i])
        x0, y0, x1, y1 = answer.photo_rects[i]
        shown = (at[..., 0] >= x0) & (at[..., 0] <= x1) & (at[..., 1] >= y0) & (at[..., 1] <= y1)
        mask = flat.mask(i)
        shown = shown if mask is None else shown & mask
        longer = float(np.trace(lens.K[:2, :2]) / K_of_photos[i, [0, 1], [0, 1]].sum())
        depth[i][shown] = longer * depth_at(known.depth[i], at)[shown]
        if not keep_sky:
            shown = shown & ~sky_in_photo(answer, i, at, flat.images[i], depth[i])
        rank = sampled(known.confidence[i], at, "nearest").clamp_min(FAINTEST)
        confidence[i][shown] = rank[shown].half()
    moved = replace(
        known, cameras=cameras, depth=depth, confidence=confidence, features=features_in_photos(answer, flat),
        matches=None if answer.matches is None else matches_in_undistorted(of_whole_photos(answer.matches, answer, views), flat),
    )  # fmt: skip
    return flat, with_points(flat, moved, max_points)


def of_whole_photos(matches: Matches, answer: Answer, views: Views) -> Matches:
    """The same as if no picture were cut out of its photo: VGGT sees of a portrait a square, at the scale of its width."""
    scales = answer.network_from_photo[:, [0, 1], [0, 1]].mean(1)
    return replace(matches, longest=round(float((scales * views.photo_sizes.max(1).values).max())))


def sky_in_photo(
    answer: Answer, i: int, at: Annotated[Tensor, "H W 2"], image: Annotated[Tensor, "3 H W"], depth: Annotated[Tensor, "H W"]
) -> Annotated[Tensor, "H W"]:
    """bool, in the pixels of view i's working picture."""
    if answer.sky is None:
        return sky_of(image, depth)
    return sampled(answer.sky[i].float(), at, "nearest") > 0.5


def lenses_of(
    views: Views, K_of_photos: Annotated[Tensor, "N 3 3"], confidence: Annotated[tuple[Tensor, ...], "N × H W"]
) -> tuple[Lens, ...]:
    """The given lens of every view, else the pinhole of its physical camera: medians over its photos, weighted by how
    confident the network is of each."""
    weights = torch.stack([c.double().mean() for c in confidence])
    lenses: list[Lens] = []
    for i, given in enumerate(views.lenses):
        height, width = views.photo_sizes[i].tolist()
        of_one = (views.camera_index == views.camera_index[i]) & (views.photo_sizes == views.photo_sizes[i]).all(1)
        K = weighted_median(K_of_photos[of_one], weights[of_one])
        lenses.append(given or Lens.pinhole(K.numpy(), height, width))
    return tuple(lenses)


def weighted_median(values: Annotated[Tensor, "N ..."], weights: Annotated[Tensor, "N"]) -> Annotated[Tensor, "..."]:
    """Of every element; between two values where half of the weight is on either side."""
    order = values.argsort(0)
    ordered = values.gather(0, order)
    passed = weights.clamp_min(1e-9)[order].cumsum(0)
    half = passed[-1:] / 2
    low, high = ((passed < half * (1 - 1e-9)).sum(0, keepdim=True), (passed <= half * (1 + 1e-9)).sum(0, keepdim=True))
    return (ordered.gather(0, low) + ordered.gather(0, high.clamp(max=len(values) - 1)))[0] / 2


def pixels_seen(
    views: Views, i: int, lens: Lens, network_from_photo: Annotated[Tensor, "3 3"]
) -> Annotated[Tensor, "H W 2"]:  # fmt: skip
    """Where the network's picture of the photo, as taken, shows what the pixels of undistorted view i do."""
    size = views.images[i].shape[1:]
    if lens.is_pinhole:
        return pixels_in_picture(views.pixel_from_photo[i], network_from_photo, size)
    photo_from_pixel = torch.linalg.inv(views.pixel_from_photo[i]).numpy()
    in_photo = torch.from_numpy(undistortion_map(lens, undistorted(lens), photo_from_pixel, *size))
    return in_photo @ network_from_photo[:2, :2].T + network_from_photo[:2, 2]


def features_in_photos(answer: Answer, views: Views) -> Annotated[Tensor, "N C h w"] | None:
    """The network's features over the whole of each working picture, in as many cells as they had."""
    if answer.features is None:
        return None
    cells, found = answer.features.shape[2:], []
    for i, features in enumerate(answer.features):
        working = torch.tensor(views.images[i].shape[1:])
        at = pixels_in_picture(views.pixel_from_photo[i], answer.network_from_photo[i], cells, working / torch.tensor(cells))
        size = answer.geometry.cameras.sizes[i].flip(0)
        grid = (2 * at / size - 1).to(features)
        found.append(F.grid_sample(features[None], grid[None], padding_mode="border", align_corners=False)[0])
    return torch.stack(found)


def pixels_in_picture(
    pixel_from_photo: Annotated[Tensor, "3 3"], network_from_photo: Annotated[Tensor, "3 3"], size: tuple[int, ...],
    steps: Tensor | None = None,
) -> Annotated[Tensor, "H W 2"]:  # fmt: skip
    """Where the centres of the pixels of a working image of `size` lie in the network's picture; of cells of `steps` (rows,
    columns) pixels, where these are given."""
    network_from_pixel = network_from_photo @ torch.linalg.inv(pixel_from_photo)
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) + 0.5 for n in size), indexing="ij")
    if steps is not None:
        y, x = y * steps[0], x * steps[1]
    return torch.stack((x, y), -1) @ network_from_pixel[:2, :2].T + network_from_pixel[:2, 2]


def depth_at(depth: Annotated[Tensor, "h w"], at: Annotated[Tensor, "H W 2"]) -> Annotated[Tensor, "H W"]:
    """Depth between pixels; across an edge that of the nearest, so that no surface is made in the air."""
    nearest, between = sampled(depth, at, "nearest"), sampled(depth, at, "bilinear")
    return torch.where((between - nearest).abs() <= STEP * nearest, between, nearest)


def sampled(values: Annotated[Tensor, "h w"], at: Annotated[Tensor, "H W 2"], how: str) -> Annotated[Tensor, "H W"]:
    size = torch.tensor([values.shape[1], values.shape[0]], dtype=torch.float64)
    grid = (2 * at / size - 1).to(values.dtype)
    return F.grid_sample(values[None, None], grid[None], mode=how, padding_mode="border", align_corners=False)[0, 0]


def with_points(views: Views, geometry: Geometry, most: int) -> Geometry:
    """The geometry with a cloud of its confident pixels, from seen views, as at most `most` sparse points without tracks."""
    assert geometry.depth is not None
    seen = (~views.held_out).nonzero()[:, 0].tolist()
    least = least_confidence(geometry, seen, LEAST_CONFIDENT)
    every = max(1, sum(geometry.depth[i].numel() for i in seen) // (SEVERAL * most))
    points, colors, sizes = [], [], []
    for i in seen:
        chosen = believed(geometry, i, least).flatten().nonzero()[::every, 0]
        z = depth_of(geometry, i, chosen)
        points.append(world_points(geometry, i, chosen, z))
        colors.append(views.images[i].flatten(1).T[chosen])
        sizes.append(z / geometry.cameras.focal_lengths[i])
    found, of_found = voxelised(torch.cat(points), torch.cat(colors), torch.cat(sizes), most)
    none = torch.zeros(0, dtype=torch.int64)
    return replace(
        geometry, points=found, colors=of_found,
        errors=torch.full((len(found),), UNKNOWN_ERROR, dtype=torch.float64),
        tracks=Tracks(none, none, torch.zeros(0, 2, dtype=torch.float64)),
    )  # fmt: skip
