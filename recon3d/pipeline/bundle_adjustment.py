"""The improvement "bundle adjustment": a network's cameras adjusted to matches of the photos, where these fit better then.

The matches are SIFT's; where these do no better, those that the network itself made, if it makes any.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from recon3d.core.cameras import Cameras
from recon3d.core.geometry import Geometry, Tracks
from recon3d.core.lens import Lens, undistorted
from recon3d.core.matches import Matches
from recon3d.core.views import Views
from recon3d.errors import InputError
from recon3d.io.undistortion import undistorted_pictures
from recon3d.pipeline.artefacts import Arrays
from recon3d.pipeline.method import Improvement
from recon3d.pipeline.plan import network_device
from recon3d.pipeline.sources import Asked
from recon3d.pipeline.stage_reports import BundleAdjustmentReport
from recon3d.pipeline.to_adjust import nothing_to_adjust
from recon3d.progress import Progress
from recon3d.sfm.adjusted_geometry import Followed, followed
from recon3d.sfm.bundle_adjustment import Adjustment, Predicted, bundle_adjusted, fits_worse
from recon3d.sfm.features import feature_size
from recon3d.sfm.held_back import ViewMatches
from recon3d.sfm.mapping import mapping_of
from recon3d.sfm.match_database import write_matches
from recon3d.sfm.matching import Matcher, without_overlap
from recon3d.sfm.models import Model
from recon3d.sfm.settings import Matching

NAME = "bundle adjustment"
Improved = tuple[Geometry, BundleAdjustmentReport]


@dataclass(frozen=True)
class Matched:
    """How photos are matched for it."""

    matching: Matching
    sequence: bool = False
    device: str = "cpu"
    seed: int | None = None  # with one everything runs on one thread, and repeats


def improvements(asked: Asked) -> tuple[Improvement, ...]:
    """The one that was asked for, or none."""
    wanted = asked.request.bundle_adjust
    if wanted == "off":
        return ()
    why_not = nothing_to_adjust(asked.request, asked.loaded, asked.chosen.geometry)
    if why_not is None:
        return (Improvement(NAME, partial(apply, asked)),)
    return (Improvement(NAME, partial(said, asked.progress, why_not)),) if wanted == "on" else ()


def said(progress: Progress, why: str, views: Views, geometry: Geometry) -> Improved:
    progress.note(f"{NAME}: {why}")
    return geometry, BundleAdjustmentReport(False, why)


def apply(asked: Asked, views: Views, geometry: Geometry) -> Improved:
    """The geometry adjusted, or as it was; finished once, it is kept in the work folder."""

    def make() -> Improved:
        device = "cuda" if network_device(asked.request.device) == "cuda" else "cpu"
        how = Matched(asked.chosen.matching, asked.loaded.sequence, device, asked.request.seed)
        photos = with_what_is_known(views, asked.loaded.views)
        return improved(views, geometry, photos, views.pose_known, how, asked.progress)

    if asked.work is None:
        found = make()
    else:
        found = asked.work.kept(NAME.replace(" ", "_"), make, pack, partial(unpack, geometry))
    asked.progress.note(in_words(found[1]))
    return found


def with_what_is_known(flat: Views, loaded: Views) -> Views:
    """Undistorted photos with the lenses that were given, and the cameras that took them: networks tell neither."""
    of_photos = loaded[[loaded.names.index(name) for name in flat.names]]
    lenses = tuple(None if lens is None else undistorted(lens) for lens in of_photos.lenses)
    return replace(flat, lenses=lenses, camera_index=of_photos.camera_index, known_camera_from_world=None)


def improved(
    views: Views, geometry: Geometry, photos: Views, fixed: torch.Tensor, how: Matched, progress: Progress
) -> Improved:
    """Match the undistorted photos behind `views`, adjust, and keep what is better on tracks that were held back: by SIFT, and
    what that leaves by the matches of the network itself, where the geometry has some.

    `photos` say of the same views what is known of their lenses, and which share a camera; `fixed` (bool) cameras stay.
    """
    same = replace(geometry, matches=None) if geometry.matches is not None else geometry
    with tempfile.TemporaryDirectory(prefix="recon3d-sfm-", ignore_cleanup_errors=True) as folder:
        first = sift(views, photos, how, Path(folder), progress)
        (found, report), held = adjusted_to(first, views, same, photos, fixed, how, progress)
        own = geometry.matches
        if own is None or (report.kept and not report.following):
            return found, report
        if report.kept:
            more = with_rest((found, report), own, views, photos, fixed, how, Path(folder), progress)
            before, after = (predicted(views, g.cameras, fixed) for g in (found, more[0]))
            if held is not None and fits_worse(held, photos, first.longest, before, after):
                progress.note(f"{NAME}: SIFT's matches speak against where those of {own.source} put the rest, which is left")
                return found, report
            return more
        progress.note(f"{NAME}: SIFT's matches leave the cameras, as {report.why}; those of {own.source} are tried")
        second = network_matches(own, photos, how, Path(folder))
        (found, of_own), _ = adjusted_to(second, views, same, photos, fixed, how, progress)
    if not of_own.kept:
        return found, neither(report, of_own)
    before, after = (predicted(views, g.cameras, fixed) for g in (same, found))
    if held is not None and fits_worse(held, photos, first.longest, before, after):
        why = "SIFT's matches that were held back fit the cameras that they lead to worse"
        fits = (getattr(of_own, f"{name}_{when}") for name in ("px", "agreeing") for when in ("before", "after"))
        return same, neither(report, BundleAdjustmentReport(False, why, of_own.tracks, of_own.held_back_tracks, *fits))
    return found, of_own


def predicted(views: Views, cameras: Cameras, fixed: torch.Tensor) -> Predicted:
    return Predicted(cameras.camera_from_world.numpy(), pinholes(views, cameras), fixed.numpy())


def with_rest(
    by_sift: Improved, own: Matches, views: Views, photos: Views, fixed: torch.Tensor, how: Matched, folder: Path,
    progress: Progress,
) -> Improved:  # fmt: skip
    """The views that SIFT's matches did not join, adjusted to the network's own: the others, and their lenses, stay."""
    found, report = by_sift
    assert report.following is not None
    free = torch.tensor([name in report.following for name in views.names])
    told = torch.isin(photos.camera_index, photos.camera_index[~free]).tolist()
    found_lenses = zip(pinholes(views, found.cameras), photos.lenses, told, strict=True)
    lenses = tuple(lens if of_adjusted else given for lens, given, of_adjusted in found_lenses)
    held = replace(photos, lenses=lenses)
    second = network_matches(own, held, how, folder)
    (more, of_more), _ = adjusted_to(second, views, found, held, fixed | ~free, how, progress)
    if not of_more.kept:
        progress.note(f"{NAME}: the matches of {own.source} do not join {', '.join(report.following)}: {of_more.why}")
        return by_sift
    assert of_more.following is not None and report.adjusted is not None
    left = tuple(name for name in report.following if name in of_more.following)
    joined = tuple(name for name in report.following if name not in left)
    whole = with_points_of(found, more, free)
    adjusted = report.adjusted + len(joined)
    return whole, replace(report, adjusted=adjusted, following=left, joined=joined, points=len(whole.points))


def with_points_of(first: Geometry, second: Geometry, free: torch.Tensor) -> Geometry:
    """The second's cameras with the points of both; depth followed the first's in views that are not `free` (bool)."""
    assert first.tracks is not None and second.tracks is not None
    points, colors, errors = (torch.cat([getattr(g, name) for g in (first, second)]) for name in ("points", "colors", "errors"))
    tracks = Tracks(
        torch.cat((first.tracks.view, second.tracks.view)),
        torch.cat((first.tracks.point, second.tracks.point + len(first.points))),
        torch.cat((first.tracks.xy, second.tracks.xy)),
    )
    depth = None
    if first.depth is not None and second.depth is not None:
        maps = zip(first.depth, second.depth, free.tolist(), strict=True)
        depth = tuple(moved if moves else kept for kept, moved, moves in maps)
    return replace(second, points=points, colors=colors, errors=errors, tracks=tracks, depth=depth)


@dataclass(frozen=True)
class Database:
    """Matches of the photos, or why there are none."""

    tracks: str  # who made them
    path: Path
    longest: int  # pixels, the side of the pictures that its pixels are of
    nothing: str | None


def sift(views: Views, photos: Views, how: Matched, folder: Path, progress: Progress) -> Database:
    """SIFT's, of the undistorted photos."""
    threads, seed = threads_and_seed(how)
    matched = Matcher(
        photos, undistorted_pictures(views), how.sequence, how.device, threads, seed, folder, "photos", progress
    )
    try:
        path = matched(how.matching)
    except InputError as nothing:  # what ends structure from motion only leaves these cameras as they are
        return Database("sift", folder, how.matching.max_image_size, nothing.what)
    return Database("sift", path, how.matching.max_image_size, without_overlap(path, len(matched.pairs)))


