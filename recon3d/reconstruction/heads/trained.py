"""How an input differs from what a head's weights were trained on: what a user should know before the result is believed."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from recon3d.core.geometry import Geometry


@dataclass(frozen=True)
class Trained:
    """Ranges, both ends included; None: not published."""

    views: tuple[int, int] | None = None
    pixels: tuple[int, int] | None = None  # longest side of the pictures
    overlap: tuple[float, float] | None = None  # share of a view's points that its nearest neighbour sees
    baseline: tuple[float, float] | None = None  # from a view to its nearest neighbour, over the median depth


def outside(trained: Trained, geometry: Geometry, views_at_a_time: int) -> tuple[str, ...]:
    """One clause for each range that the input leaves, with its figure."""
    found = {
        "views": views_at_a_time,
        "pixels": int(geometry.cameras.sizes.max()),
        "overlap": overlap(geometry),
        "baseline": baseline(geometry),
    }
    words = {
        "views": "views at a time", "pixels": "pixels on the longest side", "overlap": "of a view's points in the next view",
        "baseline": "of the depth between neighbours",
    }  # fmt: skip
    said = []
    for name, value in found.items():
        limits = getattr(trained, name)
        if limits is not None and value is not None and not limits[0] <= value <= limits[1]:
            low, high = limits
            trained_on = f"{low:g}" if low == high else f"{low:g} to {high:g}"
            said.append(f"{value:.3g} {words[name]}, trained on {trained_on}")
    return tuple(said)


def nearest_views(geometry: Geometry) -> torch.Tensor:
    """[N], the view whose camera is nearest to each one's."""
    distances = torch.cdist(geometry.cameras.centers_in_world, geometry.cameras.centers_in_world)
    return distances.fill_diagonal_(torch.inf).argmin(1)


def overlap(geometry: Geometry) -> float | None:
    """Median over views: the share of the points in a view's picture that lie in its neighbour's too."""
    if len(geometry) < 2 or len(geometry.points) == 0:
        return None
    sees = geometry.cameras.shows(geometry.points)
    both = (sees & sees[nearest_views(geometry)]).sum(1)
    return float((both / sees.sum(1).clamp_min(1)).median())


def baseline(geometry: Geometry) -> float | None:
    """Median over views: the distance to the nearest camera over the median depth of the points in the picture."""
    if len(geometry) < 2 or len(geometry.points) == 0:
        return None
    pixels, depth = geometry.cameras.project(geometry.points)
    sees = geometry.cameras.inside(pixels, depth)
    centers = geometry.cameras.centers_in_world
    away = (centers - centers[nearest_views(geometry)]).norm(dim=1)
    ratios = [away[i] / depth[i, sees[i]].median() for i in range(len(geometry)) if sees[i].any()]
    return float(torch.stack(ratios).median()) if ratios else None
