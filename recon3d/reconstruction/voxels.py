"""Points of many depth maps made one cloud of a given size: those that share a voxel are joined."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

COARSER = 1.25  # times the edge of voxels, until they are few enough
BITS = 20  # of a voxel's number along each axis: coordinates beyond wrap around, far from what they might meet


def voxelised(
    points: Annotated[Tensor, "P 3"], colors: Annotated[Tensor, "P 3"], sizes: Annotated[Tensor, "P"], most: int
) -> tuple[Annotated[Tensor, "Q 3"], Annotated[Tensor, "Q 3"]]:
    """At most `most` points (float64, world) with colours (uint8): the means of those that share a voxel.

    `sizes`: world units, what one pixel covers at each point. A voxel's edge is that, rounded to a power of two and times
    a factor that grows from 1 until there are few enough: what was seen from near keeps its detail beside what is far,
    and what many views saw counts no more than what one did.
    """
    level = sizes.clamp_min(1e-12).log2().round()
    edge, group, counts = 1.0, torch.zeros(0), torch.zeros(0)
    while True:
        cells = (points / (edge * 2**level)[:, None]).floor().long() & (2**BITS - 1)
        x, y, z = cells.unbind(1)
        # The level in the bits that are left: points of two levels share no voxel.
        number = ((level.long() & 7) << 3 * BITS) | (x << 2 * BITS) | (y << BITS) | z
        _, group, counts = number.unique(return_inverse=True, return_counts=True)
        if len(counts) <= most:
            break
        edge *= COARSER

    def mean(values: Tensor) -> Tensor:
        total = torch.zeros(len(counts), 3, dtype=torch.float64).index_add_(0, group, values.double())
        return total / counts[:, None]

    return mean(points), mean(colors).round().to(torch.uint8)
