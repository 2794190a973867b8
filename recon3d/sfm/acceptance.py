"""Whether a view is believed (its points, its lens, its matches that were held back), and whether a model of such views is.

The limits were set on the scenes of `tools/benchmarks/few_views.py`: models within 2 degrees had 0.96 of the held-back
matches or more, one of 4 degrees 0.94, those joined by chance 0.75 or less; depth-reversed ones had 0.91 or more (what is
done about these: `twin`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np

from recon3d.core.lens import Lens
from recon3d.sfm.focal_deviation import focal_deviations
from recon3d.sfm.held_back import ViewMatches
from recon3d.sfm.models import Model

MIN_VIEWS = 3  # two views leave an unknown focal length open: errors to 16 degrees at perfect agreement were seen
MIN_POINTS = 20  # seen by every view
MIN_ANGLE = 1.5  # degrees: median over the points of the largest angle between two of their rays
MAX_REPROJECTION = 4.0  # pixels of the feature picture in which a held-back match agrees (COLMAP's filter)
MIN_AGREEMENT = 0.9  # of the held-back matches
MIN_VIEW_AGREEMENT = 0.7  # of those of one view; a view with less is left out
FOCAL_RANGE = (0.3, 10.0)  # of the longest side: 117 to 6 degrees of view; only for a focal length that was estimated
# Standard deviation of an estimated focal length, of itself: 20 % more or less is then two of them away. Three to eight views of
# a ball, 0.5 pixels of noise, focal lengths 1.2 to 6, two to three seeds: within 20 degrees 0.015 to 0.096, and the focal length
# found within 13 %; within 6 degrees 0.10 to 0.6, and up to 70 % off. Photos of `few_views.py` that were right: 0.022 or less.
MAX_FOCAL_DEVIATION = 0.1
MAX_DISTORTION = 0.4  # displacement of a corner, of its distance from the middle
# COLMAP allows a coefficient of 1, of any lens. That moves the corner of a long one by less than what noise does: at 3 of the
# longest side and four views within 10 degrees by 11 %, with right cameras. So much is allowed whatever the coefficient.
MAX_COEFFICIENT, ALWAYS_ALLOWED = 1.0, 0.15


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
    focal_deviation: float  # share of itself, the largest of the estimated ones
    distortion: float  # of a corner, the largest
    left_out: tuple[str, ...] = ()  # what spoke against the views that were registered and are not believed

    def report(self) -> dict[str, Any]:
        """What was measured beside the limits."""
        limits = {
            "views": MIN_VIEWS, "points_per_view": MIN_POINTS, "angle": MIN_ANGLE, "agreement": MIN_AGREEMENT,
            "agreement_pixels": MAX_REPROJECTION, "view_agreement": MIN_VIEW_AGREEMENT, "focal": FOCAL_RANGE,
            "focal_deviation": MAX_FOCAL_DEVIATION, "distortion": MAX_DISTORTION,
        }  # fmt: skip
        return {"measured": asdict(self), "limits": limits}


@dataclass(frozen=True)
class Estimated:
    """What is the photos' own word about the lenses of N views: which, and how it was adjusted."""

    focal: Annotated[np.ndarray, "N"]  # bool: nothing else tells the focal length
    camera: Annotated[np.ndarray, "N"]  # views of one number share a lens
    distortion: bool  # adjusted too, where a lens is not given

    def deviations(self, model: Model) -> Annotated[np.ndarray, "R"]:
        """Of the focal length of every view of a model; 0 where it is told."""
        rows = list(model.views)
        if not self.focal[rows].any():
            return np.zeros(len(rows))
        return np.where(self.focal[rows], focal_deviations(model, self.camera[rows], self.distortion), 0.0)


@dataclass(frozen=True)
class Evidence:
    """What the photos say of a model of some of the views, R, by the E held-back matches between these."""

    model: Model
    estimated: Estimated
    agrees: Annotated[np.ndarray, "E"]  # bool
    first: Annotated[np.ndarray, "E"]  # index of the model's view
    second: Annotated[np.ndarray, "E"]
    deviations: Annotated[np.ndarray, "R"]  # of the focal length, of itself; 0 where something else tells it


