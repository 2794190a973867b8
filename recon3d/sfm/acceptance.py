"""Whether a model is believed: points per view, triangulation angle, a possible lens, and matches that were held back.

The limits were set on the scenes of `tools/benchmarks/few_views.py`: models within 2 degrees had 0.96 of the held-back
matches or more, one of 4 degrees 0.94, those joined by chance 0.75 or less; depth-reversed ones had 0.91 or more, and most
of them an impossible lens (what is done about the others: `attempts.better`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np

from recon3d.core.lens import Lens
from recon3d.sfm.held_back import ViewMatches
from recon3d.sfm.models import Model

MIN_VIEWS = 3  # two views leave an unknown focal length open: errors to 16 degrees at perfect agreement were seen
MIN_POINTS = 20  # seen by every view
MIN_ANGLE = 1.5  # degrees: median over the points of the largest angle between two of their rays
MAX_REPROJECTION = 4.0  # pixels of the feature picture in which a held-back match agrees (COLMAP's filter)
MIN_AGREEMENT = 0.9  # of the held-back matches
MIN_VIEW_AGREEMENT = 0.7  # of those of one view; a view with less is left out
FOCAL_RANGE = (0.3, 2.5)  # of the longest side: 117 to 23 degrees of view; only for a focal length that was estimated
MAX_DISTORTION = 0.4  # displacement of a corner, of its distance from the middle


@dataclass(frozen=True)
class Measured:
    """What the test measured of a model; shares from 0 to 1."""

    views: int
    of: int
    points_per_view: int  # the least
    angle: float  # degrees, median
    reprojection: float  # mean over the points, pixels of the feature picture; no limit, COLMAP's filter has one
    held_back: int  # matches between registered views
    agreement: float  # share of those that agree
    focal: float | None  # of the longest side, the most extreme of the estimated ones; None: all were given
    distortion: float  # of a corner, the largest

    def report(self) -> dict[str, Any]:
        """What was measured beside the limits."""
        limits = {
            "views": MIN_VIEWS, "points_per_view": MIN_POINTS, "angle": MIN_ANGLE, "agreement": MIN_AGREEMENT,
            "agreement_pixels": MAX_REPROJECTION, "focal": FOCAL_RANGE, "distortion": MAX_DISTORTION,
        }  # fmt: skip
        return {"measured": asdict(self), "limits": limits}


def measure(model: Model, held: ViewMatches, views: int, estimated: Annotated[np.ndarray, "N"]) -> Measured:
    """Measure a model of some of `views` views; `estimated` (bool) tells whose focal length is the model's own."""
    seen = np.bincount(model.view, minlength=len(model.views))
    agrees, _, _ = agreement(model, held)
    lenses = [lens for view, lens in zip(model.views, model.lenses, strict=True) if estimated[view]]
    focals = [lens.param("fx") / max(lens.height, lens.width) for lens in lenses]
    angles = triangulation_angles(model)
    return Measured(
        views=len(model.views),
        of=views,
        points_per_view=min(seen.tolist(), default=0),
        angle=float(np.median(angles)) if len(angles) else 0.0,
        reprojection=float(model.errors.mean()) if len(model.errors) else 0.0,
        held_back=len(agrees),
        agreement=float(agrees.mean()) if len(agrees) else 0.0,
        focal=max(focals, key=lambda f: abs(np.log(f))) if focals else None,
        distortion=max((corner_distortion(lens) for lens in lenses), default=0.0),
    )


def refusal(m: Measured) -> str | None:
    """What speaks against the model, measured against its limit; None where nothing does."""
    if m.views < min(MIN_VIEWS, m.of):
        return f"only {m.views} of {m.of} images are joined, where {MIN_VIEWS} are needed"
    if m.points_per_view < MIN_POINTS:
        return f"an image sees {m.points_per_view} points, where {MIN_POINTS} are needed"
    if m.angle < MIN_ANGLE:
        return f"rays meet at {m.angle:.1f} degrees in the median, where {MIN_ANGLE} are needed"
    if m.focal is not None and not FOCAL_RANGE[0] <= m.focal <= FOCAL_RANGE[1]:
        low, high = FOCAL_RANGE
        return f"the focal length came out as {m.focal:.1f} times the longest side, where {low} to {high} are possible"
    if m.distortion > MAX_DISTORTION:
        return f"the lens would move a corner by {m.distortion:.0%}, where {MAX_DISTORTION:.0%} are possible"
    if m.agreement < MIN_AGREEMENT:
        return f"{m.agreement:.0%} of {m.held_back} held-back matches agree, where {MIN_AGREEMENT:.0%} are needed"
    return None


