"""How well cameras explain tracks that they were not adjusted to: each is triangulated by them, and projected again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from recon3d.core.lens import Lens
from recon3d.sfm.acceptance import MAX_REPROJECTION
from recon3d.sfm.adjustment import distances
from recon3d.sfm.held_back import ViewMatches
from recon3d.sfm.models import Model, Poses
from recon3d.sfm.twin import lead

ITERATIONS = 8  # of triangulation


@dataclass(frozen=True)
class HeldTracks:
    """M observations of T tracks: of each its view, its track, and where it is in pixels of its feature picture."""

    view: Annotated[np.ndarray, "M"]
    track: Annotated[np.ndarray, "M"]
    xy: Annotated[np.ndarray, "M 2"]

    @property
    def count(self) -> int:
        return int(self.track.max(initial=-1)) + 1


@dataclass(frozen=True)
class Fit:
    """How well cameras fit tracks."""

    tracks: int
    median_px: float  # over all observations, pixels of the feature picture; infinite ones lie behind their camera
    agreeing: float  # share of the observations within MAX_REPROJECTION


def tracks_of(matches: ViewMatches, views: set[int]) -> HeldTracks:
    """Connected components of matches between some views; those that a view sees twice are wrong and left out."""
    kept = matches[np.isin(matches.first, list(views)) & np.isin(matches.second, list(views))]
    ends = np.concatenate([np.column_stack([kept.first, kept.xy_first]), np.column_stack([kept.second, kept.xy_second])])
    seen, number = np.unique(ends, axis=0, return_inverse=True)
    number = number.reshape(2, -1)
    edges = coo_matrix((np.ones(len(kept)), (number[0], number[1])), shape=(len(seen), len(seen)))
    track, view = connected_components(edges, directed=False)[1], seen[:, 0].astype(np.int64)
    once = np.unique(np.column_stack([track, view]), axis=0)
    good = np.bincount(track) == np.bincount(once[:, 0], minlength=int(track.max(initial=-1)) + 1)
    stays = good[track] if len(track) else np.zeros(0, bool)
    return HeldTracks(view[stays], np.unique(track[stays], return_inverse=True)[1].reshape(-1), seen[stays, 1:])


def triangulated_by(poses: Poses, lenses: dict[int, Lens], tracks: HeldTracks) -> Model:
    """The tracks as the points of a model of these cameras.

    Linear triangulation in the frame of the cameras' middle (Hartley & Zisserman 2004, section 12.2), again and again with
    rows divided by their depth, which makes their error one in pixels, and weighted against outliers (Cauchy's).
    """
    views = tuple(sorted(poses))
    camera_from_world = np.stack([poses[view] for view in views])
    row = np.searchsorted(views, tracks.view)
    centers = -np.einsum("nji,nj->ni", camera_from_world[:, :3, :3], camera_from_world[:, :3, 3])
    middle, size = centers.mean(0), max(float(np.ptp(centers, axis=0).max()), 1e-9)
    local = camera_from_world[:, :3].copy()
    local[:, :, 3] = (local[:, :, :3] @ middle + local[:, :, 3]) / size
    rays = np.zeros_like(tracks.xy)
    for i, view in enumerate(views):
        rays[row == i] = lenses[view].rays_of_pixels(tracks.xy[row == i])
    P, focal = local[row], np.array([lenses[view].param("fx") for view in views])[row]
    equations = np.nan_to_num(rays[:, :, None] * P[:, 2:] - P[:, :2]) * focal[:, None, None]
    weight, points = np.ones(len(row)), np.zeros((tracks.count, 3))
    for _ in range(ITERATIONS):
        normal = np.zeros((tracks.count, 4, 4))
        np.add.at(normal, tracks.track, np.einsum("mri,mrj,m->mij", equations, equations, weight))
        null = np.linalg.eigh(normal)[1][:, :, 0] if tracks.count else np.zeros((0, 4))
        points = null[:, :3] / np.where(np.abs(null[:, 3:]) < 1e-12, 1e-12, null[:, 3:])
        depth = np.einsum("mj,mj->m", P[:, 2, :3], points[tracks.track]) + P[:, 2, 3]
        homogeneous = np.column_stack([points, np.ones(len(points))])[tracks.track]
        off = np.einsum("mri,mi->mr", equations, homogeneous) / np.maximum(np.abs(depth), 1e-3)[:, None]
        weight = 1 / np.maximum(depth**2, 1e-6) / (1 + (off**2).sum(1) / MAX_REPROJECTION**2)
    return Model(
        views, camera_from_world, tuple(lenses[view] for view in views), middle + size * points, np.zeros(tracks.count),
        row, tracks.track, np.zeros(len(row), np.int64), tracks.xy,
    )  # fmt: skip


def fit_of(model: Model) -> Fit:
    """How well a model of held-back tracks fits them."""
    off = distances(model)
    if not len(off):
        return Fit(0, float("inf"), 0.0)
    return Fit(len(model.points), float(np.median(off)), float((off < MAX_REPROJECTION).mean()))


def better_by(after: Model, before: Model) -> float:
    """Standard deviations by which one of two models of the same tracks fits them better (`twin.lead`)."""
    return lead(after, before) if len(after.points) else 0.0
