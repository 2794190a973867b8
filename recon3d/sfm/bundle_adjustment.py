"""Predicted cameras pulled into place by matches: bundle adjustment that is believed only where it fits other tracks better.

What it does not do as `attempts.attempt_from` does: cameras that are known stay as they are, and where the matches do not
improve what was predicted, that stays.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch

from recon3d.core.cameras import Cameras
from recon3d.core.following import between
from recon3d.core.lens import Lens
from recon3d.core.views import Views
from recon3d.progress import Progress
from recon3d.sfm.acceptance import MAX_FOCAL_DEVIATION, MIN_POINTS, Estimated, refusal
from recon3d.sfm.adjustment import adjusted
from recon3d.sfm.attempts import COLMAPS, believed_part, disturbed, matched_views, not_determined, pulled
from recon3d.sfm.features import Camera, cameras_of, feature_size
from recon3d.sfm.held_back import ViewMatches, hold_back
from recon3d.sfm.held_back_tracks import Fit, better_by, fit_of, tracks_of, triangulated_by
from recon3d.sfm.models import Model, Poses, pipeline_options, poses_of, triangulated, with_lenses, write_lenses
from recon3d.sfm.settings import DEFAULT, RELAXED, Settings
from recon3d.sfm.twin import CLEARLY

# Pixels to a projection and degrees to a ray, in which free cameras are adjusted to known ones, one after the other.
AROUND_KNOWN = ((16.0, 4.0), COLMAPS, COLMAPS)


@dataclass(frozen=True)
class Predicted:
    """Cameras of N views that did not come from their matches; `fixed` ones are known, and never moved."""

    camera_from_world: Annotated[np.ndarray, "N 4 4"]
    lenses: tuple[Lens, ...]  # N pinholes, of the full-size photos
    fixed: Annotated[np.ndarray, "N"]  # bool


@dataclass(frozen=True)
class Adjustment:
    """What came of it: the model of all matches with the adjusted cameras, or why there is none."""

    model: Model | None  # of the views that are believed, in a world of its own; its pixels are those of feature pictures
    refused: str | None
    before: Fit | None = None  # on held-back tracks between the views of the model
    after: Fit | None = None
    held: ViewMatches | None = None  # the matches that were held back


def bundle_adjusted(
    database: Path, views: Views, predicted: Predicted, longest: int, threads: int, seed: int, progress: Progress
) -> Adjustment:
    """Adjust predicted cameras to four fifths of the tracks of a database, and judge them by the rest.

    `views` say what is known of their lenses and which photos share a camera (these share one focal length); `longest` is
    the side of the pictures that features were taken from. Where cameras are fixed, the model stands in their world. On one
    thread the result repeats.
    """
    cameras = tuple(predicted_focal(camera, predicted) for camera in cameras_of(views, longest))
    reduced = database.with_suffix(".guessed.db")
    held = hold_back(database, reduced, len(views), seed)
    poses = {view: predicted.camera_from_world[view] for view in matched_views(reduced)}
    known = {view: pose for view, pose in poses.items() if predicted.fixed[view]}
    if len(poses) < 2:
        return Adjustment(None, "no two photos overlap")
    if len(known) == len(poses):
        return Adjustment(None, "the cameras of all photos that overlap are given")
    pull = Pull(reduced, cameras, known, threads, seed, progress)
    pull, found = pull.determined(poses, len(views))
    if isinstance(found, str):
        return Adjustment(None, found, held=held)
    found, measured = believed_part(found, held, estimated_focals(pull.cameras, len(views)))
    refused = refusal(measured)
    if refused is not None:
        return Adjustment(None, refused, held=held)
    return replace(judged(replace(pull, database=database), predicted, found, held), held=held)


@dataclass(frozen=True)
class Pull:
    """Matches that pull cameras, of which some are known."""

    database: Path
    cameras: tuple[Camera, ...]
    known: Poses
    threads: int
    seed: int
    progress: Progress

    def determined(self, poses: Poses, count: int) -> tuple[Pull, Model | str]:
        """The cameras where the matches pull them to, from disturbed ones too; or what to say where that is elsewhere.

        A focal length that the photos do not determine is held where it was predicted: the pull that did so is returned.
        """
        this = self
        model = this.model(poses, count)
        if model is not None and float(estimated_focals(this.cameras, count).deviations(model).max()) > MAX_FOCAL_DEVIATION:
            this = replace(this, cameras=tuple(replace(camera, known=True, focal_known=True) for camera in this.cameras))
            model = this.model(poses, count)
        other = None if model is None else this.model({**disturbed(poses, self.seed), **self.known}, count)
        if model is None or other is None:
            return this, "no matches agree with the cameras"
        return this, not_determined(model, other) or model

    def model(self, poses: Poses, count: int) -> Model | None:
        """Points, and cameras that fit them; None where nothing fits."""
        write_lenses(self.database, self.cameras)
        options = pipeline_options(self.cameras, RELAXED, self.threads, self.seed)
        model = pulled(self.database, self.cameras, poses, options, count, self.progress)
        return model if model is None or not self.known else self.around_known(model, poses)

    def around_known(self, model: Model, predicted: Poses) -> Model | None:
        """A model brought to the known cameras, which then stay, while the others are adjusted to them."""
        cameras, poses = with_lenses(self.cameras, model), in_world_of(self.known, poses_of(model), predicted)
        for bounds in AROUND_KNOWN:
            model = self.triangulated(cameras, poses, bounds)
            if not len(model.points):
                return None
            model = adjusted(model, cameras, fixed=self.known.keys())
            cameras, poses = with_lenses(cameras, model), {**poses_of(model), **self.known}
        return self.triangulated(cameras, poses, COLMAPS)

    def triangulated(
        self, cameras: tuple[Camera, ...], poses: Poses, bounds: tuple[float, float], settings: Settings = RELAXED
    ) -> Model:
        options = pipeline_options(cameras, settings, self.threads, self.seed)
        pixels, degrees = bounds
        options.mapper.filter_max_reproj_error = pixels
        options.triangulation.merge_max_reproj_error = options.triangulation.complete_max_reproj_error = pixels
        options.triangulation.create_max_angle_error = options.triangulation.continue_max_angle_error = degrees
        return triangulated(self.database, cameras, poses, options, self.database.with_suffix(".points"))


def in_world_of(known: Poses, poses: Poses, predicted: Poses) -> Poses:
    """Poses in the world of the known ones: by the similarity of these; of a single one, by its turn and place, and the
    scale of all that were predicted. Known ones among them are as given.
    """
    both = [view for view in known if view in poses]
    anchors = both if len(both) > 1 else sorted(poses)
    source, target = ({**poses}, {**predicted, **known})
    carried = between(*(bare_cameras([some[view] for view in anchors]) for some in (source, target)))
    found = {}
    moved = bare_cameras(list(poses.values())).transformed(carried).camera_from_world.numpy()
    for view, pose in zip(poses, moved, strict=True):
        found[view] = pose
    if len(both) == 1:
        correction = np.linalg.inv(found[both[0]]) @ known[both[0]]
        found = {view: pose @ correction for view, pose in found.items()}
    return {**found, **{view: known[view] for view in both}}


def bare_cameras(poses: list[Annotated[np.ndarray, "4 4"]]) -> Cameras:
    """Cameras of which only the poses mean something."""
    count = len(poses)
    K, sizes = torch.eye(3, dtype=torch.float64).repeat(count, 1, 1), torch.ones(count, 2, dtype=torch.int64)
    return Cameras(torch.from_numpy(np.stack(poses)), K, sizes, torch.arange(count))


def judged(pull: Pull, predicted: Predicted, found: Model, held: ViewMatches) -> Adjustment:
    """Believed where the tracks that were held back say clearly that it is better than what was predicted."""
    lenses = dict(zip(found.views, found.lenses, strict=True))
    as_predicted = {view: predicted.lenses[view].resized(lens.height, lens.width) for view, lens in lenses.items()}
    tracks = tracks_of(held, set(found.views))
    before = triangulated_by({v: predicted.camera_from_world[v] for v in found.views}, as_predicted, tracks)
    after = triangulated_by(poses_of(found), lenses, tracks)
    fits = fit_of(before), fit_of(after)
    if better_by(after, before) < CLEARLY:
        return Adjustment(None, "tracks held back from it do not tell that it is better", *fits)
    return Adjustment(completed(replace(pull, cameras=with_lenses(pull.cameras, found)), poses_of(found)), None, *fits)


def fits_worse(held: ViewMatches, views: Views, longest: int, before: Predicted, after: Predicted) -> bool:
    """Whether matches of others, in pixels of pictures of at most `longest`, say clearly that cameras were better before."""
    every = range(len(views))
    tracks = tracks_of(held, set(every))
    models = []
    for cameras in (before, after):
        lenses = {view: cameras.lenses[view].resized(*feature_size(views, view, longest)) for view in every}
        models.append(triangulated_by(dict(enumerate(cameras.camera_from_world)), lenses, tracks))
    return better_by(models[1], models[0]) <= -CLEARLY


def completed(pull: Pull, poses: Poses) -> Model:
    """The points of all matches with the cameras as they were judged.

    Points of two views tell their depth badly, and splats that start from them are worse (fountain-P11, 11 photos, 256 px, 300
    steps: 23.2 dB of held-out photos with them, 24.2 without). They count only where a view would see too few others.
    """
    model = pull.triangulated(pull.cameras, poses, COLMAPS, DEFAULT)
    if np.bincount(model.view, minlength=len(model.views)).min() >= MIN_POINTS:
        return model
    return pull.triangulated(pull.cameras, poses, COLMAPS)


def predicted_focal(camera: Camera, predicted: Predicted) -> Camera:
    """Starting at the median of what was predicted for its views, where the lens is not given and EXIF tells nothing.

    A focal length of EXIF starts the adjustment, and is adjusted too: it is off by some percent.
    """
    lens = camera.lens
    if camera.focal_known:
        return replace(camera, focal_known=camera.known)
    its = [predicted.lenses[view].resized(lens.height, lens.width) for view in camera.views]
    focal = float(np.median([np.sqrt(one.param("fx") * one.param("fy")) for one in its]))
    middle = (float(np.median([one.param(name) for one in its])) for name in ("cx", "cy"))
    return replace(camera, lens=replace(lens, params=(focal, *middle, 0.0)))


def estimated_focals(cameras: tuple[Camera, ...], count: int) -> Estimated:
    """Whose focal length is adjusted, and which of `count` views share it."""
    owner, free = np.zeros(count, np.int64), np.zeros(count, bool)
    for number, camera in enumerate(cameras):
        owner[list(camera.views)], free[list(camera.views)] = number, not camera.focal_known
    return Estimated(free, owner, distortion=False)