def unbelieved_views(model: Model, held: ViewMatches) -> tuple[int, ...]:
    """Registered views that see too few points, or with which too few of their own held-back matches agree.

    The worst view goes first, and its matches no longer count against the views that it was matched with.
    """
    weak = np.bincount(model.view, minlength=len(model.views)) < MIN_POINTS
    agrees, first, second = agreement(model, held)
    while True:
        among = ~weak[first] & ~weak[second]
        of_views = np.concatenate([first[among], second[among]])
        count = np.bincount(of_views, minlength=len(weak))
        good = np.bincount(of_views, weights=np.tile(agrees[among], 2), minlength=len(weak))
        share = np.where(count > 0, good / np.maximum(count, 1), 1.0)
        if not (share < MIN_VIEW_AGREEMENT).any():
            return tuple(view for view, is_weak in zip(model.views, weak, strict=True) if is_weak)
        weak[share.argmin()] = True


def agreement(
    model: Model, matches: ViewMatches
) -> tuple[Annotated[np.ndarray, "E"], Annotated[np.ndarray, "E"], Annotated[np.ndarray, "E"]]:
    """For the matches of two registered views: does it agree (bool), and both views as indices of the model.

    A match agrees where the point that both its rays meet in best lies before both cameras and reprojects within
    MAX_REPROJECTION of both its pixels.
    """
    index = {view: i for i, view in enumerate(model.views)}
    agrees, first, second = [np.zeros(0, bool)], [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for view, other, rows in matches.by_pair():
        if view in index and other in index:
            i, j = index[view], index[other]
            agrees.append(_pair_agrees(model, (i, j), [matches.xy_first[rows], matches.xy_second[rows]]))
            first.append(np.full(len(rows), i))
            second.append(np.full(len(rows), j))
    return np.concatenate(agrees), np.concatenate(first), np.concatenate(second)


def _pair_agrees(
    model: Model, pair: tuple[int, int], xy: list[Annotated[np.ndarray, "M 2"]]
) -> Annotated[np.ndarray, "M"]:
    rows = []
    for i, pixels in zip(pair, xy, strict=True):
        rays, camera = model.lenses[i].rays_of_pixels(pixels), model.camera_from_world[i]
        rows += [rays[:, :1] * camera[2] - camera[0], rays[:, 1:] * camera[2] - camera[1]]
    # Linear triangulation (Hartley & Zisserman 2004, section 12.2): the null vector of four equations.
    homogeneous = np.linalg.svd(np.nan_to_num(np.stack(rows, 1)))[2][:, -1]
    agrees = np.ones(len(homogeneous), bool)
    for i, pixels in zip(pair, xy, strict=True):
        in_camera = homogeneous @ model.camera_from_world[i][:3].T
        depth = in_camera[:, 2] * np.sign(homogeneous[:, 3])
        with np.errstate(divide="ignore", invalid="ignore"):
            seen = model.lenses[i].pixels_of_rays(in_camera[:, :2] / in_camera[:, 2:])
            agrees &= (depth > 0) & (np.linalg.norm(seen - pixels, axis=1) < MAX_REPROJECTION)
    return agrees


def triangulation_angles(model: Model) -> Annotated[np.ndarray, "P"]:
    """Degrees: of every point the largest angle between its first ray and another one."""
    rotation, translation = model.camera_from_world[:, :3, :3], model.camera_from_world[:, :3, 3]
    centers = -np.einsum("nji,nj->ni", rotation, translation)
    rays = model.points[model.point] - centers[model.view]
    rays /= np.maximum(np.linalg.norm(rays, axis=1, keepdims=True), 1e-300)
    first = np.zeros_like(model.points)
    first[model.point[::-1]] = rays[::-1]  # the last write stands: the first observation of every point
    other = first[model.point]
    apart = np.degrees(np.arctan2(np.linalg.norm(np.cross(rays, other), axis=1), (rays * other).sum(1)))
    largest = np.zeros(len(model.points))
    np.maximum.at(largest, model.point, apart)
    return largest


def corner_distortion(lens: Lens) -> float:
    """How far the lens moves its farthest corner, as a share of that corner's distance from the principal point."""
    x, y = (np.array([0, lens.width]) - lens.param("cx"), np.array([0, lens.height]) - lens.param("cy"))
    corners = np.stack(np.meshgrid(x / lens.param("fx"), y / lens.param("fy")), -1).reshape(-1, 2)
    moved = np.linalg.norm(lens.distort(corners) - corners, axis=1) / np.linalg.norm(corners, axis=1)
    return float(moved.max())
