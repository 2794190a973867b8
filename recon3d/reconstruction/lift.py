"""Depth to splats: a flat Gaussian for every pixel that is kept, as large as its pixel is on the surface there."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from torch import Tensor

from recon3d.core.gaussians import Gaussians
from recon3d.core.geometry import Geometry
from recon3d.core.harmonics import C0
from recon3d.core.rotations import quats_from_matrices
from recon3d.core.views import Views
from recon3d.errors import InputError
from recon3d.reconstruction.confidence import believed, least_confidence
from recon3d.reconstruction.depth_fusion import Pixels, every_view, one_surface, world_points
from recon3d.reconstruction.surface_normals import axes_along, normals_at

# Chosen on procedural scenes whose depth is given errors, before refinement and after it (tools/benchmarks/lifts.py).
SIZE = 0.6  # standard deviation in gaps between kept pixels: neighbours overlap, no hole shows
THICK = 0.5  # of that, across the surface
LONGEST = 5.0  # times that, along a surface that is seen at a slant
LEAST_CONFIDENT = 0.02  # share of the pixels, the least confident ones, that are left out
FINER = 0.25  # pixels by which the gap between kept ones of one layer grows until there are no more than wanted
SEVERAL = 4.0  # Gaussians for each that is wanted, before views that see one surface share it: most scenes have no more
# Refinement wants Gaussians of every view (0.1 to 1.1 dB better after 300 steps), none of them opaque: seeds from sparse
# points start alike. Where none follows, layers of several views veil each other: then each place has one.
OPACITY, OPACITY_OF_ONE = 0.5, 0.9

Kept = list[tuple[Pixels, Annotated[Tensor, "P"]]]  # of each view: its pixels and their depth, float64


def lift(views: Views, geometry: Geometry, max_gaussians: int, one_layer: bool = False, degree: int = 0) -> Gaussians:
    """At most `max_gaussians`, from a grid of pixels with the same gap in all views (give only the seen ones).

    Pixels without confidence (masked, sky), the least confident ones, and those through which other views see make none.
    Each lies along the surface that depth shows about its pixel. `one_layer`: as scenes that are not refined should be,
    every place is left to one view, at the mean of depths that agree. Raises InputError where the geometry has no depth, or
    is confident of none.
    """
    if geometry.depth is None or geometry.confidence is None:
        raise InputError("--geometry", "it gives no depth to lift", "Use splats seeded from points")
    gap, kept = thinned_out(geometry, max_gaussians, one_layer)
    means, quats, scales, colors = [], [], [], []
    for i, (pixels, depth) in enumerate(kept):
        axes, size = discs(geometry, i, pixels, depth, gap)
        means.append(world_points(geometry, i, pixels, depth).float())
        quats.append(quats_from_matrices(axes).float())
        scales.append(size.float())
        colors.append(views.rgb(i).flatten(1).T[pixels])
    count = sum(map(len, means))
    if count == 0:
        raise InputError("photos", "the network is confident of no pixel", "Take photos with more light and overlap")
    sh = torch.zeros(count, (degree + 1) ** 2, 3)
    sh[:, 0] = (torch.cat(colors) - 0.5) / C0
    return Gaussians(
        means=torch.cat(means),
        quats=torch.cat(quats),
        scales=torch.cat(scales).clamp_min(1e-9),
        opacities=torch.full((count,), OPACITY_OF_ONE if one_layer else OPACITY),
        sh=sh,
    )


def discs(
    geometry: Geometry, i: int, pixels: Pixels, depth: Annotated[Tensor, "P"], gap: float
) -> tuple[Annotated[Tensor, "P 3 3"], Annotated[Tensor, "P 3"]]:
    """Axes in the world (columns: across the tilt, along it, the normal) and standard deviations along them, of Gaussians
    that cover `gap` pixels each on the surface of view i."""
    normals, towards = normals_at(geometry, i, pixels, max(1, round(gap)))
    size = SIZE * gap * depth / geometry.cameras.focal_lengths[i]
    slant = (normals * towards).sum(1).clamp_min(1 / LONGEST)
    axes = geometry.cameras.world_from_camera[i, :3, :3] @ axes_along(normals, towards)
    return axes, torch.stack((size, size / slant, THICK * size), 1)


def thinned_out(geometry: Geometry, most: int, one_layer: bool) -> tuple[float, Kept]:
    """The smallest gap between pixels (whole ones, or in steps of FINER) at which no more than `most` are kept; and those."""
    least = least_confidence(geometry, range(len(geometry)), LEAST_CONFIDENT)
    known = sum(int(believed(geometry, i, least).sum()) for i in range(len(geometry)))
    step, several = (FINER, SEVERAL * most) if one_layer else (1.0, most)
    # A grid of gap g keeps about one pixel in g²: the search begins a step below.
    gap = max(1.0, 1 + step * (math.ceil((math.sqrt(known / several) - 1) / step) - 1))
    while True:
        pixels = [on_grid(believed(geometry, i, least), gap) for i in range(len(geometry))]
        if sum(map(len, pixels)) <= several:
            kept = (one_surface if one_layer else every_view)(geometry, pixels)
            if sum(len(p) for p, _ in kept) <= most:
                return gap, kept
        gap += step


def on_grid(wanted: Annotated[Tensor, "H W"], gap: float) -> Pixels:
    """The wanted pixels of one view (bool) on a grid `gap` pixels apart."""
    rows, columns = (((torch.arange(max(int(n / gap), 1)) + 0.5) * gap).long().clamp(max=n - 1) for n in wanted.shape)
    row, column = wanted[rows[:, None], columns].nonzero(as_tuple=True)
    return rows[row] * wanted.shape[1] + columns[column]
