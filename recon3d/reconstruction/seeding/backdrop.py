"""A far shell of large Gaussians behind everything: without it a camera that looks past what photos show sees black."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from torch import Tensor

from recon3d.core.cameras import Cameras
from recon3d.core.geometry import Geometry
from recon3d.core.views import Views

AWAY = 3.0  # times the distance of the far points
SPACING = 0.03  # radians between neighbours
SIZE = 0.6  # of the spacing: the shell has no holes
MARGIN = 0.5  # of a picture's size: so far beyond the borders of all pictures the shell reaches
CELLS = 12  # a photo gives so many colours across, and down


def backdrop(
    views: Views, geometry: Geometry
) -> tuple[Annotated[Tensor, "P 3"], Annotated[Tensor, "P 3"], Annotated[Tensor, "P"]]:
    """Points in the world, colours (0 to 1) of the nearest part of a photo, and sizes in world units."""
    cameras = geometry.cameras
    middle, away = place(cameras, geometry.points)
    points = middle + away * sphere(int(4 * math.pi / SPACING**2))
    pixels, depth = cameras.project(points)
    sizes = cameras.sizes.flip(1)[:, None].double()
    beyond = (torch.maximum(-pixels, pixels - sizes).clamp_min(0) / sizes).amax(-1)
    least, view = torch.where(depth > 0, beyond, torch.inf).min(0)
    kept = (least <= MARGIN).nonzero()[:, 0]
    colors = torch.empty(len(kept), 3)
    for v in range(len(views)):
        mine = (view[kept] == v).nonzero()[:, 0]
        coarse = torch.nn.functional.interpolate(views.rgb(v)[None], (CELLS, CELLS), mode="area")[0]
        cell = (pixels[v, kept[mine]] / sizes[v] * CELLS).long().clamp(0, CELLS - 1)
        colors[mine] = coarse[:, cell[:, 1], cell[:, 0]].T
    return points[kept], colors, torch.full((len(kept),), SIZE * SPACING * away)


def place(cameras: Cameras, points: Annotated[Tensor, "P 3"]) -> tuple[Annotated[Tensor, "3"], float]:
    """The middle and the radius of the shell, in world units, behind a scene's known points (at least one)."""
    middle = cameras.centers_in_world.mean(0)
    return middle, AWAY * float((points - middle).norm(dim=1).quantile(0.98))


def sphere(count: int) -> Annotated[Tensor, "count 3"]:
    """Unit vectors of even density, on a spiral (Vogel 1979, on the sphere)."""
    i = torch.arange(count, dtype=torch.float64)
    height, turn = 1 - (2 * i + 1) / count, i * math.pi * (3 - 5**0.5)
    flat = (1 - height**2).sqrt()
    return torch.stack([flat * turn.cos(), height, flat * turn.sin()], -1)
