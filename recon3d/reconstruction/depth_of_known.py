"""Depth solved again against cameras that are known: what a network predicted keeps its form and loses its scale.

Stereo between the photos of known cameras tells where surfaces are; every predicted map gets the scale (and, where depths
held back say that it helps, the shift) by which it lies there. A view that stereo says nothing of follows its neighbours'.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from recon3d.core.geometry import Geometry, Tracks
from recon3d.core.views import Views
from recon3d.reconstruction.seeding.plane_sweep import swept

LEAST_PIXELS = 200  # that stereo and the prediction must both know, of the small pictures of stereo
CLOUD = 400  # points of each view that tell which views are neighbours, and which depths are swept
VISIBLE = 0.3  # relative difference of depths below which a point of another view is the surface that is seen there
BETTER = 0.97  # of the error on pixels held back: a shift must leave less than this
STEEPNESS = (0.5, 2.0)  # of the scale, of a line with a shift: beyond, it follows one surface only
SURE, EXPLAINED = 0.05, 0.5  # a fit is believed where its error is below one, or this share of that of one depth for all
ROUNDS = 10

Way = Literal["stereo", "other views", "cameras"]


@dataclass(frozen=True)
class DepthFit:
    """How the depth of a view was brought to the known cameras: new = scale * predicted + shift."""

    way: Way  # what told it; "cameras": the similarity of the cameras alone
    scale: float = 1.0
    shift: float = 0.0  # world units
    pixels: int = 0
    error: float | None = None  # median relative difference from stereo afterwards


def solved_again(
    views: Views, geometry: Geometry, is_known: Annotated[Tensor, "N"]
) -> tuple[Geometry, tuple[DepthFit, ...]]:
    """The geometry with depth that agrees with its known cameras, and what was done to each view.

    Views whose cameras were predicted take part in stereo only where those that are known show nothing together. Held-out
    views give no pixel: theirs follow the other views.
    """
    assert geometry.depth is not None
    seen = ~views.held_out
    fits = by_stereo(views, geometry, (is_known & seen).nonzero()[:, 0].tolist())
    if not fits and int((is_known & seen).sum()) > 1:
        fits = by_stereo(views, geometry, seen.nonzero()[:, 0].tolist())
    maps = list(geometry.depth)
    for i, fit in fits.items():
        maps[i] = applied(maps[i], fit)
    solved, stereo = replace(geometry, depth=tuple(maps)), list(fits)
    for i in (j for j in range(len(views)) if j not in stereo):
        fits[i] = from_others(solved, i, stereo)
        maps[i] = applied(maps[i], fits[i])
    return replace(geometry, depth=tuple(maps)), tuple(fits[i] for i in range(len(views)))


def by_stereo(views: Views, geometry: Geometry, rows: list[int]) -> dict[int, DepthFit]:
    """Of some of the views, what stereo between them tells of their depth."""
    if len(rows) < 2:
        return {}
    _, stereo = swept(views[rows], tracked(geometry[rows]))
    assert geometry.depth is not None
    found = {
        rows[k]: fitted(geometry.depth[rows[k]], torch.from_numpy(np.asarray(depth, np.float64)))
        for k, depth in stereo.items()
    }
    return {i: fit for i, fit in found.items() if fit is not None}


def applied(depth: Annotated[Tensor, "H W"], fit: DepthFit) -> Annotated[Tensor, "H W"]:
    """What comes out at or behind the camera is unknown."""
    return torch.where(depth > 0, fit.scale * depth + fit.shift, 0).clamp_min(0)


def tracked(geometry: Geometry) -> Geometry:
    """The geometry with a few points of every view as its points, seen by the views whose depth has them."""
    assert geometry.depth is not None
    points = []
    for i, depth in enumerate(geometry.depth):
        rows = (depth > 0).flatten().nonzero()[:, 0]
        rows = rows[:: max(1, len(rows) // CLOUD)]
        points.append(geometry.cameras.unproject(i, depth)[0].reshape(-1, 3)[rows])
    cloud = torch.cat(points)
    view, point, xy = [], [], []
    for i in range(len(geometry)):
        seen, pixels, _, _ = shown_in(geometry, i, cloud)
        view.append(torch.full((len(seen),), i))
        point.append(seen)
        xy.append(pixels)
    count = len(cloud)
    return replace(
        geometry, points=cloud, colors=torch.zeros(count, 3, dtype=torch.uint8),
        errors=torch.zeros(count, dtype=torch.float64), tracks=Tracks(torch.cat(view), torch.cat(point), torch.cat(xy)),
    )  # fmt: skip


def shown_in(
    geometry: Geometry, i: int, points: Annotated[Tensor, "P 3"]
) -> tuple[Annotated[Tensor, "Q"], Annotated[Tensor, "Q 2"], Annotated[Tensor, "Q"], Annotated[Tensor, "Q"]]:
    """Which points view i shows on its surface; their pixels, their depth, and that of the map there."""
    assert geometry.depth is not None
    (pixels,), (z,) = geometry.cameras[[i]].project(points)
    height, width = geometry.cameras.size(i)
    column, row = pixels.nan_to_num(-1).floor().long().unbind(-1)
    inside = (z > 0) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    there = torch.zeros_like(z)
    there[inside] = geometry.depth[i][row[inside], column[inside]].to(z)
    seen = (inside & (there > 0) & ((there - z).abs() < VISIBLE * z)).nonzero()[:, 0]
    return seen, pixels[seen], z[seen], there[seen]


def fitted(depth: Annotated[Tensor, "H W"], stereo: Annotated[Tensor, "h w"]) -> DepthFit | None:
    """From predicted depth to that of stereo, which is 0 where it does not know; None where it knows too little."""
    small = F.interpolate(depth[None, None].double(), tuple(stereo.shape), mode="nearest-exact")[0, 0]
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
    """The scale by which view i's depth meets the surfaces of views that were solved."""
    assert geometry.depth is not None
    ratios = []
    for j in solved:
        rows = (geometry.depth[j] > 0).flatten().nonzero()[:, 0]
        rows = rows[:: max(1, len(rows) // CLOUD)]
        _, _, z, there = shown_in(geometry, i, geometry.cameras.unproject(j, geometry.depth[j])[0].reshape(-1, 3)[rows])
        ratios.append(z / there)
    every = torch.cat(ratios) if ratios else torch.zeros(0)
    if len(every) < LEAST_PIXELS:
        return DepthFit("cameras")
    return DepthFit("other views", float(every.log().median().exp()), 0.0, len(every))
