"""Depth to splats, the simplest way: a Gaussian for every pixel that is kept, as large as its pixel is there."""

from __future__ import annotations

import torch

from recon3d.core.gaussians import Gaussians
from recon3d.core.geometry import Geometry
from recon3d.core.harmonics import C0
from recon3d.core.views import Views
from recon3d.errors import InputError

OPACITY = 0.5  # as seeds from sparse points start
SIZE = 0.6  # standard deviation in gaps between kept pixels: neighbours overlap, no hole shows
LEAST_CONFIDENT = 0.1  # rank below which a pixel is left out


def lift(views: Views, geometry: Geometry, max_gaussians: int, degree: int = 0) -> Gaussians:
    """At most `max_gaussians`, from a grid of pixels with the same step in all views (give only the seen ones).

    Raises InputError where the geometry has no depth.
    """
    if geometry.depth is None or geometry.confidence is None:
        raise InputError("--geometry", "it gives no depth to lift", "Use splats seeded from points")
    step = 1
    while (kept := kept_pixels(geometry, step))[0] > max_gaussians:
        step += 1
    means, scales, colors = [], [], []
    for i, pixels in enumerate(kept[1]):
        points, _ = geometry.cameras.unproject(i, geometry.depth[i])
        focal = geometry.cameras.K[i, [0, 1], [0, 1]].mean()
        means.append(points.reshape(-1, 3)[pixels])
        scales.append(SIZE * step * geometry.depth[i].flatten()[pixels].double() / focal)
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
        opacities=torch.full((len(size),), OPACITY),
        sh=sh,
    )


def kept_pixels(geometry: Geometry, step: int) -> tuple[int, list[torch.Tensor]]:
    """Pixels on a grid of `step` with depth and confidence: how many, and their flat indices in each view."""
    assert geometry.depth is not None and geometry.confidence is not None
    chosen = []
    for depth, confidence in zip(geometry.depth, geometry.confidence, strict=True):
        good = torch.zeros_like(depth, dtype=torch.bool)
        first = step // 2
        good[first::step, first::step] = True
        good &= (depth > 0) & (confidence >= LEAST_CONFIDENT)
        chosen.append(good.flatten().nonzero()[:, 0])
    return sum(len(pixels) for pixels in chosen), chosen
