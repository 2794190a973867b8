"""Stereo between known cameras, swept where their pictures say: what a network predicted may be several times too far.

A sweep whose range is a wrong one finds depths of no meaning, and few of them agree. So coarse pictures first find the scale
from cameras alone; then pictures are swept, and swept again while what they say moves the scale.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from recon3d.core.cameras import fitted_size
from recon3d.core.geometry import Geometry, Tracks
from recon3d.core.views import Views
from recon3d.reconstruction.seeding import posed_stereo
from recon3d.reconstruction.seeding.plane_sweep import AGREEING, REFERENCES, agreeing, swept

LEAST_PIXELS = 200  # that stereo and the prediction must both know, of the small pictures of stereo
CLOUD = 400  # points of each view that tell which views are neighbours, and which depths are swept
VISIBLE = 0.3  # relative difference of depths below which a point of another view is the surface that is seen there
STAYS = 0.1  # of the logarithm of a view's scale: where it moves by more, the sweep was of another range
SWEEPS = 4  # at most, after the one that is begun with

Depths = dict[int, Annotated[Tensor, "h w"]]  # by view; 0 where no other view agrees


@dataclass(frozen=True)
class Stereo:
    """What stereo says of some views, and the factor by which their predicted depth comes to lie there."""

    depths: Depths
    scales: dict[int, float]  # of the views that stereo knows enough of
    alone: dict[int, float]  # the same by coarse pictures, whose range comes from cameras alone


def stereo_of(views: Views, geometry: Geometry) -> Stereo:
    """z-depth of views by stereo between them, in world units, whatever the scale of the depth that they have."""
    alone = from_cameras(views, geometry)
    best = sweep(views, geometry, {})
    if any(abs(np.log(s)) > STAYS for s in alone.values()):
        other = sweep(views, geometry, alone)
        best = other if agreed(other) > agreed(best) else best
    for _ in range(SWEEPS):
        found, begun = best
        if all(abs(np.log(found.scales[i] / begun[i])) < STAYS for i in found.scales):
            break
        other = sweep(views, geometry, found.scales)
        if agreed(other) < agreed(best):
            break
        best = other
    return replace(best[0], alone=alone)


Sweep = tuple[Stereo, dict[int, float]]  # with the scales by which its range was found


def sweep(views: Views, geometry: Geometry, scales: dict[int, float]) -> Sweep:
    """With ranges and neighbours by the predicted depth times `scales`; views without one take the middling scale."""
    assert geometry.depth is not None
    middling = middle(scales)
    every = {i: scales.get(i, middling) for i in range(len(views))}
    scaled = replace(geometry, depth=tuple(depth * every[i] for i, depth in enumerate(geometry.depth)))
    _, maps = swept(views, tracked(scaled))
    depths = {i: torch.from_numpy(np.asarray(depth, np.float64)) for i, depth in maps.items()}
    return Stereo(depths, scales_between(geometry, depths), {}), every


def middle(scales: dict[int, float]) -> float:
    """The median, by ratios; 1 of none."""
    return float(np.exp(np.median(np.log(list(scales.values()))))) if scales else 1.0


def agreed(found: Sweep) -> int:
    """Pixels whose depth other views confirm: by a wrong range there are few."""
    return sum(int((depth > 0).sum()) for depth in found[0].depths.values())


def scales_between(geometry: Geometry, depths: Depths) -> dict[int, float]:
    """By how much stereo's depth is larger than the predicted one, of the views of which both know enough."""
    found = {}
    for i, depth in depths.items():
        predicted, known = both(geometry, i, depth)
        if len(known) >= LEAST_PIXELS:
            found[i] = float((known / predicted).log().median().exp())
    return found


def both(
    geometry: Geometry, i: int, stereo: Annotated[Tensor, "h w"]
) -> tuple[Annotated[Tensor, "P"], Annotated[Tensor, "P"]]:
    """Predicted depth and that of stereo, where both are known."""
    assert geometry.depth is not None
    small = resampled(geometry.depth[i], stereo)
    known = (small > 0) & (stereo > 0)
    return small[known], stereo[known]


def resampled(depth: Annotated[Tensor, "H W"], like: Annotated[Tensor, "h w"]) -> Annotated[Tensor, "h w"]:
    """Depth of the nearest pixels."""
    return F.interpolate(depth[None, None].double(), tuple(like.shape), mode="nearest-exact")[0, 0]


def from_cameras(views: Views, geometry: Geometry) -> dict[int, float]:
    """The scales that coarse stereo tells, whose range comes from the distances of cameras alone (posed_stereo)."""
    cameras = geometry.cameras
    coarse = []
    for i in range(len(views)):
        size = cameras.size(i)
        grey = (views.rgb(i) * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(0)[None, None]
        wanted = fitted_size(*size, min(posed_stereo.COARSE, max(size)))
        coarse += posed_stereo.scaled(grey, cameras.camera_from_world[[i]], cameras.K[[i]], wanted)
    depths = {}
    for i in np.unique(np.linspace(0, len(views) - 1, min(len(views), REFERENCES)).round().astype(int)).tolist():
        near = posed_stereo.nearest(cameras.camera_from_world, i)
        if near:
            depths[i] = posed_stereo.coarse_depth(i, near, coarse)
    trusted = {i: depth * (agreeing(i, depths, coarse) >= AGREEING) for i, depth in depths.items()}
    return scales_between(geometry, {i: torch.from_numpy(np.asarray(d, np.float64)) for i, d in trusted.items()})


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
