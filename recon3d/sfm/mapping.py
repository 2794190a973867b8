"""Structure from motion: views in, cameras and sparse points out. The steps are features, matching and COLMAP's mapper."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from recon3d.core.lens import Lens
from recon3d.core.shapes import check_shapes
from recon3d.core.views import Views
from recon3d.errors import InputError
from recon3d.progress import Progress
from recon3d.sfm.attempts import Attempt, Guess, attempt, attempt_from, of_guess
from recon3d.sfm.features import Pictures
from recon3d.sfm.given_cameras import register_to_given
from recon3d.sfm.matching import REMEDY, Matcher, without_overlap
from recon3d.sfm.models import Model
from recon3d.sfm.settings import ENOUGH, Matching, Settings, attempts


@dataclass(frozen=True)
class Mapping:
    """What structure from motion found: R registered of the N views, P points seen in M observations."""

    registered: tuple[int, ...]  # indices into the given views, ascending
    camera_from_world: Annotated[Tensor, "R 4 4"]  # float64
    lenses: tuple[Lens, ...]  # R, of the full-size upright photos
    points: Annotated[Tensor, "P 3"]  # float64, world
    errors: Annotated[Tensor, "P"]  # float64, mean reprojection error in photo pixels
    track_view: Annotated[Tensor, "M"]  # int64, index into `registered`
    track_point: Annotated[Tensor, "M"]  # int64, index into `points`
    track_xy: Annotated[Tensor, "M 2"]  # float64, pixels of the full-size photo as taken (distorted)
    settings: str  # "default", "relaxed", "global", "few views", "known cameras", or who guessed cameras
    why: str  # one line: why these settings
    repeatable: bool  # the same input and seed give the same bits
    acceptance: dict[str, Any] = field(default_factory=dict)  # what the acceptance test measured, with its limits
    disagreement: dict[str, Any] = field(default_factory=dict)  # how far given cameras are from the photos

    def __post_init__(self) -> None:
        check_shapes(self)


def geometry(
    views: Views,
    pictures: Pictures,
    *,
    seed: int | None = None,
    progress: Progress | None = None,
    where: str = "photos",
    sequence: bool = False,
    settings: Sequence[Settings] | None = None,
    device: str = "cpu",
    guess: Callable[[], Guess] | None = None,
) -> Mapping:
    """Cameras and sparse points of the views that overlap. `pictures` gives the upright pictures for features; descriptors
    are compared on `device`.

    Given poses and lenses are held exactly, and the other views are registered to them, with the features of the first of
    `settings` (None: `attempts` of so many views). Without any, these are tried in turn until one registers enough; where none
    gives cameras that are believed, those of `guess` are pulled into place by the matches, and must pass the same test. A
    `sequence` is matched in its order.
    With a seed everything runs on one thread and repeats bit for bit (COLMAP's sums depend on the number of threads).
    Raises InputError at `where` when there is nothing to match, no overlap, or no model that can be believed.
    """
    progress = progress or Progress()
    settings = attempts(Matching(), len(views)) if settings is None else settings
    threads = 1 if seed is not None else os.cpu_count() or 1
    with tempfile.TemporaryDirectory(prefix="recon3d-sfm-", ignore_cleanup_errors=True) as folder:
        matched = Matcher(views, pictures, sequence, device, threads, seed or 0, Path(folder), where, progress)
        if views.pose_known.any():
            matching = settings[0].matching
            database = matched(matching)
            apart = without_overlap(database, len(matched.pairs))
            if apart:
                raise InputError(where, apart, REMEDY)
            model, disagreement = register_to_given(
                database, views, matching.max_image_size, threads, seed or 0, where, progress
            )
            found = mapping_of(model, views, "known cameras", "cameras were given", seed is not None)
            return replace(found, disagreement=disagreement)
        tried = try_in_turn(matched, views, settings, threads, seed or 0, progress)
        if guess is not None and all(a.model is None for a in tried):
            tried.append(try_guess(matched, views, guess, tried[-1].settings, threads, seed or 0, progress))
    chosen = max((a for a in tried if a.model is not None), key=views_then_agreement, default=None)
    if chosen is None or chosen.model is None or chosen.measured is None:
        reasons = [f"with {a.settings.name} settings {a.refused}" for a in tried]
        if len({a.refused for a in tried}) == 1:
            reasons = [str(tried[0].refused)]
        raise InputError(where, f"no cameras can be believed: {'; '.join(reasons)}", REMEDY)
    found = mapping_of(chosen.model, views, chosen.settings.name, why(chosen, tried), seed is not None)
    return replace(found, acceptance=chosen.measured.report())


def try_in_turn(
    matched: Matcher, views: Views, settings_in_turn: Sequence[Settings], threads: int, seed: int, progress: Progress
) -> list[Attempt]:
    """Attempts with settings after settings, until a believed model holds 90 % of the views."""
    tried: list[Attempt] = []
    for settings in settings_in_turn:
        if tried:
            progress.note(f"{outcome(tried[-1], len(views))}: trying {settings.name} settings ({settings.about})")
        database = matched(settings.matching)
        apart = without_overlap(database, len(matched.pairs))
        if apart:
            tried.append(Attempt(settings, None, None, apart))
            continue
        tried.append(attempt(database, views, settings, threads, seed, progress))
        if tried[-1].model is not None and len(tried[-1].model.views) >= ENOUGH * len(views):
            break
    return tried


def try_guess(
    matched: Matcher, views: Views, guess: Callable[[], Guess], settings: Settings, threads: int, seed: int, progress: Progress
) -> Attempt:
    """From cameras that do not come from matches, on the matches of the settings that were tried last."""
    database = matched(settings.matching)
    found = guess()
    settings = of_guess(found, settings)
    apart = without_overlap(database, len(matched.pairs))
    if apart:
        return Attempt(settings, None, None, f"{apart}, so that nothing tests its cameras")
    progress.note(f"no settings of COLMAP gave cameras that can be believed: trying those of {found.source}")
    return attempt_from(database, views, found, settings, threads, seed, progress)


def views_then_agreement(tried: Attempt) -> tuple[int, float, float]:
    """The better of two believed models has more views, then more agreeing held-back matches, then lies nearer to its own
    (banana, 4 photos: all agree with models 1.3 and 0.4 degrees off, at 0.21 and 0.13 pixels)."""
    if tried.model is None or tried.measured is None:
        return 0, 0.0, 0.0
    return len(tried.model.views), tried.measured.agreement, -tried.measured.reprojection


def outcome(tried: Attempt, count: int) -> str:
    """What an attempt came to, in words."""
    if tried.model is None:
        return f"{tried.settings.name} settings gave no cameras that can be believed ({tried.refused})"
    return f"{tried.settings.name} settings registered {len(tried.model.views)} of {count} images"


def why(chosen: Attempt, tried: list[Attempt]) -> str:
    """One line: why these settings."""
    others = [outcome(a, 0 if a.measured is None else a.measured.of) for a in tried if a is not chosen]
    return "; ".join(others) if others else f"{chosen.settings.name} settings registered enough"


def mapping_of(model: Model, views: Views, settings: str, why: str, repeatable: bool) -> Mapping:
    """A model in the pixels of full-size photos; lenses and poses that were given come out as they came in."""
    lenses, scales = [], []
    for view, lens in zip(model.views, model.lenses, strict=True):
        height, width = (int(x) for x in views.photo_sizes[view])
        given = views.lenses[view]
        lenses.append(given if given is not None else lens.resized(height, width))
        scales.append((width / lens.width, height / lens.height))
    camera_from_world = torch.from_numpy(model.camera_from_world.copy())
    if views.known_camera_from_world is not None:
        rows = torch.tensor(model.views)
        given = views.pose_known[rows]
        camera_from_world[given] = views.known_camera_from_world[rows][given].double()
    photo_from_picture = np.array(scales)[model.view]
    errors = np.bincount(model.point, photo_from_picture.mean(1), len(model.points)) * model.errors
    errors /= np.maximum(np.bincount(model.point, minlength=len(model.points)), 1)
    return Mapping(
        registered=model.views,
        camera_from_world=camera_from_world,
        lenses=tuple(lenses),
        points=torch.from_numpy(model.points),
        errors=torch.from_numpy(errors),
        track_view=torch.from_numpy(model.view),
        track_point=torch.from_numpy(model.point),
        track_xy=torch.from_numpy(model.xy * photo_from_picture),
        settings=settings,
        why=why,
        repeatable=repeatable,
    )
