"""How many Gaussians the photos of a scene bear before they are fitted to the photos and no longer to the scene."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from recon3d.core.geometry import Geometry

# Gaussians for each pixel of the seen photos, by tools/benchmarks/densities.py: where six photos have a place in their
# picture, twice LEAST loses 0.1 dB or more; where ten have, it gains 0.1 to 0.2 (three scenes, three seeds, 512 px); where
# sixteen have, MOST gains 0.3.
LEAST, MOST = 0.035, 0.105
BEARING = 7.0  # photos that show a place: from here on the density grows, by their square
EVERY = 16  # pixels between those of a depth map that are asked


def bearable(geometry: Geometry) -> float:
    """Gaussians for each pixel, by how many of the (seen) views have a place in their picture, in the mean over its points.

    LEAST where nothing is known of the scene's surfaces.
    """
    points = known_points(geometry)
    if not len(points):
        return LEAST
    often = float(geometry.cameras.shows(points).sum(0).double().mean())
    return min(max(LEAST * (often / BEARING) ** 2, LEAST), MOST)


def known_points(geometry: Geometry) -> Annotated[Tensor, "P 3"]:
    """Sparse points; without any, points of some pixels of the depth maps."""
    if len(geometry.points) or geometry.depth is None:
        return geometry.points
    found = []
    for i, depth in enumerate(geometry.depth):
        points, known = geometry.cameras.unproject(i, depth)
        found.append(points[::EVERY, ::EVERY][known[::EVERY, ::EVERY]])
    return torch.cat(found)
