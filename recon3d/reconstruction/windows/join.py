"""The similarity between two windows' worlds, from the views that both saw: their depths tell the scale, their cameras the rest.

Windows joined so are as in VGGT-Long (Deng et al. 2025, arXiv 2507.16443), which fits the same to whole point maps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from recon3d.core.rotations import rotation_angle
from recon3d.core.similarity import Similarity, mean_rotation
from recon3d.models.pictures import Answer
from recon3d.reconstruction.network_views import pixels_in_picture, sampled

CONFIDENT = 0.3  # rank below which a pixel's depth is not asked
PIXELS = 4096  # of a shared view that are compared
SPREAD = 0.3  # of log depth ratios (1.48 · median deviation): above, two windows saw different surfaces
DEGREES, SHIFT = 5.0, 0.1  # how far a shared camera may stand from the others' similarity; SHIFT in median depths
SCALE_NOISE = 0.02  # of a depth map as a whole: what is expected before there is a spread to see
CENTER_NOISE = 0.005  # of a camera centre, in median depths: the same
LEAST_DEPTHS = 32  # compared pixels


@dataclass(frozen=True)
class Window:
    """One pass: which views it saw, in its order, and what the network said of them."""

    views: tuple[int, ...]
    answer: Answer


@dataclass(frozen=True)
class Join:
    """How one window's world lies in another's, and how well their shared views agree on it."""

    similarity: Similarity  # the first window's world of the second's
    shared: tuple[int, ...]  # views
    agreeing: tuple[int, ...]  # shared views whose cameras stand within DEGREES and SHIFT of it
    center: Annotated[Tensor, "3"]  # of the shared cameras, in the second world: where the similarity was measured
    unit: float  # median depth of the shared views in the second world
    degrees: float  # root mean square over the agreeing views: turned,
    shift: float  # moved, in median depths,
    scale: float  # and the deviation of depth ratios, view by view, in shares
    why: str | None  # why it is not determined; None: it is


def join(first: Window, second: Window) -> Join:
    """From the views that both windows saw. Raises ValueError where there is none.

    Scale: the median over confident pixels of log depth ratios, weighed by the confidences, together with the ratio of the
    camera centres' spreads, each by its inverse variance. Rotation and translation: means over the shared cameras that agree
    with the one that most others agree with. Where fewer than half do, or depths do, `why` says so.
    """
    shared = tuple(view for view in first.views if view in set(second.views))
    if not shared:
        raise ValueError("the windows share no view")
    here = [first.views.index(view) for view in shared]
    there = [second.views.index(view) for view in shared]
    depths = depth_ratios(first.answer, here, second.answer, there)
    rotations = _world_rotations(first.answer, here).transpose(1, 2) @ _world_rotations(second.answer, there)
    a, b = first.answer.geometry.cameras.centers_in_world[here], second.answer.geometry.cameras.centers_in_world[there]
    middle, near_in_rotation = agreed_rotation(rotations)
    scale, variance = depths.scale if depths.scale is not None else (spread_ratio(a, b), math.inf)
    unit = depths.unit if depths.unit > 0 else max(float((b - b.mean(0)).norm(dim=1).mean()), 1e-12)
    agreeing = near_in_rotation & near_in_place(a - scale * b @ middle.T, scale * unit)
    chosen = agreeing if agreeing.any() else near_in_rotation
    rotation = mean_rotation(rotations[chosen])
    turned = b @ rotation.T
    scale = combined(scale, variance, a[chosen], turned[chosen], scale * unit)
    moved = scale * turned
    translation = (a - moved)[chosen].mean(0)
    degrees = rms(rotation_angle(rotation.T @ rotations[chosen]))
    return Join(
        Similarity.of(scale, rotation, translation), shared,
        tuple(view for view, good in zip(shared, agreeing.tolist(), strict=True) if good),
        b[chosen].mean(0), unit, degrees, rms((a - moved - translation)[chosen].norm(dim=1)) / (scale * unit),
        depths.deviation, undetermined(depths, agreeing, a, b),
    )  # fmt: skip


@dataclass(frozen=True)
class DepthRatios:
    """Of two windows' depths at the same pixels."""

    scale: tuple[float, float] | None  # the ratio, and the variance of its logarithm; None: too few pixels are known
    deviation: float  # of the views' own ratios, in shares
    spread: float  # of the pixels' about their view's, robust
    unit: float  # median depth in the second window


def depth_ratios(first: Answer, here: list[int], second: Answer, there: list[int]) -> DepthRatios:
    """First over second."""
    logs, weights, of_views, depths = [], [], [], []
    for i, j in zip(here, there, strict=True):
        ratios, certain, depth = _log_ratios(first, i, second, j)
        if len(ratios) < LEAST_DEPTHS:
            continue
        logs.append(ratios)
        weights.append(certain)
        depths.append(depth)
        of_views.append(weighted_median(ratios, certain))
    if not logs:
        return DepthRatios(None, 0.0, 0.0, 0.0)
    middle = weighted_median(torch.cat(logs), torch.cat(weights))
    spread = 1.48 * weighted_median(
        torch.cat([(x - m).abs() for x, m in zip(logs, of_views, strict=True)]), torch.cat(weights)
    )
    off = torch.tensor(of_views) - middle
    # Two views that nobody saw, with the noise that is expected: few tell little of their own spread.
    variance = float(off.square().sum() + 2 * SCALE_NOISE**2) / (len(off) + 2)
    return DepthRatios((math.exp(middle), variance / len(off)), rms(off), spread, float(torch.cat(depths).median()))


