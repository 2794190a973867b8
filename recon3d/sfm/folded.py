"""Folded models: two like places joined into one. Found by what photos should show and do not, though others that stand there do.

A model of two equal doors joined into one passes every test of pixels, for the doors' points agree. But around the door each
half of the photos shows a wall of its own: points that the other half, standing at the same place, ought to show and does
not. Published forms of this: missing correspondences (Zach et al. 2010), conflicting observations (Heinly et al. 2014).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from scipy.spatial import KDTree

from recon3d.core.geometry import Geometry
from recon3d.progress import first_of

# Degrees between rays, and ratio of scales, up to which SIFT finds most features again. With 1.5 three of 60 parts of few photos
# of street, a drive forward, were suspected: a camera further on then judged what lay three times the way ahead.
MAX_ANGLE, MAX_ZOOM = 15.0, 1.25
GRID = 6  # cells along each side of a photo
LEAST, OWN = 4, 3  # points of another photo, and observations of its own, for which a cell of a photo is judged
MISSING = 0.1  # share of the other's points that a cell shows itself, up to which it shows something else
HIDDEN = 0.1  # of its depth: what lies so much behind a photo's own points is hidden by these
NEIGHBOURS = 4  # of its own points, which tell what is hidden
# Of the cells of two photos that stand alike, in true models of seven real scenes 0 to 3 % speak against (street the most), and
# no cut gathers them; across the cut of folded ones 15 to 60 %, with next to none on either side (tools/benchmarks/folded.py).
WEIGHT = 6.0  # of a cell that speaks against, beside one that speaks for
MIN_CELLS, MIN_SHARE = 10, 0.15  # that speak against two groups standing together: how many, and of all that are judged
MIN_RATIO = 5.0  # of that share to the one within the groups

@dataclass(frozen=True)
class FoldedReport:
    """Photos that probably stand at another place than where the model has them, and those that they stand among."""

    photos: tuple[str, ...]
    among: tuple[str, ...]  # the other photos of the cells
    against: int  # cells of photos that should show points of the other group, and show none of them
    judged: int  # cells


@dataclass(frozen=True)
class Cells:
    """How many cells of the two photos of a pair speak for and against their standing together; symmetric."""

    agreeing: Annotated[np.ndarray, "N N"]  # int
    against: Annotated[np.ndarray, "N N"]


def folded(geometry: Geometry, names: Sequence[str], matched: Annotated[np.ndarray, "N N"]) -> FoldedReport | None:
    """Whether a group of photos was put onto a like place; None where nothing speaks for that.

    `matched` (bool) tells which pairs were compared at all: others can share no points.
    """
    cells = judged_cells(geometry, matched)
    apart = best_cut(cells)
    against, judged = across(cells, apart)
    elsewhere = int(cells.against.sum()) // 2 - against
    of_elsewhere = int((cells.against + cells.agreeing).sum()) // 2 - judged
    limit = max(MIN_SHARE, MIN_RATIO * elsewhere / max(of_elsewhere, 1))
    if against < MIN_CELLS or against < limit * judged:
        return None
    touched = (cells.against + cells.agreeing)[np.ix_(apart, ~apart)].any(0)
    return FoldedReport(
        tuple(np.array(names)[apart].tolist()), tuple(np.array(names)[~apart][touched].tolist()), against, judged
    )


def in_words(found: FoldedReport) -> str:
    """One line for the user."""
    seen = f"{found.against} of the {found.judged} parts of these photos in which both should see the same show something else"
    mend = "two like places may have been joined into one: look at the scene there, or run them apart"
    where = f"may not have been taken where the model has them, beside {first_of(found.among)}"
    return f"{first_of(found.photos)} {where}: {seen}; {mend}"


def across(cells: Cells, apart: Annotated[np.ndarray, "N"]) -> tuple[int, int]:
    """Cells between two groups of photos: against, and all."""
    rows = np.ix_(apart, ~apart)
    against = int(cells.against[rows].sum())
    return against, against + int(cells.agreeing[rows].sum())


def best_cut(cells: Cells) -> Annotated[np.ndarray, "N"]:
    """The group of photos (bool, the smaller one) that most speaks for standing apart from the others.

    Each photo in turn changes sides while that helps, from each photo alone and from the signed graph's smoothest halves
    (Kunegis et al. 2010).
    """
    weight = cells.agreeing - WEIGHT * cells.against
    n = len(weight)
    laplacian = np.diag(np.abs(weight).sum(1)) - weight
    starts = [np.arange(n) == i for i in range(n)] + [v > 0 for v in np.linalg.eigh(laplacian)[1].T[: min(n, 4)]]
    best, least = np.zeros(n, bool), 0.0
    for start in starts:
        side = np.where(start, 1.0, -1.0)
        for _ in range(10 * n):
            gain = side * (weight @ side)  # how much the cut would grow, were the photo on the other side
            i = int(gain.argmin())
            if gain[i] >= 0:
                break
            side[i] = -side[i]
        cut = float(weight[np.ix_(side > 0, side < 0)].sum())
        if cut < least:
            best, least = side > 0, cut
    return best if 2 * best.sum() <= n else ~best


def judged_cells(geometry: Geometry, matched: Annotated[np.ndarray, "N N"]) -> Cells:
    """The cells of every matched pair."""
    assert geometry.tracks is not None
    n, view, point = len(geometry), geometry.tracks.view.numpy(), geometry.tracks.point.numpy()
    sees = np.zeros((n, len(geometry.points)), bool)
    sees[view, point] = True
    agreeing, against = np.zeros((n, n), np.int64), np.zeros((n, n), np.int64)
    for j in range(n):
        others = np.flatnonzero(matched[j]).tolist()
        shown, cell = shown_points(geometry, j, point[view == j])
        own = np.bincount(cell[sees[j] & (cell >= 0)], minlength=GRID**2)
        for i in others:
            rows = np.flatnonzero(sees[i] & shown)
            rows = rows[seen_alike(geometry, i, j, rows)]
            expected = np.bincount(cell[rows], minlength=GRID**2)
            shared = np.bincount(cell[rows[sees[j, rows]]], minlength=GRID**2)
            judged = (expected >= LEAST) & (own >= OWN)
            missing = judged & (shared <= MISSING * expected)
            against[i, j] += missing.sum()
            agreeing[i, j] += (judged & ~missing).sum()
    return Cells(agreeing + agreeing.T, against + against.T)


def shown_points(
    geometry: Geometry, j: int, own: Annotated[np.ndarray, "M"]
) -> tuple[Annotated[np.ndarray, "P"], Annotated[np.ndarray, "P"]]:
    """Which points photo j should show (bool), and in which cell (-1: outside of it).

    A point is hidden where most of the photo's own points nearby (`own`) are clearly before it.
    """
    pixels, depth = (x[0].numpy() for x in geometry.cameras[[j]].project(geometry.points))
    height, width = geometry.cameras.size(j)
    inside = geometry.cameras[[j]].shows(geometry.points)[0].numpy()
    column, row = (np.clip(pixels[:, k] / size * GRID, 0, GRID - 1) for k, size in ((0, width), (1, height)))
    cell = np.where(inside, GRID * np.nan_to_num(row).astype(int) + np.nan_to_num(column).astype(int), -1)
    shown = np.zeros(len(cell), bool)
    if len(own) > NEIGHBOURS:
        rows = np.flatnonzero(inside)
        _, nearest = KDTree(pixels[own]).query(pixels[rows], NEIGHBOURS)
        shown[rows] = np.median(depth[own][nearest], 1) > (1 - HIDDEN) * depth[rows]
    return shown, cell


def seen_alike(geometry: Geometry, i: int, j: int, rows: Annotated[np.ndarray, "k"]) -> Annotated[np.ndarray, "k"]:
    """Which of some points (bool) photos i and j look at from about the same direction, at about the same scale."""
    centers, focals = geometry.cameras.centers_in_world[[i, j]].numpy(), geometry.cameras.focal_lengths[[i, j]].numpy()
    rays = geometry.points[rows].numpy() - centers[:, None]
    far = np.maximum(np.linalg.norm(rays, axis=2), 1e-12)
    cosine = (rays[0] * rays[1]).sum(1) / (far[0] * far[1])
    zoom = np.abs(np.log((focals[0] / far[0]) / (focals[1] / far[1])))
    return (cosine > np.cos(np.radians(MAX_ANGLE))) & (zoom < np.log(MAX_ZOOM))
