"""One attempt to find cameras: a model from four fifths of the tracks, tested by the rest, completed.

By COLMAP's mapper with given settings; or from cameras that something else guessed, pulled into place by the matches.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import torch

from recon3d.core.origin import center_of
from recon3d.core.views import Views
from recon3d.metrics.poses import pair_errors
from recon3d.progress import Progress
from recon3d.sfm.acceptance import Estimated, Measured, evidence, measure, refusal, unbelieved_views
from recon3d.sfm.adjustment import adjusted, at_minimum
from recon3d.sfm.features import Camera, cameras_of, image_name
from recon3d.sfm.held_back import ViewMatches, hold_back
from recon3d.sfm.matching import read_matches
from recon3d.sfm.models import (
    Model,
    Poses,
    global_models,
    incremental_models,
    only_views,
    pipeline_options,
    poses_of,
    starting_at,
    triangulated,
    with_lenses,
    write_lenses,
)
from recon3d.sfm.settings import MIN_MATCHES, RELAXED, Settings
from recon3d.sfm.twin import CLEARLY, rival
from recon3d.sfm.twin import VIEWS_UP_TO as TWIN_UP_TO

# Bounds within which matches pull guessed cameras into place, one after the other: pixels to a projection, degrees to a ray.
# Five synthetic views with a focal length 5 % off: from cameras 6 degrees wrong all of three seeds end within 0.1 degrees, from
# 10 degrees two; with COLMAP's own bounds alone two and none.
WIDE, COLMAPS = (64.0, 10.0), (4.0, 2.0)
SETTLED_UP_TO = 12  # views; of more, the last adjustment once more would cost seconds
DISTURBED, SAME = 3.0, 2.0  # degrees: how far guessed cameras are disturbed, and how far apart what comes of both may be


@dataclass(frozen=True)
class Attempt:
    """What one attempt came to: a model that is believed, or why there is none."""

    settings: Settings
    model: Model | None  # completed with the held-back matches
    measured: Measured | None  # of the model before it saw them; None where the mapper found nothing
    refused: str | None  # the first reason against it


@dataclass(frozen=True)
class Guess:
    """Cameras of all N views that did not come from their matches."""

    source: str
    camera_from_world: Annotated[np.ndarray, "N 4 4"]
    focals: Annotated[np.ndarray, "N"]  # of the longest side


def attempt(database: Path, views: Views, settings: Settings, threads: int, seed: int, progress: Progress) -> Attempt:
    """Map a database of matches, believe or refuse the model, and complete it with the matches held back."""
    cameras, reduced = cameras_of(views, settings.matching.max_image_size), database.with_suffix(".reduced.db")
    held = hold_back(database, reduced, len(views), seed)
    options = pipeline_options(cameras, settings, threads, seed)
    estimated = estimated_lenses(views, cameras, settings)
    starts = settings.focal_starts if not all(c.focal_known for c in cameras) else settings.focal_starts[:1]
    found = []
    for start in starts:
        started = starting_at(start, cameras)
        write_lenses(reduced, started)
        if settings.mapper == "global":
            models = global_models(reduced, len(views), started, threads, seed, progress)
            models = [with_given_lenses(model, started, settings.refine_distortion) for model in models[:1]]
        else:
            models = incremental_models(reduced, len(views), options, progress)
        found += [settled(model, cameras, held, estimated) for model in models[:1]]
    if not found:
        return Attempt(settings, None, None, "the mapper found nothing to start from")
    model, measured = max(found, key=lambda f: better(f[1]))
    refused = refusal(measured)
    if refused is None:
        model, measured, refused = not_another(reduced, cameras, model, measured, held, estimated, options, progress)
    if refused is None:
        model = completed(database, cameras, model, held, estimated, options, progress)
    return Attempt(settings, None if refused else model, measured, refused)


def attempt_from(
    database: Path, views: Views, guess: Guess, settings: Settings, threads: int, seed: int, progress: Progress
) -> Attempt:
    """The same from guessed cameras, pulled into place by the matches.

    Matches that tell too little leave cameras about where they were guessed, and agree with them (beach-drone, 4 photos: 5.6
    degrees off, agreement 1.0). So the guess is disturbed, pulled again, and refused where that ends elsewhere.
    """
    cameras, reduced = cameras_of(views, settings.matching.max_image_size), database.with_suffix(".guessed.db")
    held = hold_back(database, reduced, len(views), seed)
    options = pipeline_options(cameras, settings, threads, seed)
    estimated = estimated_lenses(views, cameras, settings)
    cameras = tuple(guessed_focal(camera, guess) for camera in cameras)
    write_lenses(reduced, cameras)
    poses = {view: guess.camera_from_world[view] for view in matched_views(reduced)}
    if not poses:
        return Attempt(settings, None, None, "too few matches are left to test its cameras by others")
    models = [pulled(reduced, cameras, p, options, len(views), progress) for p in (poses, disturbed(poses, seed))]
    found = [settled(model, cameras, held, estimated) for model in models if model is not None]
    if len(found) < 2:
        return Attempt(settings, None, None, "no matches agree with its cameras")
    model, measured = found[0]
    refused = refusal(measured) or not_determined(model, found[1][0])
    options.mapper.filter_max_reproj_error = COLMAPS[0]
    if refused is None:
        model, measured, refused = not_another(reduced, cameras, model, measured, held, estimated, options, progress)
    if refused is None:
        model = completed(database, with_lenses(cameras, model), model, held, estimated, options, progress)
    return Attempt(settings, None if refused else model, measured, refused)


def pulled(
    database: Path, cameras: tuple[Camera, ...], poses: Poses, options, views: int, progress: Progress
) -> Model | None:
    """Points triangulated with guessed cameras, and both adjusted, in bounds that close in; None where nothing fits."""
    folder, model = database.with_suffix(".points"), None
    for pixels, degrees in (WIDE, COLMAPS):
        options.mapper.filter_max_reproj_error = pixels
        options.triangulation.merge_max_reproj_error = options.triangulation.complete_max_reproj_error = pixels
        options.triangulation.create_max_angle_error = options.triangulation.continue_max_angle_error = degrees
        triangulated(database, cameras, poses, options, folder)
        options.image_names = [image_name(view) for view in poses]
        found = incremental_models(database, views, options, progress, folder)
        options.image_names = []
        if not found or not len(found[0].points):
            return None
        model = found[0]
        cameras, poses = with_lenses(cameras, model), poses_of(model)
    return model


def disturbed(poses: Poses, seed: int) -> Poses:
    """Cameras turned, and moved by as much as that is at their distance from each other."""
    chance = np.random.default_rng([seed, 30])
    size = np.radians(DISTURBED) / np.sqrt(3)
    centers = np.stack([center_of(pose) for pose in poses.values()])
    apart = np.linalg.norm(centers - centers.mean(0), axis=1).mean()
    found = {}
    for (view, pose), center in zip(poses.items(), centers, strict=True):
        rotation = cv2.Rodrigues(size * chance.normal(size=3))[0] @ pose[:3, :3]
        found[view] = np.eye(4)
        found[view][:3] = np.c_[rotation, -rotation @ (center + apart * size * chance.normal(size=3))]
    return found


def not_determined(one: Model, other: Model) -> str | None:
    """What to say of two models of the same matches that differ; None where they do not."""
    both = sorted(set(one.views) & set(other.views))
    if both != sorted(one.views):
        return "cameras a little elsewhere end with other photos joined"
    cameras = (torch.from_numpy(only_views(model, both).camera_from_world) for model in (one, other))
    apart = float(pair_errors(*cameras).worst.max())
    if apart > SAME:
        return f"the matches do not tell its cameras: others end {apart:.0f} degrees elsewhere, where {SAME:g} are allowed"
    return None


def matched_views(database: Path) -> list[int]:
    """Views that overlap with another one: COLMAP's mapper knows no others."""
    pairs = [p for p in read_matches(database) if len(p.verified) >= MIN_MATCHES]
    return sorted({view for p in pairs for view in (p.first, p.second)})


