"""What a network's geometry makes of cameras that are known, and of photos that are held out of its pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch

from recon3d.core.geometry import Geometry
from recon3d.core.lens import undistorted
from recon3d.core.views import Views
from recon3d.io.undistortion import undistorted_views
from recon3d.models.checkpoints import Checkpoint
from recon3d.models.pictures import Answer, KnownOfPhotos
from recon3d.pipeline.request import Request
from recon3d.pipeline.stage_reports import KnownCamerasReport
from recon3d.progress import Progress, first_of
from recon3d.reconstruction.depth_of_known import DepthFit, solved_again, unconfirmed
from recon3d.reconstruction.given_mistakes import disagreement
from recon3d.reconstruction.known_cameras import CamerasFit, moved_to_known
from recon3d.reconstruction.network_views import in_photos, with_points
from recon3d.sfm.registration import image_sizes, shared_cameras

PIXELS_FOR_CAMERAS = "take part in the network's pass, which gives their cameras"
CAMERAS_KNOWN = "take no part in the network's pass: their cameras were given"


def has_known(views: Views) -> bool:
    return bool(views.pose_known.any()) or any(lens is not None for lens in views.lenses)


def taking_part(views: Views) -> tuple[list[int], str | None]:
    """The views that a network sees, and what to say of held-out ones: they are seen where their cameras must be found."""
    lens_known = torch.tensor([lens is not None for lens in views.lenses])
    spared = views.held_out & views.pose_known & lens_known
    rows = (~spared).nonzero()[:, 0].tolist()
    asked, all_spared = int(views.held_out.sum()), int(spared.sum())
    if not asked:
        return rows, None
    if all_spared == asked:
        return rows, f"held-out photos {CAMERAS_KNOWN}"
    if not all_spared:
        return rows, f"held-out photos {PIXELS_FOR_CAMERAS}"
    return rows, f"{all_spared} of {asked} held-out photos {CAMERAS_KNOWN}; the others {PIXELS_FOR_CAMERAS}"


def known_to_tell(source: Checkpoint, views: Views) -> KnownOfPhotos | None:
    """The cameras of all views for a network with an input for them; None where it has none, or some are not known."""
    takes = source.row.takes_cameras and getattr(source.config, "cam_enc", None) is not None
    if not takes or not bool(views.pose_known.all()) or views.known_camera_from_world is None:
        return None
    K = [lens.K for lens in views.lenses if lens is not None]
    return KnownOfPhotos(views.known_camera_from_world, torch.from_numpy(np.stack(K))) if len(K) == len(views) else None


def in_known_world(
    answer: Answer, views: Views, rows: Sequence[int], told: bool, max_size: int, request: Request, where: str,
    progress: Progress,
) -> tuple[Views, Geometry, dict[str, Any], KnownCamerasReport, float]:  # fmt: skip
    """All views and their geometry in the world of the known cameras; what the photos that were seen say of these; and the
    share of sky, told before depth that nothing confirms loses its confidence too.

    `rows`: the views that the network saw. Others have a known camera, and no depth. Raises InputError at `where`.
    """
    seen = views[list(rows)]
    flat, predicted = in_photos(answer, seen, max_size, request.max_points, request.keep_sky)
    sky = share_of_sky(predicted)
    disagrees, fit, solved = {}, None, predicted
    fits: tuple[DepthFit, ...] = ()
    if seen.known_camera_from_world is not None and bool(seen.pose_known.any()):
        disagrees = disagreement(seen, flat, predicted, request.seed or 0, where, progress)
        moved, fit = moved_to_known(predicted, seen.known_camera_from_world, seen.pose_known)
        if fit.scale_known:
            moved, fits = solved_again(flat, moved, seen.pose_known)
            say_unconfirmed(fits, seen.names, progress)
        solved = with_points(flat, moved, request.max_points)
    report = known_report(seen, views, answer, told, fit, fits)
    if len(rows) == len(views):
        return flat, solved, disagrees, report, sky
    return *with_spared(views, list(rows), flat, solved, max_size), disagrees, report, sky


def share_of_sky(known: Geometry) -> float:
    """Of the pixels with a depth, those without confidence, as a network leaves sky."""
    assert known.depth is not None and known.confidence is not None
    sky = sum(int(((d > 0) & (c == 0)).sum()) for d, c in zip(known.depth, known.confidence, strict=True))
    return round(sky / max(sum(int((d > 0).sum()) for d in known.depth), 1), 4)


def say_unconfirmed(fits: tuple[DepthFit, ...], names: Sequence[str], progress: Progress) -> None:
    """Note the photos whose depth is a network's word alone."""
    rows = unconfirmed(fits)
    if not rows:
        return
    what = "no other photo with a known camera confirms the depth of"
    if len(rows) == len(fits):
        unit = "it is what the network says, and may be several times off in the unit of the known cameras"
        progress.note(f"{what} any photo: {unit}. Give photos with more overlap, taken from places further apart")
        return
    shown = first_of([names[i] for i in rows])
    progress.note(f"{what} {len(rows)} of {len(fits)} photos, which get no confidence and no Gaussians: {shown}")


