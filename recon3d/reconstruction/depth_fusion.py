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
FARTHER = 2 * AGREE  # a view that sees so much farther there sees through a point
NEIGHBOURS = 16  # views that each is compared with, the nearest ones: memory and time stay in proportion to the pixels

Pixels = Annotated[Tensor, "P"]  # int64, flat indices into a view's picture


def one_surface(geometry: Geometry, chosen: Sequence[Pixels]) -> list[tuple[Pixels, Annotated[Tensor, "P"]]]:
    """Of the chosen pixels of each view those that it keeps, with their depth (float64) averaged over the views that agree.

    Views that see finest come first; a pixel is left out where a view before its own agrees on its depth and sees it hardly
    coarser, and where it is contradicted. The depth is the geometric mean of what all agreeing neighbours say, each by its
    depth over the projected one.
    """
    rank, focal = finest_first(geometry), geometry.cameras.focal_lengths
    kept = []
    for i, pixels in enumerate(chosen):
        neighbours = nearest(geometry, i)
        depth, projected, off = compared(geometry, i, pixels, neighbours)
        agrees = off.abs() < AGREE
        hardly_coarser = projected / focal[neighbours, None] <= COARSER * depth / focal[i]
        before = (rank[neighbours] < rank[i])[:, None]
        stays = ~(agrees & hardly_coarser & before).any(0) & ~contradicted(off)
        mean = torch.where(agrees, off, 0).sum(0) / (1 + agrees.sum(0))
        kept.append((pixels[stays], (depth * mean.exp())[stays]))
    return kept


def every_view(geometry: Geometry, chosen: Sequence[Pixels]) -> list[tuple[Pixels, Annotated[Tensor, "P"]]]:
    """The chosen pixels of each view with their depth (float64), those that are contradicted left out."""
    kept = []
    for i, pixels in enumerate(chosen):
        depth, _, off = compared(geometry, i, pixels, nearest(geometry, i))
        stays = ~contradicted(off)
        kept.append((pixels[stays], depth[stays]))
    return kept


def compared(
    geometry: Geometry, i: int, pixels: Pixels, neighbours: Annotated[Tensor, "M"]
) -> tuple[Annotated[Tensor, "P"], Annotated[Tensor, "M P"], Annotated[Tensor, "M P"]]:
    """Depth of some pixels of view i; as it projects into neighbours; and the logarithm of what these see there over that
    (NaN or infinite where one sees nothing)."""
    depth = depth_at(geometry, i, pixels)
    projected, seen = looked_up(geometry, world_points(geometry, i, pixels, depth), neighbours)
    return depth, projected, (seen / projected).log()


def contradicted(off: Annotated[Tensor, "M P"]) -> Annotated[Tensor, "P"]:
    """bool: points through which at least two views see, and more than twice as many as agree. A view that sees something
    nearer says nothing: it may be hidden from it."""
    through, agree = (off > FARTHER).sum(0), (off.abs() < AGREE).sum(0)
    return (through >= 2) & (through > 2 * agree)


def finest_first(geometry: Geometry) -> Annotated[Tensor, "N"]:
    """The place of each view in the order of what its pixels cover in the middle (median depth over focal length)."""
    assert geometry.depth is not None
    # A view without depth has a median of NaN, which is sorted last.
    middle = torch.stack([d[d > 0].double().median() for d in geometry.depth])
    return (middle / geometry.cameras.focal_lengths).argsort(stable=True).argsort()


def nearest(geometry: Geometry, i: int) -> Annotated[Tensor, "M"]:
    """The other views whose centres are nearest to that of view i."""
    centers = geometry.cameras.centers_in_world
    order = (centers - centers[i]).norm(dim=1).argsort(stable=True)
    return order[order != i][:NEIGHBOURS]


def depth_at(geometry: Geometry, i: int, pixels: Pixels) -> Annotated[Tensor, "P"]:
    """z-depth of some pixels of view i, float64."""
    assert geometry.depth is not None
    return geometry.depth[i].flatten()[pixels].double()


def world_points(geometry: Geometry, i: int, pixels: Pixels, depth: Annotated[Tensor, "P"]) -> Annotated[Tensor, "P 3"]:
    """Some pixels of view i at these depths."""
    return geometry.cameras.in_world(i, geometry.cameras.rays_of(i, pixels) * depth[:, None])


def looked_up(
    geometry: Geometry, points: Annotated[Tensor, "P 3"], views: Annotated[Tensor, "M"]
) -> tuple[Annotated[Tensor, "M P"], Annotated[Tensor, "M P"]]:
    """Depth of world points in some views: as they project there, and as the views see it (NaN: nothing)."""
    cameras = geometry.cameras[views]
    xy, projected = cameras.project(points)
    inside = cameras.inside(xy, projected)
    seen = torch.full_like(projected, torch.nan)
    for k, j in enumerate(views.tolist()):
        column, row = xy[k, inside[k]].floor().long().unbind(-1)
        there = depth_at(geometry, j, row * geometry.cameras.size(j)[1] + column)
        seen[k, inside[k]] = torch.where(there > 0, there, torch.nan)
    return projected, seen
