"""A geometry that follows its adjusted cameras: depth at the scale of their points, triangulated tracks for points."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import torch
from torch import Tensor

from recon3d.core.cameras import Cameras
from recon3d.core.following import between, following
from recon3d.core.geometry import Geometry, Tracks
from recon3d.core.views import Views
from recon3d.sfm.mapping import Mapping
from recon3d.sfm.registration import point_colors

FEWEST = 10  # points of a view that tell the scale of its depth; others take the median of all


@dataclass(frozen=True)
class Followed:
    """A geometry after the adjustment, and how its depth took it."""

    geometry: Geometry
    depth_scales: Annotated[Tensor, "N"] | None  # by which the depth of every view was multiplied; None: it has no depth
    off_before: float | None  # median over the observations of |log| of depth by triangulated depth, in the predicted scale
    off_after: float | None


def followed(
    views: Views, geometry: Geometry, found: Mapping, camera_index: Annotated[Tensor, "N"], fixed: Annotated[Tensor, "N"]
) -> Followed:
    """The geometry with the cameras, points and tracks of a mapping of its undistorted photos.

    Unless some are `fixed` (bool), the cameras are brought back to where those before stood, together. Views without an
    adjusted camera follow their neighbours, and take the K of photos of the same camera (`camera_index`).
    """
    adjusted = torch.zeros(len(views), dtype=torch.bool)
    adjusted[list(found.registered)] = True
    cameras = with_shared_K(views, geometry.cameras, found, camera_index)
    poses = cameras.camera_from_world.clone()
    poses[adjusted] = found.camera_from_world
    moved, points = replace(cameras, camera_from_world=poses), found.points
    if not fixed.any():
        back = between(moved[adjusted], geometry.cameras[adjusted])
        moved, points = moved.transformed(back), back.apply(points)
    moved = following(geometry.cameras, moved, adjusted)
    poses = torch.where(fixed[:, None, None], geometry.cameras.camera_from_world, moved.camera_from_world)
    moved = replace(moved, camera_from_world=poses)
    tracks = Tracks(torch.tensor(found.registered)[found.track_view], found.track_point, found.track_xy)
    blank = torch.zeros(len(points), 3, dtype=torch.uint8)
    kept = replace(geometry, cameras=moved, points=points, colors=blank, errors=found.errors, tracks=tracks)
    kept = replace(kept, colors=point_colors(views, kept))
    return Followed(kept, None, None, None) if kept.depth is None else with_depth(views, kept)


def with_shared_K(views: Views, cameras: Cameras, found: Mapping, camera_index: Annotated[Tensor, "N"]) -> Cameras:
    """K of the mapping's lenses for all photos of their cameras; other views keep their own, as cameras of their own."""
    of_photos = torch.linalg.inv(views.pixel_from_photo) @ cameras.K
    keys = [(int(camera), *size) for camera, size in zip(camera_index, views.photo_sizes.tolist(), strict=True)]
    lenses = {keys[view]: lens for view, lens in zip(found.registered, found.lenses, strict=True)}
    numbers = {key: number for number, key in enumerate(lenses)}
    index = []
    for i, key in enumerate(keys):
        if key in lenses:
            of_photos[i] = torch.from_numpy(lenses[key].K)
        index.append(numbers.get(key, len(numbers) + i))
    return replace(cameras, K=views.pixel_from_photo @ of_photos, camera_index=torch.tensor(index))


def with_depth(views: Views, geometry: Geometry) -> Followed:
    """Depth at the scale of the points that each view sees: the median of their ratio to it, which outliers leave alone."""
    assert geometry.depth is not None and geometry.tracks is not None
    tracks, ratios = geometry.tracks, []
    for i, depth in enumerate(geometry.depth):
        mine = tracks.view == i
        pose = geometry.cameras.camera_from_world[i]
        z = geometry.points[tracks.point[mine]] @ pose[2, :3] + pose[2, 3]
        at = tracks.xy[mine] @ views.pixel_from_photo[i, :2, :2].T + views.pixel_from_photo[i, :2, 2]
        column, row = at[:, 0].long().clamp(0, depth.shape[1] - 1), at[:, 1].long().clamp(0, depth.shape[0] - 1)
        there = depth[row, column].double()
        known = (there > 0) & (z > 0)
        ratios.append((z[known] / there[known]).log())
    told = [float(r.median()) for r in ratios if len(r) >= FEWEST]
    common = float(torch.tensor(told).median()) if told else 0.0
    scales = torch.tensor([float(r.median()) if len(r) >= FEWEST else common for r in ratios], dtype=torch.float64)
    every = torch.cat(ratios)
    after = torch.cat([r - s for r, s in zip(ratios, scales, strict=True)])
    depth = tuple(d * float(s.exp()) for d, s in zip(geometry.depth, scales, strict=True))
    off = [float(x.abs().median()) if len(x) else None for x in (every - common, after)]
    return Followed(replace(geometry, depth=depth), scales.exp(), *off)
