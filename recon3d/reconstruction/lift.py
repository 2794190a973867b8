"""Depth to splats, the simplest way: a Gaussian for every pixel that is kept, as large as its pixel is there."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from recon3d.core.gaussians import Gaussians
from recon3d.core.geometry import Geometry
from recon3d.core.harmonics import C0
from recon3d.core.views import Views
from recon3d.errors import InputError
from recon3d.reconstruction.depth_fusion import Pixels, depth_at, one_surface, world_points

SIZE = 0.6  # standard deviation in gaps between kept pixels: neighbours overlap, no hole shows
LEAST_CONFIDENT = 0.1  # rank below which a pixel is left out
FINER = 0.25  # pixels by which the gap between kept ones of one layer grows until there are no more than wanted
SEVERAL = 4.0  # Gaussians for each that is wanted, before views that see one surface share it: most scenes have no more
# Refinement wants Gaussians of every view (0.1 to 1.1 dB better after 300 steps), none of them opaque: seeds from sparse
# points start alike. Where none follows, layers of several views veil each other: then each place has one.
OPACITY, OPACITY_OF_ONE = 0.5, 0.9

Kept = list[tuple[Pixels, Annotated[Tensor, "P"]]]  # of each view: its pixels and their depth, float64


def lift(views: Views, geometry: Geometry, max_gaussians: int, one_layer: bool = False, degree: int = 0) -> Gaussians:
    """At most `max_gaussians`, from a grid of pixels with the same gap in all views (give only the seen ones).

    `one_layer`: as scenes that are not refined should be, every place is left to one view, at the mean of depths that
    agree. Raises InputError where the geometry has no depth, or is confident of none.
    """
    if geometry.depth is None or geometry.confidence is None:
        raise InputError("--geometry", "it gives no depth to lift", "Use splats seeded from points")
    gap, kept = thinned_out(geometry, max_gaussians, one_layer)
    means, scales, colors = [], [], []
    for i, (pixels, depth) in enumerate(kept):
        means.append(world_points(geometry, i, pixels, depth))
        scales.append(SIZE * gap * depth / geometry.cameras.focal_lengths[i])
        colors.append(views.rgb(i).flatten(1).T[pixels])
    size = torch.cat(scales).float()
    if len(size) == 0:
        raise InputError("photos", "the network is confident of no pixel", "Take photos with more light and overlap")
    sh = torch.zeros(len(size), (degree + 1) ** 2, 3)
    sh[:, 0] = (torch.cat(colors) - 0.5) / C0
    return Gaussians(
        means=torch.cat(means).float(),
        quats=torch.tensor([1.0, 0, 0, 0]).repeat(len(size), 1),
        scales=size[:, None].repeat(1, 3).clamp_min(1e-9),
        opacities=torch.full((len(size),), OPACITY_OF_ONE if one_layer else OPACITY),
        sh=sh,
    )


def thinned_out(geometry: Geometry, most: int, one_layer: bool) -> tuple[float, Kept]:
    """The smallest gap between pixels (whole ones, or in steps of FINER) at which no more than `most` are kept; and those."""
    gap = 1.0
    while True:
        pixels = confident_pixels(geometry, gap)
        count = sum(len(p) for p in pixels)
        if count <= (SEVERAL * most if one_layer else most):
            kept = one_surface(geometry, pixels) if one_layer else [(p, depth_at(geometry, i, p)) for i, p in enumerate(pixels)]
            if sum(len(p) for p, _ in kept) <= most:
                return gap, kept
        gap += FINER if one_layer else 1.0


def confident_pixels(geometry: Geometry, gap: float) -> list[Pixels]:
    """Pixels of each view that have depth and confidence, on a grid `gap` pixels apart."""
    assert geometry.depth is not None and geometry.confidence is not None
    chosen = []
    for depth, confidence in zip(geometry.depth, geometry.confidence, strict=True):
        rows, columns = (((torch.arange(max(int(n / gap), 1)) + 0.5) * gap).long().clamp(max=n - 1) for n in depth.shape)
        on_grid = torch.zeros_like(depth, dtype=torch.bool)
        on_grid[rows[:, None], columns] = True
        chosen.append((on_grid & (depth > 0) & (confidence >= LEAST_CONFIDENT)).flatten().nonzero()[:, 0])
    return chosen