def evidence(model: Model, held: ViewMatches, estimated: Estimated) -> Evidence:
    """Of a model, by the matches that were held back from it."""
    return Evidence(model, estimated, *agreement(model, held), estimated.deviations(model))


def measure(found: Evidence, left_out: tuple[str, ...] = ()) -> Measured:
    """What is measured of a model, beside what spoke against views that are not in it."""
    model, estimated, agrees = found.model, found.estimated, found.agrees
    seen = np.bincount(model.view, minlength=len(model.views))
    lenses = [lens for view, lens in zip(model.views, model.lenses, strict=True) if estimated.focal[view]]
    focals = [focal_of(lens) for lens in lenses]
    angles = triangulation_angles(model)
    return Measured(
        views=len(model.views),
        of=len(estimated.focal),
        points_per_view=min(seen.tolist(), default=0),
        angle=float(np.median(angles)) if len(angles) else 0.0,
        reprojection=float(model.errors.mean()) if len(model.errors) else 0.0,
        held_back=len(agrees),
        agreement=float(agrees.mean()) if len(agrees) else 0.0,
        focal=max(focals, key=lambda f: abs(np.log(f))) if focals else None,
        focal_deviation=float(found.deviations.max(initial=0.0)),
        distortion=max((corner_distortion(lens) for lens in lenses), default=0.0),
        left_out=left_out,
    )


def refusal(m: Measured) -> str | None:
    """What speaks against the model, measured against its limit; None where nothing does."""
    if m.views < min(MIN_VIEWS, m.of):
        because = f" ({len(m.left_out)} were left out: {m.left_out[0]})" if m.left_out else ""
        return f"only {m.views} of {m.of} images are joined, where {MIN_VIEWS} are needed{because}"
    if m.points_per_view < MIN_POINTS:
        return few_points(m.points_per_view)
    if m.angle < MIN_ANGLE:
        return f"rays meet at {m.angle:.1f} degrees in the median, where {MIN_ANGLE} are needed"
    if m.agreement < MIN_AGREEMENT:
        return f"{m.agreement:.0%} of {m.held_back} held-back matches agree, where {MIN_AGREEMENT:.0%} are needed"
    return None


def few_points(count: int) -> str:
    """Against a view that sees too few."""
    return f"an image sees {count} points, where {MIN_POINTS} are needed"


def lens_refusal(lens: Lens, deviation: float) -> str | None:
    """What speaks against a lens whose focal length was estimated; None where nothing does."""
    (low, high), focal = FOCAL_RANGE, focal_of(lens)
    if not low <= focal <= high:
        return f"the focal length came out as {focal:.1f} times the longest side, where {low:g} to {high:g} are possible"
    if deviation > MAX_FOCAL_DEVIATION:
        return f"the focal length is known to {deviation:.0%}, where {MAX_FOCAL_DEVIATION:.0%} are needed"
    allowed = min(MAX_DISTORTION, max(ALWAYS_ALLOWED, MAX_COEFFICIENT * float((corner_rays(lens) ** 2).sum(1).max())))
    if corner_distortion(lens) > allowed:
        return f"the lens would move a corner by {corner_distortion(lens):.0%}, where {allowed:.0%} are possible"
    return None