def of_guess(guess: Guess, settings: Settings) -> Settings:
    """Settings of an attempt from guessed cameras, on the matches of others."""
    return replace(RELAXED, name=guess.source, about="its cameras, pulled into place by the matches", matching=settings.matching)


def guessed_focal(camera: Camera, guess: Guess) -> Camera:
    """Starting at the focal length that was guessed, where nothing else tells it."""
    if camera.focal_known:
        return camera
    focal = float(np.median(guess.focals[list(camera.views)])) * max(camera.lens.height, camera.lens.width)
    return replace(camera, lens=replace(camera.lens, params=(focal, *camera.lens.params[1:])))


def with_given_lenses(model: Model, cameras: tuple[Camera, ...], distortion: bool) -> Model:
    """What the global mapper made of cameras of which some are known: it adjusts the lenses of all or of none."""
    known = {view: camera.lens for camera in cameras if camera.known for view in camera.views}
    if not known or all(camera.known for camera in cameras):
        return model
    lenses = tuple(known.get(view, lens) for view, lens in zip(model.views, model.lenses, strict=True))
    return adjusted(replace(model, lenses=lenses), cameras, True, distortion)


def settled(
    model: Model, cameras: tuple[Camera, ...], held: ViewMatches, estimated: Estimated
) -> tuple[Model, Measured]:
    """The part of a model that is believed at the minimum of its own observations, and what it measures there.

    Views that are not believed are left out first: a focal length on its way to infinity has no minimum.
    """
    model, measured = believed_part(model, held, estimated)
    moved = len(model.views) <= SETTLED_UP_TO
    while moved and refusal(measured) is None:
        before = model.views
        model = at_minimum(model, cameras, estimated.distortion)
        model, measured = believed_part(model, held, estimated, measured.left_out)
        moved = model.views != before
    return model, measured


