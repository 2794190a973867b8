"""Tracks kept away from the mapper, so that its model can be tested by matches that it has not seen."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from recon3d.sfm.features import image_id
from recon3d.sfm.matching import PairMatches, read_keypoints, read_matches
from recon3d.sfm.pycolmap import colmap

SHARE = 0.2  # of the tracks


@dataclass(frozen=True)
class ViewMatches:
    """M matches of two views as pixels of their feature pictures."""

    first: Annotated[np.ndarray, "M"]  # view
    second: Annotated[np.ndarray, "M"]
    xy_first: Annotated[np.ndarray, "M 2"]
    xy_second: Annotated[np.ndarray, "M 2"]

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, rows) -> ViewMatches:
        return ViewMatches(self.first[rows], self.second[rows], self.xy_first[rows], self.xy_second[rows])

    def by_pair(self) -> Iterator[tuple[int, int, Annotated[np.ndarray, "E"]]]:
        """Every pair of views that shares a match, in order, with the rows of its matches."""
        order = np.lexsort((self.second, self.first))
        first, second = self.first[order], self.second[order]
        ends = np.flatnonzero((np.diff(first) != 0) | (np.diff(second) != 0)) + 1
        for rows in np.split(order, ends) if len(order) else []:
            yield int(self.first[rows[0]]), int(self.second[rows[0]]), rows

    def thinned(self, most: int) -> ViewMatches:
        """At most `most` of the matches, evenly spread over the list."""
        return self[np.linspace(0, len(self) - 1, most).astype(int)] if len(self) > most else self


def hold_back(database: Path, reduced: Path, views: int, seed: int) -> ViewMatches:
    """Copy a database to `reduced` without the verified matches of a fifth of the tracks; returns those.

    A track is a connected component of all verified matches: whole tracks go, so that no remaining match implies a
    missing one.
    """
    shutil.copyfile(database, reduced)
    pairs = [p for p in read_matches(database) if len(p.verified)]
    keypoints = read_keypoints(database, views)
    start, track = _tracks(pairs, [len(k) for k in keypoints])
    held = np.random.default_rng([seed, 20]).random(len(track)) < SHARE
    file = colmap.Database.open(reduced)
    try:
        taken = []
        for pair in pairs:
            out = held[track[start[pair.first] + pair.verified[:, 0]]]
            ids = image_id(pair.first), image_id(pair.second)
            geometry = file.read_two_view_geometry(*ids)
            geometry.inlier_matches = pair.verified[~out].astype(np.uint32)
            file.delete_two_view_geometry(*ids)
            file.write_two_view_geometry(*ids, geometry)
            taken.append(PairMatches(pair.first, pair.second, pair.raw, pair.verified[out]))
    finally:
        file.close()
    return view_matches(taken, keypoints)


def view_matches(pairs: list[PairMatches], keypoints: list[Annotated[np.ndarray, "F 2"]]) -> ViewMatches:
    """The verified matches of pairs in pixels."""
    first = np.concatenate([np.full(len(p.verified), p.first) for p in pairs] or [np.zeros(0)]).astype(np.int64)
    second = np.concatenate([np.full(len(p.verified), p.second) for p in pairs] or [np.zeros(0)]).astype(np.int64)
    none = [np.zeros((0, 2))]
    xy_first = np.concatenate([keypoints[p.first][p.verified[:, 0]] for p in pairs] or none)
    xy_second = np.concatenate([keypoints[p.second][p.verified[:, 1]] for p in pairs] or none)
    return ViewMatches(first, second, xy_first.astype(np.float64), xy_second.astype(np.float64))


def _tracks(
    pairs: list[PairMatches], counts: list[int]
) -> tuple[Annotated[np.ndarray, "N+1"], Annotated[np.ndarray, "F"]]:
    """Where each view's features start in the list of all, and the track of every feature."""
    start = np.concatenate([[0], np.cumsum(counts)])
    a = np.concatenate([start[p.first] + p.verified[:, 0] for p in pairs] or [np.zeros(0, np.int64)])
    b = np.concatenate([start[p.second] + p.verified[:, 1] for p in pairs] or [np.zeros(0, np.int64)])
    graph = coo_matrix((np.ones(len(a), np.int8), (a, b)), shape=(start[-1], start[-1]))
    return start, connected_components(graph, directed=False)[1]
