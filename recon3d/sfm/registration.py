"""Structure from motion as a geometry: from photos as taken to undistorted views with cameras, points and tracks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from recon3d.core.cameras import Cameras
from recon3d.core.geometry import Geometry, Tracks
from recon3d.core.lens import undistorted
from recon3d.core.views import Views
from recon3d.io.colmap_model import ColmapModel
from recon3d.io.photos import pictures
from recon3d.io.undistortion import undistorted_views
from recon3d.progress import Progress
from recon3d.sfm import mapping
from recon3d.sfm.attempts import Guess
from recon3d.sfm.mapping import Mapping
from recon3d.sfm.settings import Settings


def geometry(
    views: Views, *, settings: Sequence[Settings], device: str, seed: int | None, sequence: bool, where: str, progress: Progress,
    guess: Callable[[], Guess] | None = None,
) -> Mapping:
    """Cameras and points by COLMAP from the photos behind `views`, or of a `guess` that passes COLMAP's test. Raises
    InputError at `where`."""
    return mapping.geometry(
        views, pictures(views), seed=seed, sequence=sequence, where=where, settings=settings, device=device,
        progress=progress, guess=guess,
    )  # fmt: skip


def assembled(views: Views, found: Mapping, max_size: int, source: str) -> tuple[Views, Geometry]:
    """The registered views, undistorted at working size, and what was found of them in their pixels."""
    registered = replace(views[list(found.registered)], lenses=found.lenses)
    flat = undistorted_views(registered, max_size)
    pinholes = [undistorted(lens) for lens in found.lenses]
    K = flat.pixel_from_photo @ torch.from_numpy(np.stack([p.K for p in pinholes]))
    cameras = Cameras(found.camera_from_world, K, image_sizes(flat), shared_cameras(flat))
    rows = [found.track_view == i for i in range(len(flat))]
    xy = found.track_xy.clone()
    for lens, pinhole, mine in zip(found.lenses, pinholes, rows, strict=True):
        if not lens.is_pinhole:
            xy[mine] = torch.from_numpy(pinhole.pixels_of_rays(lens.rays_of_pixels(found.track_xy[mine].numpy())))
    kept = torch.isfinite(xy).all(1)  # a lens may have no ray at its very corner
    tracks = Tracks(found.track_view[kept], found.track_point[kept], xy[kept])
    geometry = Geometry(
        cameras, found.points, torch.zeros(len(found.points), 3, dtype=torch.uint8), found.errors, tracks, source=source
    )
    return flat, replace(geometry, colors=point_colors(flat, geometry))


def image_sizes(views: Views) -> Annotated[Tensor, "N 2"]:
    """(height, width) of the working images."""
    return torch.tensor([image.shape[1:] for image in views.images])


def shared_cameras(views: Views) -> Annotated[Tensor, "N"]:
    """Numbers of physical cameras, from 0: one for the views that share a camera, a lens and a size."""
    keys = [
        (int(c), lens, tuple(s))
        for c, lens, s in zip(views.camera_index, views.lenses, views.photo_sizes.tolist(), strict=True)
    ]
    numbers = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    return torch.tensor([numbers[key] for key in keys])


def point_colors(views: Views, geometry: Geometry) -> Annotated[Tensor, "P 3"]:
    """uint8 sRGB: the mean colour of the pixels at each point's observations in views that are not held out."""
    assert geometry.tracks is not None
    total = torch.zeros(len(geometry.points), 3, dtype=torch.float64)
    count = torch.zeros(len(geometry.points), dtype=torch.float64)
    for i in (~views.held_out).nonzero()[:, 0].tolist():
        mine = geometry.tracks.view == i
        at = geometry.tracks.xy[mine] @ views.pixel_from_photo[i, :2, :2].T + views.pixel_from_photo[i, :2, 2]
        height, width = views.images[i].shape[1:]
        x, y = at[:, 0].long().clamp(0, width - 1), at[:, 1].long().clamp(0, height - 1)
        total.index_add_(0, geometry.tracks.point[mine], views.images[i][:, y, x].T.double())
        count.index_add_(0, geometry.tracks.point[mine], torch.ones(len(x), dtype=torch.float64))
    return (total / count.clamp_min(1)[:, None]).round().to(torch.uint8)


def mapping_of_model(model: ColmapModel, views: Views) -> Mapping:
    """A COLMAP model as a mapping of those of its photos that are among `views`, as it stands."""
    number = {name: i for i, name in enumerate(views.names)}
    cameras = [
        (number[camera.name], i, camera.lens, camera.camera_from_world)
        for i, camera in enumerate(model.cameras)
        if camera.name in number and camera.lens is not None and camera.camera_from_world is not None
    ]
    registered, rows, lenses, poses = zip(*sorted(cameras, key=lambda camera: camera[0]), strict=True)
    new_view = np.full(len(model.cameras), -1)
    new_view[list(rows)] = np.arange(len(rows))
    seen = new_view[model.track_view] >= 0
    return Mapping(
        registered=registered,
        camera_from_world=torch.from_numpy(np.stack(poses)),
        lenses=lenses,
        points=torch.from_numpy(model.points),
        errors=torch.from_numpy(model.errors),
        track_view=torch.from_numpy(new_view[model.track_view[seen]]),
        track_point=torch.from_numpy(model.track_point[seen]),
        track_xy=torch.from_numpy(model.track_xy[seen]),
        settings="given",
        why="the input is a finished model: nothing was matched",
        repeatable=True,
    )
