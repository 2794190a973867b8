"""Depth solved again against cameras that are known: what a network predicted keeps its form where that is right, never its
scale.

Stereo between the photos of known cameras tells where surfaces are (`stereo_of_known`). A predicted map of the right form gets
the scale (and, where depths held back say that it helps, the shift) by which it lies there. One of another form gives way to
stereo where that knows, and is drawn to it elsewhere. A view that stereo says nothing of follows its neighbours'; what nothing
confirms has no confidence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from recon3d.core.geometry import Geometry
from recon3d.core.views import Views
from recon3d.reconstruction.network_views import depth_at
from recon3d.reconstruction.stereo_of_known import CLOUD, LEAST_PIXELS, Stereo, middle, resampled, shown_in, stereo_of

BETTER = 0.97  # of the error on pixels held back: a shift must leave less than this
STEEPNESS = (0.5, 2.0)  # of the scale, of a line with a shift: beyond, it follows one surface only
SURE, EXPLAINED = 0.05, 0.5  # a fit is believed where its error is below one, or this share of that of one depth for all
ROUNDS = 10
CONFIRMED = 0.3  # share of a view's pixels that other views confirm, from which stereo is believed whatever was predicted
ALIKE = 0.2  # of the logarithm of a scale: from coarse pictures and from fine ones, each swept in a range of its own
FOLLOWS = 0.1  # median relative difference from other views' surfaces, from which a view does not show them
REACHES = (0.1, 0.03)  # standard deviations, of the longest side, by which what stereo says of a pixel reaches others
FAINT = 0.01  # of the weight that many pixels about have: what is said with less counts less than what reaches further

Way = Literal["stereo", "other views", "cameras"]


@dataclass(frozen=True)
class DepthFit:
    """How the depth of a view was brought to the known cameras: new = scale * predicted + shift."""

    way: Way  # what told it; "cameras": nothing confirms it, and the scale is what other views have
    scale: float = 1.0
    shift: float = 0.0  # world units
    pixels: int = 0
    error: float | None = None  # median relative difference from stereo, or from the other views, by scale and shift
    own: float | None = None  # share of the pixels that took stereo's own depth, where the predicted form is another


def solved_again(
    views: Views, geometry: Geometry, is_known: Annotated[Tensor, "N"]
) -> tuple[Geometry, tuple[DepthFit, ...]]:
    """The geometry with depth that agrees with its known cameras, and what was done to each view.

    Views whose cameras were predicted take part in stereo only where those that are known show nothing together. Held-out
    views give no pixel: theirs follow the other views. Depth that nothing confirms loses its confidence, unless nothing is
    confirmed at all.
    """
    assert geometry.depth is not None and geometry.confidence is not None
    seen = ~views.held_out
    found = by_stereo(views, geometry, (is_known & seen).nonzero()[:, 0].tolist())
    if not found and int((is_known & seen).sum()) > 1:
        found = by_stereo(views, geometry, seen.nonzero()[:, 0].tolist())
    fits = {i: fit for i, (_, _, fit) in found.items()}
    maps, confidence = list(geometry.depth), list(geometry.confidence)
    for i, (depth, reached, _) in found.items():
        maps[i], confidence[i] = depth, torch.where(reached, confidence[i], 0)
    middling, stereo = middle({i: fit.scale for i, fit in fits.items()}), list(fits)
    for i in (j for j in range(len(views)) if j not in stereo):
        maps[i] = middling * maps[i]
    solved = replace(geometry, depth=tuple(maps), confidence=tuple(confidence))
    for i in (j for j in range(len(views)) if j not in stereo):
        fit = from_others(solved, i, stereo)
        maps[i] = applied(maps[i], fit)
        fits[i] = replace(fit, scale=middling * fit.scale)
    told = tuple(fits[i] for i in range(len(views)))
    if any(fit.way != "cameras" for fit in told):
        confidence = [c if fit.way != "cameras" else torch.zeros_like(c) for c, fit in zip(confidence, told, strict=True)]
    return replace(geometry, depth=tuple(maps), confidence=tuple(confidence)), told


def unconfirmed(fits: tuple[DepthFit, ...]) -> list[int]:
    """The views whose depth nothing confirms."""
    return [i for i, fit in enumerate(fits) if fit.way == "cameras"]


Solved = tuple[Annotated[Tensor, "H W"], Annotated[Tensor, "H W"], DepthFit]  # depth, where it is told (bool), and how


def by_stereo(views: Views, geometry: Geometry, rows: list[int]) -> dict[int, Solved]:
    """Of some of the views, the depth that stereo between them leads to. `rows` are of views with a camera."""
    if len(rows) < 2:
        return {}
    assert geometry.depth is not None
    stereo = stereo_of(views[rows], geometry[rows])
    found = {rows[k]: of_view(geometry.depth[rows[k]], stereo, k) for k in stereo.depths}
    return {i: solved for i, solved in found.items() if solved is not None}


def of_view(depth: Annotated[Tensor, "H W"], stereo: Stereo, k: int) -> Solved | None:
    """Of view k of those of `stereo`; None where it says too little, or says what the prediction contradicts."""
    fit, share = fitted(depth, stereo.depths[k]), share_known(depth, stereo.depths[k])
    if fit is not None and fit.error is not None and (fit.error < SURE or share < CONFIRMED):
        return applied(depth, fit), torch.ones_like(depth, dtype=torch.bool), fit
    scale, alone = stereo.scales.get(k), stereo.alone.get(k)
    if scale is None:
        return None
    # Two sweeps whose ranges were found apart say one scale by chance seldom.
    alike = alone is not None and abs(np.log(alone / scale)) < ALIKE
    return merged(depth, stereo.depths[k], scale) if share >= CONFIRMED or alike else None


def share_known(depth: Annotated[Tensor, "H W"], stereo: Annotated[Tensor, "h w"]) -> float:
    """Of the predicted pixels, those whose depth stereo knows."""
    small = resampled(depth, stereo) > 0
    return float(((stereo > 0) & small).sum() / small.sum().clamp_min(1))


def merged(depth: Annotated[Tensor, "H W"], stereo: Annotated[Tensor, "h w"], scale: float) -> Solved:
    """Stereo's depth where it is known; elsewhere the predicted one, times what stereo says of the pixels about."""
    small = resampled(depth, stereo)
    known = (small > 0) & (stereo > 0)
    ratio = torch.where(known, stereo / torch.where(known, small, 1) / scale, 1).log().numpy()
    weight, field = known.double().numpy(), np.zeros(tuple(stereo.shape))
    near = weight
    for reach in REACHES:
        sigma = reach * max(stereo.shape)
        said, near = (cv2.GaussianBlur(x, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT) for x in (ratio * weight, weight))
        field = (said + FAINT * field) / (near + FAINT)
    drawn = depth * scale * scaled_up(torch.from_numpy(field), depth).exp()
    own = enlarged(stereo, depth)
    error = relative_error(scale * small[known], stereo[known])
    taken = (own > 0) & (depth > 0)
    fit = DepthFit("stereo", scale, 0.0, int(known.sum()), error, round(float(taken.sum() / (depth > 0).sum()), 4))
    reached = scaled_up(torch.from_numpy(near), depth) > FAINT
    return torch.where(taken, own, drawn).to(depth.dtype), reached, fit