def believed_part(
    model: Model, held: ViewMatches, estimated: Estimated, left_out: tuple[str, ...] = ()
) -> tuple[Model, Measured]:
    """The model without the views that are not believed, nor those that are not without these; and what it measures."""
    while weak := unbelieved_views(found := evidence(model, held, estimated)):
        model = only_views(model, sorted(set(model.views) - set(weak)))
        left_out += tuple(weak.values())
    return model, measure(found, left_out)


def not_another(
    database: Path, cameras: tuple[Camera, ...], model: Model, measured: Measured, held: ViewMatches, estimated: Estimated,
    options, progress: Progress,
) -> tuple[Model, Measured, str | None]:  # fmt: skip
    """A believed model of few views or its rival, whichever fits clearly better; refused where neither does."""
    if len(model.views) > TWIN_UP_TO:
        return model, measured, None
    other = rival(model, cameras, estimated.distortion)
    if other is None or other.lead >= CLEARLY:
        return model, measured, None
    if other.lead > -CLEARLY:
        return model, measured, f"the photos show {other.shows} as well"
    mapped = from_model(database, cameras, other.model, options, progress)[1]
    if mapped is None:
        return model, measured, f"the photos show {other.shows} better"
    taken, of_taken = settled(mapped, cameras, held, estimated)
    return taken, of_taken, refusal(of_taken)


def better(m: Measured) -> tuple[bool, int, float]:
    """The order of models from several focal lengths: believed, of more views, and lying nearer to its matches.

    The depth-reversed solution of nearly parallel views can agree with every held-back match, but fits less well (flower,
    views 5, 8, 9, 11: 0.54 pixels in the mean, the right one 0.36).
    """
    return refusal(m) is None, m.views, -m.reprojection


def completed(
    database: Path, cameras: tuple[Camera, ...], model: Model, held: ViewMatches, estimated: Estimated, options,
    progress: Progress,
) -> Model:  # fmt: skip
    """A believed model with the points of all matches, adjusted once more.

    Should the last adjustment lead away from what was believed, the model keeps the cameras that it had.
    """
    same, moved = from_model(database, cameras, model, options, progress)
    if moved is not None:
        if len(moved.views) <= SETTLED_UP_TO:
            moved = at_minimum(moved, cameras, estimated.distortion)
        believed, after = believed_part(moved, held, estimated)
        if believed.views == model.views and refusal(after) is None:
            return moved
    return same


def from_model(
    database: Path, cameras: tuple[Camera, ...], model: Model, options, progress: Progress
) -> tuple[Model, Model | None]:
    """The points of all matches of a database with a model's cameras as they are, and adjusted (None: to nothing)."""
    folder = database.with_suffix(".posed")
    same = triangulated(database, with_lenses(cameras, model), poses_of(model), options, folder)
    options.image_names = [image_name(view) for view in model.views]
    adjusted = incremental_models(database, len(model.views), options, progress, folder)
    options.image_names = []
    return same, adjusted[0] if adjusted and adjusted[0].views == model.views else None


def estimated_lenses(views: Views, cameras: tuple[Camera, ...], settings: Settings) -> Estimated:
    """Whose focal length nothing tells but the photos, and which views share it."""
    pairs = zip(views.lenses, views.focal_priors, strict=True)
    owner = {view: number for number, camera in enumerate(cameras) for view in camera.views}
    return Estimated(
        np.array([lens is None and prior is None for lens, prior in pairs]),
        np.array([owner[view] for view in range(len(views))]),
        settings.refine_distortion,
    )