def network_matches(matches: Matches, photos: Views, how: Matched, folder: Path) -> Database:
    """A network's own. They are as exact as its pictures, so pixels are of these: COLMAP's bounds are pixels."""
    path = folder / f"{matches.source}.db"
    pairs = write_matches(matches, photos, path, *threads_and_seed(how))
    return Database(matches.source, path, matches.longest, without_overlap(path, pairs))


def threads_and_seed(how: Matched) -> tuple[int, int]:
    return (os.cpu_count() or 1, 0) if how.seed is None else (1, how.seed)


def adjusted_to(
    database: Database, views: Views, geometry: Geometry, photos: Views, fixed: torch.Tensor, how: Matched,
    progress: Progress,
) -> tuple[Improved, ViewMatches | None]:  # fmt: skip
    """The geometry adjusted to these matches, or as it was; and those that were held back."""
    if database.nothing:
        return (geometry, BundleAdjustmentReport(False, database.nothing, database.tracks)), None
    start = predicted(views, geometry.cameras, fixed)
    found = bundle_adjusted(database.path, photos, start, database.longest, *threads_and_seed(how), progress)
    sizes = [feature_size(photos, i, database.longest)[1] for i in range(len(photos))]
    photo_from_picture = float(np.median(photos.photo_sizes[:, 1].numpy() / np.array(sizes)))
    report = of_fits(found, photo_from_picture, database.tracks)
    if found.model is None:
        return (geometry, report), found.held
    after = followed(
        views, geometry, mapping_of(found.model, photos, NAME, "", how.seed is not None), photos.camera_index, fixed
    )
    return (after.geometry, of_kept(report, found.model, after, views)), found.held