def unbelieved_views(found: Evidence) -> dict[int, str]:
    """Registered views that see too few points, whose estimated lens is impossible or not determined, or with which too few
    of their own held-back matches agree; with what speaks against each.

    The worst view goes first, and its matches no longer count against the views that it was matched with.
    """
    model = found.model
    seen = np.bincount(model.view, minlength=len(model.views))
    against = {i: few_points(int(count)) for i, count in enumerate(seen) if count < MIN_POINTS}
    for i, view in enumerate(model.views):
        its_own = found.estimated.focal[view]
        doubt = lens_refusal(model.lenses[i], float(found.deviations[i])) if its_own else None
        if doubt is not None:
            against.setdefault(i, doubt)
    while True:
        weak = np.isin(np.arange(len(seen)), list(against))
        among = ~weak[found.first] & ~weak[found.second]
        of_views = np.concatenate([found.first[among], found.second[among]])
        count = np.bincount(of_views, minlength=len(weak))
        good = np.bincount(of_views, weights=np.tile(found.agrees[among], 2), minlength=len(weak))
        share = np.where(count > 0, good / np.maximum(count, 1), 1.0)
        if not (share < MIN_VIEW_AGREEMENT).any():
            return {model.views[i]: against[i] for i in sorted(against)}
        worst = int(share.argmin())
        against[worst] = f"{share[worst]:.0%} of an image's matches agree, where {MIN_VIEW_AGREEMENT:.0%} are needed"


def agreement(
    model: Model, matches: ViewMatches
) -> tuple[Annotated[np.ndarray, "E"], Annotated[np.ndarray, "E"], Annotated[np.ndarray, "E"]]:
    """For the matches of two registered views, in their order: does it agree (bool), and both views as indices of the model.

    A match agrees where the point that both its rays meet in best lies before both cameras and reprojects within
    MAX_REPROJECTION of both its pixels.
    """
    last = max(*model.views, int(matches.first.max(initial=0)), int(matches.second.max(initial=0)))
    index = np.full(last + 1, -1)
    index[list(model.views)] = np.arange(len(model.views))
    seen = matches[(index[matches.first] >= 0) & (index[matches.second] >= 0)]
    first, second = index[seen.first], index[seen.second]
    rays = [rays_of(model, first, seen.xy_first), rays_of(model, second, seen.xy_second)]
    agrees = np.zeros(len(seen), bool)
    for view, other, rows in seen.by_pair():
        pair, xy = (int(index[view]), int(index[other])), [seen.xy_first[rows], seen.xy_second[rows]]
        agrees[rows] = _pair_agrees(model, pair, [r[rows] for r in rays], xy)
    return agrees, first, second


def rays_of(
    model: Model, view: Annotated[np.ndarray, "M"], xy: Annotated[np.ndarray, "M 2"]
) -> Annotated[np.ndarray, "M 2"]:
    """Rays (x/z, y/z) of pixels of views, all of a lens at once."""
    rays, number = np.zeros_like(xy), {lens: i for i, lens in enumerate(model.lenses)}
    of_lens = np.array([number[lens] for lens in model.lenses], np.int64)[view]
    for i in np.unique(of_lens):
        rays[of_lens == i] = model.lenses[i].rays_of_pixels(xy[of_lens == i])
    return rays


def _pair_agrees(
    model: Model, pair: tuple[int, int], rays: list[Annotated[np.ndarray, "M 2"]], xy: list[Annotated[np.ndarray, "M 2"]]
) -> Annotated[np.ndarray, "M"]:
    rows = []
    for i, of_view in zip(pair, rays, strict=True):
        camera = model.camera_from_world[i]
        rows += [of_view[:, :1] * camera[2] - camera[0], of_view[:, 1:] * camera[2] - camera[1]]
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


def focal_of(lens: Lens) -> float:
    """Of the longest side."""
    return lens.param("fx") / max(lens.height, lens.width)


def corner_rays(lens: Lens) -> Annotated[np.ndarray, "4 2"]:
    """(x/z, y/z) of the corners, were there no distortion."""
    x, y = (np.array([0, lens.width]) - lens.param("cx"), np.array([0, lens.height]) - lens.param("cy"))
    return np.stack(np.meshgrid(x / lens.param("fx"), y / lens.param("fy")), -1).reshape(-1, 2)


def corner_distortion(lens: Lens) -> float:
    """How far the lens moves its farthest corner, as a share of that corner's distance from the principal point."""
    corners = corner_rays(lens)
    moved = np.linalg.norm(lens.distort(corners) - corners, axis=1) / np.linalg.norm(corners, axis=1)
    return float(moved.max())
