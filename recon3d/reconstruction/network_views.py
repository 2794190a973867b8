"""From a network's pictures back to photos: its cameras, depth and confidence in the pixels that everything else works in."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor

from recon3d.core.cameras import Cameras
from recon3d.core.geometry import Geometry, Tracks
from recon3d.core.lens import Lens
from recon3d.core.views import Views
from recon3d.io.undistortion import undistorted_views
from recon3d.models.pictures import Answer

STEP = 0.02  # of the depth: where interpolation is further from the nearest pixel, there is an edge, and no depth between
MOST_POINTS = 50_000  # of the point cloud that is written beside the cameras
LEAST_CONFIDENT = 0.3  # rank below which a pixel gives no point of that cloud
UNKNOWN_ERROR = -1.0  # COLMAP's mark for a point whose reprojection error nobody measured


def in_photos(answer: Answer, views: Views, max_size: int) -> tuple[Views, Geometry]:
    """The views at working size with the lenses that the network's K mean, and its geometry in their pixels.

    Every view is a camera of its own: networks predict K view by view, and depth belongs to that K. What a picture did not
    show (cropped, masked) has depth 0.
    """
    known = answer.geometry
    K_of_photos = torch.linalg.inv(answer.network_from_photo) @ known.cameras.K
    sizes = views.photo_sizes.tolist()
    lenses = tuple(Lens.pinhole(K, *size) for K, size in zip(K_of_photos.numpy(), sizes, strict=True))
    flat = undistorted_views(replace(views, lenses=lenses, camera_index=torch.arange(len(views))), max_size)
    K = flat.pixel_from_photo @ K_of_photos
    working = torch.tensor([image.shape[1:] for image in flat.images])
    cameras = Cameras(known.cameras.camera_from_world, K, working, torch.arange(len(views)))
    depth, confidence = [], []
    for i in range(len(views)):
        assert known.depth is not None and known.confidence is not None
        at = pixels_in_picture(flat.pixel_from_photo[i], answer.network_from_photo[i], flat.images[i].shape[1:])
        x0, y0, x1, y1 = answer.photo_rects[i]
        shown = (at[..., 0] >= x0) & (at[..., 0] <= x1) & (at[..., 1] >= y0) & (at[..., 1] <= y1)
        mask = flat.mask(i)
        shown = shown if mask is None else shown & mask
        depth.append(torch.where(shown, depth_at(known.depth[i], at), 0))
        confidence.append(torch.where(shown, sampled(known.confidence[i], at, "nearest"), 0))
    moved = replace(
        known, cameras=cameras, depth=tuple(depth), confidence=tuple(confidence), features=features_in_photos(answer, flat)
    )
    return flat, with_points(flat, moved)


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


def with_points(views: Views, geometry: Geometry) -> Geometry:
    """The geometry with a thinned cloud of its confident pixels, from seen views, as sparse points without tracks."""
    assert geometry.depth is not None and geometry.confidence is not None
    seen = (~views.held_out).nonzero()[:, 0].tolist()
    points, colors = [], []
    for i in seen:
        good = (geometry.depth[i] > 0) & (geometry.confidence[i] >= LEAST_CONFIDENT)
        chosen = good.flatten().nonzero()[:, 0]
        chosen = chosen[:: max(1, -(-len(chosen) * len(seen) // MOST_POINTS))]
        points.append(geometry.cameras.unproject(i, geometry.depth[i])[0].reshape(-1, 3)[chosen])
        colors.append(views.images[i].flatten(1).T[chosen])
    found = torch.cat(points)
    none = torch.zeros(0, dtype=torch.int64)
    return replace(
        geometry, points=found, colors=torch.cat(colors),
        errors=torch.full((len(found),), UNKNOWN_ERROR, dtype=torch.float64),
        tracks=Tracks(none, none, torch.zeros(0, 2, dtype=torch.float64)),
    )  # fmt: skip