def _log_ratios(first: Answer, i: int, second: Answer, j: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of the confident pixels of one view: log depth ratios, their weights, and the second's depths."""
    known, other = first.geometry, second.geometry
    assert known.depth is not None and known.confidence is not None
    assert other.depth is not None and other.confidence is not None
    at = pixels_in_picture(first.network_from_photo[i], second.network_from_photo[j], tuple(known.depth[i].shape))
    x0, y0, x1, y1 = second.photo_rects[j]
    inside = (at[..., 0] >= x0) & (at[..., 0] <= x1) & (at[..., 1] >= y0) & (at[..., 1] <= y1)
    own = pixels_in_picture(first.network_from_photo[i], first.network_from_photo[i], tuple(known.depth[i].shape))
    x0, y0, x1, y1 = first.photo_rects[i]
    inside &= (own[..., 0] >= x0) & (own[..., 0] <= x1) & (own[..., 1] >= y0) & (own[..., 1] <= y1)
    depth, confidence = sampled(other.depth[j], at, "nearest"), sampled(other.confidence[j], at, "nearest")
    certain = torch.minimum(known.confidence[i], confidence)
    good = (inside & (known.depth[i] > 0) & (depth > 0) & (certain >= CONFIDENT)).flatten().nonzero()[:, 0]
    good = good[:: max(1, -(-len(good) // PIXELS))]
    ratios = known.depth[i].flatten()[good].double().log() - depth.flatten()[good].double().log()
    return ratios, certain.flatten()[good].double(), depth.flatten()[good]


def _world_rotations(answer: Answer, chosen: list[int]) -> Annotated[Tensor, "S 3 3"]:
    return answer.geometry.cameras.camera_from_world[chosen, :3, :3]


def agreed_rotation(rotations: Annotated[Tensor, "S 3 3"]) -> tuple[Annotated[Tensor, "3 3"], Annotated[Tensor, "S"]]:
    """The one that the others are nearest to, none counting for more than DEGREES; and which are within these of it."""
    between = rotation_angle(rotations[:, None].transpose(2, 3) @ rotations[None])
    best = int(between.clamp_max(DEGREES).sum(1).argmin())
    near = between[best] <= DEGREES
    return mean_rotation(rotations[near]), near


def near_in_place(translations: Annotated[Tensor, "S 3"], unit: float) -> Annotated[Tensor, "S"]:
    """Which are within SHIFT median depths of the one that the others are nearest to."""
    between = (translations[:, None] - translations[None]).norm(dim=-1) / unit
    best = int(between.clamp_max(SHIFT).sum(1).argmin())
    return between[best] <= SHIFT


def spread_ratio(a: Annotated[Tensor, "S 3"], b: Annotated[Tensor, "S 3"]) -> float:
    """How much wider centres `a` lie than `b` (Horn 1987, section 2.E: the scale that treats both alike); 1 where undecided."""
    wide, other = (a - a.mean(0)).square().sum(), (b - b.mean(0)).square().sum()
    return float((wide / other).sqrt()) if wide > 0 and other > 0 else 1.0


def combined(
    scale: float, variance: float, a: Annotated[Tensor, "S 3"], turned: Annotated[Tensor, "S 3"], unit: float
) -> float:
    """The scale of depths and that of camera centres `a` over `turned` ones, each by the inverse variance of its logarithm;
    `unit` is a median depth in a's world."""
    a, b = a - a.mean(0), turned - turned.mean(0)
    if len(a) < 2 or float(b.norm()) <= 1e-9 * unit:
        return scale
    of_centers = spread_ratio(a, b)
    off = (a - of_centers * b).square().sum()
    noise = (float(off) + 3 * (CENTER_NOISE * unit) ** 2) / (3 * len(a) - 4 + 3)  # one more view, with the noise expected
    of_centers_variance = noise / float(a.square().sum())
    share = 1 / (1 + of_centers_variance / variance)
    return math.exp(share * math.log(of_centers) + (1 - share) * math.log(scale))


def undetermined(depths: DepthRatios, agreeing: Tensor, a: Annotated[Tensor, "S 3"], b: Annotated[Tensor, "S 3"]) -> str | None:
    """Why nothing tells the similarity, in words; None: it is told."""
    count, good = len(agreeing), int(agreeing.sum())
    if depths.scale is None and (count < 2 or min(float((x - x.mean(0)).norm()) for x in (a, b)) <= 0):
        return "no depth is known in what they share, and its cameras stand in one place"
    if depths.spread > SPREAD:
        return f"their depths of the same pixels differ by {100 * depths.spread:.0f} %"
    if count > 1 and 2 * good <= count:
        return f"only {good} of {count} shared cameras agree on one similarity"
    return None


def weighted_median(values: Annotated[Tensor, "M"], weights: Annotated[Tensor, "M"]) -> float:
    """Where half of the weight lies below."""
    values, order = values.sort()
    half = weights[order].cumsum(0)
    return float(values[int(torch.searchsorted(half, half[-1:] / 2))])


def rms(values: Annotated[Tensor, "M"]) -> float:
    return float(values.square().mean().sqrt())
