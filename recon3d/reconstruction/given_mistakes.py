"""Whether given cameras are mistaken, by what a network predicted: its surfaces take the place of matches.

Judged, named and worded by the code that judges them by COLMAP's matches (`sfm/given_cameras.py`), on pictures so small that
a network's own errors are a few pixels. Where that leaves a doubt the photos themselves are matched, and decide.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from recon3d.core.cameras import fitted_size
from recon3d.core.geometry import Geometry
from recon3d.core.lens import Lens
from recon3d.core.views import Views
from recon3d.errors import InputError
from recon3d.io.photos import pictures
from recon3d.progress import Progress
from recon3d.reconstruction.stereo_of_known import shown_in
from recon3d.sfm.features import Camera, cameras_of
from recon3d.sfm.given_cameras import disagreement_of, given_poses, in_words
from recon3d.sfm.held_back import ViewMatches, view_matches
from recon3d.sfm.matching import Matcher, read_keypoints, read_matches
from recon3d.sfm.settings import Matching

# Longest side of the pictures in which matches are judged: acceptance.MAX_REPROJECTION is then four hundredths of it, as two
# degrees of a usual lens, which the worst networks are off by.
LONGEST = 100
OF_A_VIEW = 150  # points
MOST_PAIRS = 60
MATCHED = Matching(max_image_size=800, max_num_features=3072)
MOST_MATCHED = 8  # views whose photos are matched
LEAST_MATCHES = 30  # of photos, which then decide
LEAST_VIEWS = 3  # whose cameras are refused by the prediction alone: of two views, a bad one can look like any mistake


def disagreement(
    taken: Views, views: Views, predicted: Geometry, seed: int, where: str, progress: Progress
) -> dict[str, Any]:
    """How far given poses are from what the network predicted (`by`: "prediction") or, where they are far, from the
    photos' own matches, if there are any ("matches"); in pixels of the photos. {} where nothing tells.

    `taken`: the views as loaded; `views` and `predicted` undistorted, not aligned yet. Raises InputError at `where` where a
    usual mistake (inverse, flipped, turned or mirrored matrices) explains it.
    """
    poses = {view: pose for view, pose in given_poses(views).items() if not views.held_out[view]}
    matches = predicted_matches(predicted, sorted(poses))
    by, found = "prediction", disagreement_of(matches, cameras_for(predicted), poses, views)
    if found and found["disagrees"]:
        measured = by_photos(taken, most_matched(matches), seed, where, progress)
        by, found = ("matches", measured) if measured else (by, found)
    if not found:
        return {}
    believed = by == "matches" or len(poses) >= LEAST_VIEWS
    if found["explanation"] is not None and believed:
        what = f"only {found['agreeing']:.0%} of the {by} can be triangulated: {in_words(found)}"
        raise InputError(where, what.replace("prediction", "predicted surfaces"), "Mend the cameras, or leave --cameras out")
    if found["disagrees"]:
        note = in_words(found) if by == "matches" else in_words(found).replace("what the photos show", "what was predicted")
        progress.note(note)
    return {"by": by, **found}


def most_matched(matches: ViewMatches) -> list[int]:
    """The views of the pairs that share most surface, at most MOST_MATCHED."""
    chosen: list[int] = []
    for i, j, _ in sorted(matches.by_pair(), key=lambda pair: -len(pair[2])):
        new = [view for view in (i, j) if view not in chosen]
        if len(chosen) + len(new) <= MOST_MATCHED:
            chosen += new
    return sorted(chosen)


def by_photos(views: Views, rows: list[int], seed: int, where: str, progress: Progress) -> dict[str, Any]:
    """The same by SIFT matches of some photos; {} where they have too few."""
    some = views[rows]
    with tempfile.TemporaryDirectory(prefix="recon3d-known-", ignore_cleanup_errors=True) as folder:
        try:
            matched = Matcher(some, pictures(some), False, "cpu", 1, seed, Path(folder), where, progress)
            database = matched(MATCHED)
        except InputError:  # photos without features: the prediction has the word
            return {}
        pairs = [pair for pair in read_matches(database) if len(pair.verified)]
        matches = view_matches(pairs, read_keypoints(database, len(some)))
    if len(matches) < LEAST_MATCHES:
        return {}
    return disagreement_of(matches, cameras_of(some, MATCHED.max_image_size), given_poses(some), some)


def cameras_for(predicted: Geometry) -> tuple[Camera, ...]:
    """One camera a view, for pictures of LONGEST pixels."""
    made = []
    for i, K in enumerate(predicted.cameras.K.numpy()):
        size = predicted.cameras.size(i)
        made.append(Camera((i,), Lens.pinhole(K, *size).resized(*fitted_size(*size, LONGEST)), True, True))
    return tuple(made)


def predicted_matches(geometry: Geometry, rows: list[int]) -> ViewMatches:
    """Pixels of two views that show one predicted point, of some pairs of the views `rows`."""
    assert geometry.depth is not None
    pairs = [(i, j) for i in rows for j in rows if i < j]
    chosen = [pairs[k] for k in np.linspace(0, len(pairs) - 1, min(len(pairs), MOST_PAIRS)).astype(int)]
    first, second, xy = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros((2, 0, 2))]
    for i, j in chosen:
        known = (geometry.depth[i] > 0).flatten().nonzero()[:, 0]
        known = known[:: max(1, len(known) // OF_A_VIEW)]
        points = geometry.cameras.unproject(i, geometry.depth[i])[0].reshape(-1, 3)[known]
        seen, there, _, _ = shown_in(geometry, j, points)
        (here,), _ = geometry.cameras[[i]].project(points[seen])
        first.append(np.full(len(seen), i))
        second.append(np.full(len(seen), j))
        xy.append(np.stack([small(geometry, i, here), small(geometry, j, there)]))
    a, b = np.concatenate(xy, 1)
    return ViewMatches(np.concatenate(first), np.concatenate(second), a, b)


def small(geometry: Geometry, i: int, pixels: Annotated[Tensor, "P 2"]) -> Annotated[np.ndarray, "P 2"]:
    """Pixels of view i in its picture of LONGEST pixels."""
    size = geometry.cameras.size(i)
    height, width = fitted_size(*size, LONGEST)
    return (pixels * torch.tensor([width / size[1], height / size[0]])).numpy()