def neither(by_sift: BundleAdjustmentReport, by_own: BundleAdjustmentReport) -> BundleAdjustmentReport:
    """What the report says where both leave the cameras: of what was measured, if only one was."""
    told = by_own if by_own.held_back_tracks is not None else by_sift
    return replace(told, why=f"{by_sift.why} (SIFT); {by_own.why} ({by_own.tracks})")


def pinholes(views: Views, cameras: Cameras) -> tuple[Lens, ...]:
    """Of the undistorted full-size photos."""
    K = torch.linalg.inv(views.pixel_from_photo) @ cameras.K
    return tuple(Lens.pinhole(k, *size) for k, size in zip(K.numpy(), views.photo_sizes.tolist(), strict=True))


def of_fits(found: Adjustment, photo_from_picture: float, tracks: str) -> BundleAdjustmentReport:
    """What was measured on held-back tracks, in pixels of the full-size photos."""
    why = found.refused or "tracks held back from it fit better"
    if found.before is None or found.after is None:
        return BundleAdjustmentReport(False, why, tracks)
    before, after = (round(fit.median_px * photo_from_picture, 3) for fit in (found.before, found.after))
    return BundleAdjustmentReport(
        found.model is not None, why, tracks, found.before.tracks, before if np.isfinite(before) else None,
        after if np.isfinite(after) else None, round(found.before.agreeing, 3), round(found.after.agreeing, 3),
    )  # fmt: skip


def of_kept(report: BundleAdjustmentReport, model: Model, after: Followed, views: Views) -> BundleAdjustmentReport:
    follows = tuple(name for i, name in enumerate(views.names) if i not in set(model.views))
    report = replace(report, adjusted=len(model.views), following=follows, points=len(model.points))
    if after.depth_scales is None or after.off_before is None or after.off_after is None:
        return report
    scales = tuple(round(float(x), 4) for x in (after.depth_scales.min(), after.depth_scales.max()))
    return replace(
        report, depth_scales=scales, depth_off_before=round(after.off_before, 4), depth_off_after=round(after.off_after, 4)
    )


def in_words(report: BundleAdjustmentReport) -> str:
    if not report.kept:
        return f"{NAME}: cameras stay as predicted, as {report.why}"
    by = "" if report.tracks == "sift" else f" to the matches of {report.tracks}"
    fit = f"{report.px_before} to {report.px_after} px (median, {report.held_back_tracks} tracks held back)"
    joined = f"; {len(report.joined)} of them to the network's own matches" if report.joined else ""
    follows = f"; {len(report.following)} follow their neighbours" if report.following else ""
    return f"{NAME}: {report.adjusted} cameras adjusted{by}, {fit}{joined}{follows}"


def pack(found: Improved) -> Arrays:
    """How an adjusted geometry lies in the work folder; what is not adjusted is taken from the geometry before."""
    geometry, report = found
    words = {name: getattr(report, name) for name in report.__dataclass_fields__}
    arrays = {"words": np.array(json.dumps(words))}
    if not report.kept:
        return arrays
    cameras, tracks = geometry.cameras, geometry.tracks
    assert tracks is not None
    kept = {
        "camera_from_world": cameras.camera_from_world, "K": cameras.K, "camera_index": cameras.camera_index,
        "points": geometry.points, "colors": geometry.colors, "errors": geometry.errors, "view": tracks.view,
        "point": tracks.point, "xy": tracks.xy,
    }  # fmt: skip
    kept |= {f"depth_{i}": depth for i, depth in enumerate(geometry.depth or ())}
    return arrays | {name: x.numpy() for name, x in kept.items()}


def unpack(geometry: Geometry, arrays: Arrays) -> Improved:
    words: dict[str, Any] = json.loads(str(arrays["words"]))
    words = {name: tuple(value) if isinstance(value, list) else value for name, value in words.items()}
    report = BundleAdjustmentReport(**words)
    geometry = replace(geometry, matches=None)
    if not report.kept:
        return geometry, report
    x = {name: torch.from_numpy(value) for name, value in arrays.items() if name != "words"}
    cameras = Cameras(x["camera_from_world"], x["K"], geometry.cameras.sizes, x["camera_index"])
    depth = None if geometry.depth is None else tuple(x[f"depth_{i}"] for i in range(len(geometry.depth)))
    tracks = Tracks(x["view"], x["point"], x["xy"])
    return replace(
        geometry, cameras=cameras, points=x["points"], colors=x["colors"], errors=x["errors"], tracks=tracks, depth=depth
    ), report
