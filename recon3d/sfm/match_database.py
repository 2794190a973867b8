"""Matches that a network made, as the COLMAP database that SIFT's would be: keypoints, and verified matches of pairs of views."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
from scipy.spatial import KDTree

from recon3d.core.matches import Matches
from recon3d.core.views import Views
from recon3d.sfm.features import cameras_of, feature_size, image_id, write_cameras
from recon3d.sfm.matching import pairs_to_match, verify
from recon3d.sfm.pycolmap import colmap

# Pixels of the network's pictures: observations of one view within so much of each other are one keypoint. Three procedural
# scenes of 8 views, two seeds, matches of pairs at whole pixels with 0.7 px of noise and a tenth wrong: 1325 to 1507 tracks of
# three views or more unjoined, 3108 to 3730 so; 2 px give as many, and a third of all tracks is lost, as they meet a view twice.
# Cameras 2.4 to 2.8 degrees off end within 0.050, 0.025 and 0.034 degrees (tools/benchmarks/network_matches.py).
JOINED = 1.0


def write_matches(matches: Matches, views: Views, database: Path, threads: int, seed: int) -> int:
    """A new database of undistorted views, in pixels of pictures of at most `matches.longest`; returns its pairs of views."""
    view, xy = matches.view.numpy(), matches.xy.numpy()
    sizes = np.array([feature_size(views, i, matches.longest) for i in range(len(views))])
    scale = (sizes / views.photo_sizes.numpy())[:, ::-1]
    keypoints, owner = joined(view, xy * scale[view], len(views), JOINED)
    pairs = pairs_of(matches, owner, len(views))
    file = colmap.Database.open(database)
    try:
        write_cameras(file, cameras_of(views, matches.longest))
        for i, found in enumerate(keypoints):
            file.write_keypoints(image_id(i), found.astype(np.float32))
        for (i, j), found in pairs.items():
            file.write_matches(image_id(i), image_id(j), found.astype(np.uint32))
    finally:
        file.close()
    verify(database, threads, seed)
    return len(pairs)


def joined(
    view: Annotated[np.ndarray, "M"], xy: Annotated[np.ndarray, "M 2"], views: int, within: float
) -> tuple[list[Annotated[np.ndarray, "F 2"]], Annotated[np.ndarray, "M"]]:
    """Keypoints of every view, and which of its view every observation is.

    In their order, each observation that is none yet becomes a keypoint, where it is, and takes those near it: exact ones stay
    exact, and tracks of several pairs of views grow together.
    """
    keypoints, owner = [], np.full(len(view), -1)
    for i in range(views):
        rows = np.flatnonzero(view == i)
        mine = xy[rows]
        near = KDTree(mine).query_ball_point(mine, within) if len(mine) else []
        number, first = np.full(len(mine), -1), []
        for row, others in enumerate(near):
            if number[row] < 0:
                free = [other for other in others if number[other] < 0]
                number[free] = len(first)
                first.append(row)
        owner[rows] = number
        keypoints.append(mine[first])
    return keypoints, owner


def pairs_of(
    matches: Matches, keypoint: Annotated[np.ndarray, "M"], views: int
) -> dict[tuple[int, int], Annotated[np.ndarray, "E 2"]]:
    """Keypoints that every two views (i < j) share a track by, each once.

    The first observation of a track is matched with all others, these with each other where SIFT's would be: few photos all,
    of many those near each other in their order.
    """
    track, view = matches.track.numpy(), matches.view.numpy()
    order = np.argsort(track, kind="stable")
    ends = np.flatnonzero(np.diff(track[order])) + 1
    lengths = np.diff(np.concatenate([[0], ends, [len(order)]]))
    near = np.zeros((views, views), bool)
    near[tuple(np.array(pairs_to_match(views), np.int64).reshape(-1, 2).T)] = True
    starts, found = np.concatenate([[0], ends]), []
    for length in np.unique(lengths):
        rows = order[starts[lengths == length, None] + np.arange(length)]  # T length
        for a in range(length):
            for b in range(a + 1, length):
                one, other = rows[:, a], rows[:, b]
                turned = view[one] > view[other]
                i, j = np.where(turned, other, one), np.where(turned, one, other)
                kept = (view[i] != view[j]) & (near[view[i], view[j]] | (a == 0))
                found.append(np.column_stack([view[i], view[j], keypoint[i], keypoint[j]])[kept])
    every = one_to_one(np.concatenate(found or [np.zeros((0, 4), np.int64)]))
    ends = np.flatnonzero((np.diff(every[:, :2], axis=0) != 0).any(1)) + 1
    return {(int(some[0, 0]), int(some[0, 1])): some[:, 2:] for some in np.split(every, ends) if len(some)}


def one_to_one(found: Annotated[np.ndarray, "E 4"]) -> Annotated[np.ndarray, "D 4"]:
    """Rows (view, view, keypoint, keypoint), in order, without those whose keypoint has a match in that view before."""
    for side in (2, 3):
        _, first = np.unique(found[:, [0, 1, side]], axis=0, return_index=True)
        found = found[np.sort(first)]
    return found[np.lexsort(found.T[[3, 2, 1, 0]])]