def known_report(
    seen: Views, views: Views, answer: Answer, told: bool, fit: CamerasFit | None, fits: Sequence[DepthFit]
) -> KnownCamerasReport:
    predicted = torch.linalg.inv(answer.network_from_photo) @ answer.geometry.cameras.K
    ratios = [
        float(np.trace(lens.K[:2, :2]) / predicted[i, [0, 1], [0, 1]].sum())
        for i, lens in enumerate(seen.lenses)
        if lens is not None
    ]
    names = [seen.names[i] for i in seen.pose_known.nonzero()[:, 0].tolist()]
    worst = None if fit is None else int(fit.rotation_degrees.argmax())
    return KnownCamerasReport(
        poses=int(views.pose_known.sum()),
        lenses=sum(lens is not None for lens in views.lenses),
        told=told,
        scale=float(fit.given_from_predicted.scale) if fit is not None and fit.scale_known else None,
        rotation_degrees=None if fit is None else round(float(fit.rotation_degrees.quantile(0.5)), 4),
        centre_distance=None if fit is None else float(fit.centre_distances.quantile(0.5)),
        worst=None if worst is None else names[worst],
        worst_degrees=None if fit is None or worst is None else round(float(fit.rotation_degrees[worst]), 4),
        focal_ratio=round(float(np.median(ratios)), 6) if ratios else None,
        unconfirmed=tuple(seen.names[i] for i in unconfirmed(tuple(fits))) or None,
        depth={name: asdict(one) for name, one in zip(seen.names, fits, strict=False)},
    )


def with_spared(views: Views, rows: list[int], flat: Views, geometry: Geometry, max_size: int) -> tuple[Views, Geometry]:
    """The seen views with those that the network did not see: undistorted by their given lenses, without depth."""
    assert views.known_camera_from_world is not None and geometry.depth is not None and geometry.confidence is not None
    found = dict(zip(rows, flat.lenses, strict=True))
    lenses = tuple(found.get(i, lens) for i, lens in enumerate(views.lenses))
    every = undistorted_views(replace(views, lenses=lenses), max_size)
    K = every.pixel_from_photo @ torch.from_numpy(np.stack([undistorted(lens).K for lens in lenses if lens is not None]))
    poses = views.known_camera_from_world.double().clone()
    poses[rows] = geometry.cameras.camera_from_world
    number = {view: row for row, view in enumerate(rows)}
    depth, confidence = (
        tuple(maps[number[i]] if i in number else maps[0].new_zeros(every.images[i].shape[1:]) for i in range(len(views)))
        for maps in (geometry.depth, geometry.confidence)
    )
    features = geometry.features
    if features is not None:
        blank = torch.zeros_like(features[:1])
        features = torch.cat([features[[number[i]]] if i in number else blank for i in range(len(views))])
    cameras = replace(
        geometry.cameras, camera_from_world=poses, K=K, sizes=image_sizes(every), camera_index=shared_cameras(every)
    )
    matches = None if geometry.matches is None else geometry.matches.among(rows)
    return every, replace(
        geometry, cameras=cameras, depth=depth, confidence=confidence, features=features, matches=matches
    )
