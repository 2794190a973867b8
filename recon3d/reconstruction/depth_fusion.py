"""Depth of many views made one surface: what agrees is averaged, and every place is left to one of the views that see it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor

from recon3d.core.geometry import Geometry

# Chosen on six procedural scenes with 2 % noise, 2 to 16 views (tools/benchmarks/more_views.py).
AGREE = 0.06  # of the depth: as near as this, two views mean the same surface
COARSER = 1.5  # times the pixel of a view: a place that another sees so coarsely, or finer, is left to that one
NEIGHBOURS = 16  # views that each is compared with, the nearest ones: memory and time stay in proportion to the pixels

Pixels = Annotated[Tensor, "P"]  # int64, flat indices into a view's picture


def one_surface(geometry: Geometry, chosen: Sequence[Pixels]) -> list[tuple[Pixels, Annotated[Tensor, "P"]]]:
    """Of the chosen pixels of each view those that it keeps, with their depth (float64) averaged over the views that agree.

    Views that see finest come first; a pixel is left out where a view before its own agrees on its depth and sees it hardly
    coarser. The depth is the geometric mean of what all agreeing neighbours say, each by its depth over the projected one.
    """
    rank = finest_first(geometry)
    kept = []
    for i, pixels in enumerate(chosen):
        neighbours = nearest(geometry, i)
        depth = geometry.depth[i].flatten()[pixels].double()  # type: ignore[index]
        projected, seen = looked_up(geometry, i, pixels, neighbours)
        off = (seen / projected).log()
        agrees = off.abs() < AGREE  # NaN and infinity where a neighbour sees nothing: false
        focal = geometry.cameras.K[:, [0, 1], [0, 1]].mean(1)
        hardly_coarser = projected / focal[neighbours, None] <= COARSER * depth / focal[i]
        before = (rank[neighbours] < rank[i])[:, None]
        stays = ~(agrees & hardly_coarser & before).any(0)
        mean = torch.where(agrees, off, 0).sum(0) / (1 + agrees.sum(0))
        kept.append((pixels[stays], (depth * mean.exp())[stays]))
    return kept


def finest_first(geometry: Geometry) -> Annotated[Tensor, "N"]:
    """The place of each view in the order of what its pixels cover in the middle (median depth over focal length)."""
    assert geometry.depth is not None
    # A view without depth has a median of NaN, which is sorted last.
    middle = torch.stack([d[d > 0].double().median() for d in geometry.depth])
    return (middle / geometry.cameras.K[:, [0, 1], [0, 1]].mean(1)).argsort(stable=True).argsort()


def nearest(geometry: Geometry, i: int) -> Annotated[Tensor, "M"]:
    """The other views whose centres are nearest to that of view i."""
    centers = geometry.cameras.centers_in_world
    order = (centers - centers[i]).norm(dim=1).argsort(stable=True)
    return order[order != i][:NEIGHBOURS]


def looked_up(
    geometry: Geometry, i: int, pixels: Pixels, others: Annotated[Tensor, "M"]
) -> tuple[Annotated[Tensor, "M P"], Annotated[Tensor, "M P"]]:
    """Depth in other views of what view i sees at some pixels: as it projects there, and as they see it (NaN: nothing)."""
    assert geometry.depth is not None
    points, _ = geometry.cameras.unproject(i, geometry.depth[i])
    xy, projected = geometry.cameras[others].project(points.reshape(-1, 3)[pixels])
    column, row = xy.nan_to_num(-1).floor().long().unbind(-1)
    seen = torch.full_like(projected, torch.nan)
    for k, j in enumerate(others.tolist()):
        height, width = geometry.cameras.size(j)
        inside = (projected[k] > 0) & (column[k] >= 0) & (column[k] < width) & (row[k] >= 0) & (row[k] < height)
        there = geometry.depth[j][row[k][inside], column[k][inside]].double()
        seen[k, inside] = torch.where(there > 0, there, torch.nan)
    return projected, seen
