"""Gaussians that should not be in the scene, or not where they are: seen through masks only, too many, too far."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import torch
from torch import Tensor

from recon3d.core.cameras import Cameras
from recon3d.core.gaussians import Gaussians
from recon3d.core.geometry import Geometry
from recon3d.core.views import Views

FARTHER_THAN_MOST = 100.0  # times the median distance: cameras may stand nearly in one place
FARTHEST = 1000.0  # times the reach of the cameras: half a pixel of parallax for pictures of 500 pixels focal length


def unmasked(views: Views, geometry: Geometry, gaussians: Gaussians) -> Gaussians:
    """Without the Gaussians whose centre falls on an unmasked pixel of no seen view; all of them where there is no mask."""
    if views.masks is None or all(mask is None for mask in views.masks):
        return gaussians
    kept = torch.zeros(len(gaussians), dtype=torch.bool)
    for i in (~views.held_out).nonzero()[:, 0].tolist():
        kept |= inside_mask(views, geometry, gaussians.means, i)
    return gaussians[kept]


def inside_mask(
    views: Views, geometry: Geometry, points: Annotated[Tensor, "P 3"], i: int
) -> Annotated[Tensor, "P"]:
    """Which world points project onto a pixel of view i that may be used."""
    camera = geometry.cameras[[i]]
    pixels, depth = camera.project(points)
    inside, mask = camera.inside(pixels, depth)[0], views.mask(i)
    if mask is None:
        return inside
    height, width = camera.size(0)
    column, row = pixels[0].nan_to_num(-1).floor().long().unbind(-1)
    return inside & mask[row.clamp(0, height - 1), column.clamp(0, width - 1)]


def brought_near(gaussians: Gaussians, cameras: Cameras) -> Gaussians:
    """Those further away than FARTHEST moved towards the cameras and shrunk alike: from there they look the same.

    Refinement moves what shows no parallax without end, and files with a fixed number of bits for the whole scene (SPZ)
    would then have none left for what is near.
    """
    centers = cameras.centers_in_world.to(gaussians.means)
    middle = centers.mean(0)
    away = gaussians.means - middle
    distance = away.norm(dim=1, keepdim=True)
    reach = float((centers - middle).norm(dim=1).max())
    limit = max(FARTHEST * reach, FARTHER_THAN_MOST * float(distance.median()))
    if not (distance > limit).any():
        return gaussians
    nearer = (limit / distance).clamp(max=1)
    moved = torch.where(nearer < 1, middle + nearer * away, gaussians.means)
    return replace(gaussians, means=moved, scales=gaussians.scales * nearer)


def thinned(gaussians: Gaussians, most: int, seed: int) -> Gaussians:
    """At most so many of the Gaussians, drawn evenly; those that stay grow, so that surfaces stay covered."""
    if len(gaussians) <= most:
        return gaussians
    generator = torch.Generator().manual_seed(seed)
    kept = gaussians[torch.randperm(len(gaussians), generator=generator)[:most].sort().values]
    return replace(kept, scales=kept.scales * (len(gaussians) / most) ** 0.5)
