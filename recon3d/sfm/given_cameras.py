"""Given cameras: held exactly, other views registered to them; and how far they are from what the photos say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from recon3d.core.views import Views
from recon3d.errors import InputError
from recon3d.progress import Progress
from recon3d.sfm.acceptance import MIN_POINTS, Estimated, agreement, evidence, unbelieved_views
from recon3d.sfm.camera_axes import AXES, Mistake, mirrored, mistakes, without
from recon3d.sfm.features import Camera, cameras_of, image_name
from recon3d.sfm.held_back import ViewMatches, hold_back, view_matches
from recon3d.sfm.matching import read_keypoints, read_matches
from recon3d.sfm.models import Model, Poses, incremental_models, pipeline_options, starting_at, triangulated
from recon3d.sfm.settings import RELAXED

DISAGREES = 3.0  # pixels of the feature picture: median epipolar error above which it is said (published poses: under 1)
MEASURED_ON = 20_000  # matches, evenly spread
SEARCHED_ON, PAIRS = 600, 6  # of them, and of the pairs of views that they join, for each of 96 mistakes
ALIKE = 0.03  # shares of agreeing matches that do not tell two mistakes apart
MISTAKEN = 0.5  # share of the matches that agree (acceptance.agreement) below which a mistake is looked for
UNEXPLAINED = "no turned, mirrored or inverse camera axes explain it (how the world's axes are turned does not matter)"
HOPELESS = 0.15  # below this share there is nothing to triangulate; cameras of other photos reached 0.13
FOCALS = tuple(np.geomspace(0.35, 3.0, 44).tolist())  # of the longest side, tried where only the pose is given


def register_to_given(
    database: Path, views: Views, longest: int, threads: int, seed: int, where: str, progress: Progress
) -> tuple[Model, dict[str, Any]]:
    """A model of all views with a given pose and of those that register to them, and how far the photos disagree.

    `longest`: side of the pictures that the database's features were taken from.
    Raises InputError at `where` where hardly a match agrees with the given cameras.
    """
    poses = given_poses(views)
    if len(poses) < 2:
        what = f"{len(poses)} of {len(views)} photos has a given pose, and points need two"
        raise InputError(where, what, "Give the cameras of more photos, or leave --cameras out")
    pairs = [p for p in read_matches(database) if len(p.verified)]
    matches = view_matches(pairs, read_keypoints(database, len(views))).thinned(MEASURED_ON)
    cameras = with_best_focal(cameras_of(views, longest), matches, poses)
    disagreement = disagreement_of(matches, cameras, poses, views)
    refuse_hopeless(disagreement, where)
    if disagreement.get("disagrees"):
        progress.note(in_words(disagreement))
    options = pipeline_options(cameras, RELAXED, threads, seed)
    options.fix_existing_frames = options.mapper.fix_existing_frames = True
    model = triangulated(database, cameras, poses, options, database.with_suffix(".posed"), refine_lenses=True)
    if len(poses) < len(views) or not all(camera.known for camera in cameras):
        believed = registering(database, cameras, poses, len(views), options, progress)
        options.image_names = [image_name(view) for view in sorted(believed | set(poses))]
        extended = incremental_models(database, len(views), options, progress, database.with_suffix(".posed"))
        model = extended[0] if extended else model
    if len(model.points) < MIN_POINTS:
        far = f": {in_words(disagreement)}" if disagreement.get("disagrees") else ""
        what = f"only {len(model.points)} points can be triangulated with the {len(poses)} given cameras{far}"
        raise InputError(where, what, "Give the cameras of photos that overlap, or leave --cameras out")
    return with_all_given(model, cameras, poses), disagreement


def given_poses(views: Views) -> Poses:
    """camera_from_world of the views that have one."""
    known = views.known_camera_from_world
    if known is None:
        return {}
    return {i: known[i].double().numpy() for i in views.pose_known.nonzero()[:, 0].tolist()}


def registering(
    database: Path, cameras: tuple[Camera, ...], poses: Poses, count: int, options, progress: Progress
) -> set[int]:
    """Views without a given pose that register, and that matches held back from that agree with."""
    reduced = database.with_suffix(".reduced.db")
    held = hold_back(database, reduced, count, options.random_seed)
    folder = database.with_suffix(".given")
    triangulated(reduced, cameras, poses, options, folder)
    given = Estimated(np.zeros(count, bool), np.arange(count), False)
    for model in incremental_models(reduced, count, options, progress, folder)[:1]:
        return set(model.views) - set(poses) - set(unbelieved_views(evidence(model, held, given)))
    return set()


def with_all_given(model: Model, cameras: tuple[Camera, ...], poses: Poses) -> Model:
    """The model with the given poses to the bit, and with given views that COLMAP left out for seeing nothing."""
    found = dict(zip(model.views, model.camera_from_world, strict=True)) | dict(poses)
    lens = {view: camera.lens for camera in cameras for view in camera.views}
    lens |= dict(zip(model.views, model.lenses, strict=True))
    views = tuple(sorted(found))
    number = np.array([views.index(view) for view in model.views], np.int64)
    return replace(
        model,
        views=views,
        camera_from_world=np.stack([found[view] for view in views]),
        lenses=tuple(lens[view] for view in views),
        view=number[model.view],
    )


def disagreement_of(matches: ViewMatches, cameras: tuple[Camera, ...], poses: Poses, views: Views) -> dict[str, Any]:
    """How far the matches of views with given poses are from what those say; {} where there are none.

    `median_pixels` is the distance from the epipolar lines in pixels of the photos, `agreeing` the share of matches that
    can be triangulated before both cameras, `explanation` the usual mistake without which most of them agree.
    """
    errors, rows = epipolar_errors(matches, cameras, poses)
    if not len(errors):
        return {}
    scale = {view: int(views.photo_sizes[view, 1]) / camera.lens.width for camera in cameras for view in camera.views}
    to_photo = float(np.median([scale[view] for view in matches.first[rows].tolist()]))
    median, agreeing = float(np.median(errors)), share_that_agrees(matches, cameras, poses)
    disagrees = median > DISAGREES or agreeing < MISTAKEN
    explained = explanation_of(matches, cameras, poses, agreeing) if disagrees else None
    return {
        "disagrees": disagrees,
        "median_pixels": median * to_photo,
        "limit_pixels": DISAGREES * to_photo,
        "matches": len(errors),
        "agreeing": agreeing,
        "explanation": explained and explained[0],
        "explained_median_pixels": explained and explained[1] * to_photo,
    }


def explanation_of(
    matches: ViewMatches, cameras: tuple[Camera, ...], poses: Poses, agreeing: float
) -> tuple[str, float] | None:
    """The mistake without which most matches agree, at least twice as many as now, and the median error then.

    Of mistakes that explain as many matches the first of `mistakes` is named: it is the one made most often.
    """
    few, tried = of_few_pairs(matches, poses), []
    for axes in AXES:
        for inverted in (False, True):
            turned = {view: without(Mistake(axes, inverted), pose) for view, pose in poses.items()}
            refocused = with_best_focal(cameras, few, turned)  # a mirror leaves epipolar lines where they are
            for mistake in (Mistake(axes, inverted), Mistake(mirrored(axes), inverted)):
                mended = {view: without(mistake, pose) for view, pose in poses.items()}
                tried.append((mistake, refocused, mended, share_that_agrees(few, refocused, mended)))
    best = max(share for *_, share in tried)
    order = mistakes()
    mistake, refocused, mended, _ = min(
        (one for one in tried if one[-1] > best - ALIKE), key=lambda one: order.index(one[0])
    )
    if mistake == order[0] or share_that_agrees(matches, refocused, mended) <= max(MISTAKEN, 2 * agreeing):
        return None
    return mistake.words, float(np.median(epipolar_errors(matches, refocused, mended)[0]))


def of_few_pairs(matches: ViewMatches, poses: Poses) -> ViewMatches:
    """Matches of PAIRS pairs of posed views, evenly spread: a search over all pairs of a long capture takes minutes."""
    rows = [rows for i, j, rows in matches.by_pair() if i in poses and j in poses]
    chosen = np.linspace(0, len(rows) - 1, min(len(rows), PAIRS)).astype(int)
    return matches[np.concatenate([rows[i] for i in chosen])].thinned(SEARCHED_ON)


def share_that_agrees(matches: ViewMatches, cameras: tuple[Camera, ...], poses: Poses) -> float:
    """Share of the matches of two posed views that these cameras triangulate before themselves and near their pixels."""
    lens = {view: camera.lens for camera in cameras for view in camera.views}
    none, index = np.zeros((0, 3)), np.zeros(0, np.int64)
    views = tuple(sorted(poses))
    posed = Model(
        views, np.stack([poses[v] for v in views]), tuple(lens[v] for v in views), none, none[:, 0], index, index, index,
        none[:, :2],
    )  # fmt: skip
    agrees, _, _ = agreement(posed, matches)
    return float(agrees.mean()) if len(agrees) else 0.0


def refuse_hopeless(disagreement: dict[str, Any], where: str) -> None:
    """Raise InputError where a mistake explains why most matches disagree, or so few agree that they give no points."""
    if not disagreement:
        return
    agreeing, explained = disagreement["agreeing"], disagreement["explanation"] is not None
    if agreeing < (MISTAKEN if explained else HOPELESS):
        what = f"only {agreeing:.0%} of the matches can be triangulated: {in_words(disagreement)}"
        mend = "Mend the cameras" if explained else "Check that they belong to these photos"
        raise InputError(where, what, f"{mend}, or leave --cameras out")


def in_words(disagreement: dict[str, Any]) -> str:
    """One line for the user."""
    line = f"the given cameras are {disagreement['median_pixels']:.1f} pixels (median) from what the photos show"
    if disagreement["explanation"] is None:
        return f"{line}; {UNEXPLAINED}"
    return f"{line}; {disagreement['explanation']} would leave {disagreement['explained_median_pixels']:.1f}"


def with_best_focal(cameras: tuple[Camera, ...], matches: ViewMatches, poses: Poses) -> tuple[Camera, ...]:
    """The cameras, unknown focal lengths set to that of FOCALS by which matches lie nearest to their epipolar lines."""
    if all(camera.focal_known for camera in cameras):
        return cameras
    tried = [starting_at(focal, cameras) for focal in FOCALS]
    errors = [epipolar_errors(matches, t, poses)[0] for t in tried]
    if not all(map(len, errors)):
        return cameras
    return tried[int(np.argmin([np.median(e) for e in errors]))]


def epipolar_errors(
    matches: ViewMatches, cameras: tuple[Camera, ...], poses: Poses
) -> tuple[Annotated[np.ndarray, "E"], Annotated[np.ndarray, "E"]]:
    """Sampson distances in pixels of the feature pictures, and which of the matches: those of two posed views.

    Sampson distance: Hartley & Zisserman 2004, eq. 11.9. Pairs without a baseline have no epipolar line: left out.
    """
    lens = {view: camera.lens for camera in cameras for view in camera.views}
    errors, rows = [], []
    for i, j, of_pair in matches.by_pair():
        if i not in poses or j not in poses:
            continue
        relative = poses[j] @ np.linalg.inv(poses[i])
        x, y, z = relative[:3, 3]
        essential = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ relative[:3, :3]
        a, b = lens[i].rays_of_pixels(matches.xy_first[of_pair]), lens[j].rays_of_pixels(matches.xy_second[of_pair])
        lines_b = np.column_stack([a, np.ones(len(a))]) @ essential.T
        lines_a = np.column_stack([b, np.ones(len(b))]) @ essential
        away = (lines_b[:, :2] * b).sum(1) + lines_b[:, 2]
        slope = np.sqrt((lines_a[:, :2] ** 2).sum(1) + (lines_b[:, :2] ** 2).sum(1))
        known = np.isfinite(away) & (slope > 1e-12)
        focal = np.sqrt(lens[i].param("fx") * lens[j].param("fx"))
        errors.append(focal * np.abs(away[known]) / slope[known])
        rows.append(of_pair[known])
    none = [np.zeros(0)]
    return np.concatenate(errors or none), np.concatenate(rows or none).astype(np.int64)