def enlarged(depth: Annotated[Tensor, "h w"], like: Annotated[Tensor, "H W"]) -> Annotated[Tensor, "H W"]:
    """Between pixels where they show one surface; elsewhere of the nearest, which may be unknown."""
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) + 0.5 for n in like.shape), indexing="ij")
    at = torch.stack((x * depth.shape[1] / like.shape[1], y * depth.shape[0] / like.shape[0]), -1)
    return depth_at(depth, at)


def scaled_up(values: Annotated[Tensor, "h w"], like: Annotated[Tensor, "H W"]) -> Annotated[Tensor, "H W"]:
    return F.interpolate(values[None, None], tuple(like.shape), mode="bilinear", align_corners=False)[0, 0]


def applied(depth: Annotated[Tensor, "H W"], fit: DepthFit) -> Annotated[Tensor, "H W"]:
    """What comes out at or behind the camera is unknown."""
    return torch.where(depth > 0, fit.scale * depth + fit.shift, 0).clamp_min(0)


def fitted(depth: Annotated[Tensor, "H W"], stereo: Annotated[Tensor, "h w"]) -> DepthFit | None:
    """From predicted depth to that of stereo, which is 0 where it does not know; None where it knows too little."""
    small = resampled(depth, stereo)
    both = (small > 0) & (stereo > 0)
    x, y = small[both], stereo[both]
    if len(x) < LEAST_PIXELS:
        return None
    scale = float((y / x).log().median().exp())
    held = torch.arange(len(x)) % 2 == 1
    a, b = line(x[~held], y[~held], scale)
    of_scale, of_line = (relative_error(m * x[held] + c, y[held]) for m, c in ((scale, 0.0), (a, b)))
    straight = STEEPNESS[0] * scale < a < STEEPNESS[1] * scale and of_line < BETTER * of_scale
    fit = DepthFit("stereo", a, b, len(x), of_line) if straight else DepthFit("stereo", scale, 0.0, len(x), of_scale)
    error = of_line if straight else of_scale
    believed = error < max(SURE, EXPLAINED * relative_error(y.median().expand_as(y), y))
    return fit if believed else None


def relative_error(found: Annotated[Tensor, "P"], truth: Annotated[Tensor, "P"]) -> float:
    """Median, of the truth."""
    return float(((found - truth).abs() / truth).median())


def line(x: Annotated[Tensor, "P"], y: Annotated[Tensor, "P"], scale: float) -> tuple[float, float]:
    """(a, b) of y = a x + b with the least sum of relative errors, by reweighted least squares."""
    a, b = scale, 0.0
    ones = torch.ones_like(x)
    for _ in range(ROUNDS):
        off = (a * x + b - y).abs() / y
        weight = 1 / (y * off.clamp_min(1e-3).sqrt())
        found = torch.linalg.lstsq(torch.stack((x, ones), 1) * weight[:, None], (y * weight)[:, None]).solution[:, 0]
        a, b = found.tolist()
    return a, b


def from_others(geometry: Geometry, i: int, solved: list[int]) -> DepthFit:
    """The scale by which view i's depth meets the surfaces of views that were solved; 1 where it shows none of them."""
    assert geometry.depth is not None and geometry.confidence is not None
    ratios = [torch.zeros(0)]
    for j in solved:
        rows = ((geometry.depth[j] > 0) & (geometry.confidence[j] > 0)).flatten().nonzero()[:, 0]
        rows = rows[:: max(1, len(rows) // CLOUD)]
        _, _, z, there = shown_in(geometry, i, geometry.cameras.unproject(j, geometry.depth[j])[0].reshape(-1, 3)[rows])
        ratios.append(z / there)
    every = torch.cat(ratios)
    if len(every) < LEAST_PIXELS:
        return DepthFit("cameras")
    scale = float(every.log().median().exp())
    error = float((scale / every - 1).abs().median())
    if error < FOLLOWS:
        return DepthFit("other views", scale, 0.0, len(every), error)
    return DepthFit("cameras", pixels=len(every), error=error)  # a scale that is not believed does not move it either
