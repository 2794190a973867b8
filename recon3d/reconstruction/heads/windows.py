"""Long captures through a head: overlapping windows of views, whose Gaussians become one scene."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from recon3d.core.cameras import Cameras
from recon3d.core.gaussians import Gaussians

OVERLAP = 0.25  # of a window, shared with the next one
CELL = 8.0  # side of the cells in which two windows are compared, in pixels there: best of 1 to 8 on four captures


def windows(views: int, size: int) -> list[Annotated[Tensor, "V"]]:
    """Views in their order, at most `size` at a time; neighbours share OVERLAP of them, and the last one is full too."""
    if views <= size:
        return [torch.arange(views)]
    step = max(min(round(size * (1 - OVERLAP)), size - 1), 1)
    starts = [*range(0, views - size, step), views - size]
    return [torch.arange(start, start + size) for start in starts]


def fused(kept: Gaussians, kept_footprint: Tensor, new: Gaussians, footprint: Tensor) -> tuple[Gaussians, Tensor]:
    """Two windows' Gaussians: where both describe a place, those of the window that sees it better stay.

    Places are cells as wide as CELL Gaussians are there; `footprint` [G] is what a pixel of the nearest of its own views
    covers at a Gaussian, and the smaller mean of a cell wins. Gaussians of the rest of the scene stay as they are.
    """
    level = torch.cat((kept_footprint, footprint)).median().clamp_min(1e-12)
    cells = torch.cat((kept.means, new.means)) / (CELL * level)
    _, group = cells.floor().long().unique(dim=0, return_inverse=True)
    first, second = group[: len(kept)], group[len(kept) :]
    count = int(group.max()) + 1
    ours, theirs = mean_of(kept_footprint, first, count), mean_of(footprint, second, count)
    better = theirs < ours  # infinite where a window has nothing
    stay, come = ~better[first], better[second]
    return joined(kept[stay], new[come]), torch.cat((kept_footprint[stay], footprint[come]))


def mean_of(values: Annotated[Tensor, "G"], group: Annotated[Tensor, "G"], count: int) -> Annotated[Tensor, "K"]:
    total = torch.zeros(count).index_add_(0, group, values)
    members = torch.zeros(count).index_add_(0, group, torch.ones_like(values))
    return torch.where(members > 0, total / members, torch.inf)


def joined(a: Gaussians, b: Gaussians) -> Gaussians:
    names = ("means", "quats", "scales", "opacities", "sh")
    return Gaussians(*(torch.cat((getattr(a, name), getattr(b, name))) for name in names), mode=a.mode)


def footprints(gaussians: Gaussians, cameras: Cameras) -> Annotated[Tensor, "G"]:
    """What a pixel covers at each Gaussian, in the one of these cameras that sees it best: depth over focal length."""
    best = torch.full((len(gaussians),), torch.inf)
    for i in range(len(cameras)):
        one = cameras[[i]]
        pixels, depth = one.project(gaussians.means.double())
        here = torch.where(one.inside(pixels, depth), depth / one.focal_lengths, torch.inf)[0]
        best = torch.minimum(best, here.float())
    return torch.where(best.isfinite(), best, best[best.isfinite()].max() if best.isfinite().any() else 1.0)
