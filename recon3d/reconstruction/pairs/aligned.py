"""What aligning the pairs of a scene gives: one world, and how well the pairs agree with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from recon3d.core.geometry import Geometry
from recon3d.core.pairs import Pairs
from recon3d.models.pictures import geometry_in_network


@dataclass(frozen=True)
class Aligned:
    """N pictures in one world whose unit is that of the pairs (of their geometric mean, where they differ)."""

    geometry: Geometry  # in the pixels of the pictures
    unposed: tuple[int, ...] = ()  # pictures of which no pair tells a pose to start from: they started at the origin
    initial_loss: float | None = None  # None where nothing was optimised
    loss: float | None = None


def middles(pairs: Pairs) -> Annotated[Tensor, "N 2"]:
    """Principal points (x, y) in the middle of each picture, float64."""
    return pairs.sizes.flip(1).double() / 2


def pinholes(focals: Annotated[Tensor, "N"], principal_points: Annotated[Tensor, "N 2"]) -> Annotated[Tensor, "N 3 3"]:
    """K with square pixels, float64."""
    K = torch.eye(3, dtype=torch.float64).repeat(len(focals), 1, 1)
    K[:, 0, 0] = K[:, 1, 1] = focals.double()
    K[:, :2, 2] = principal_points
    return K


def geometry_of(
    pairs: Pairs, world_from_camera: Annotated[Tensor, "N 4 4"], K: Annotated[Tensor, "N 3 3"],
    depth: Annotated[tuple[Tensor, ...], "N × H W"],
) -> Geometry:  # fmt: skip
    """A pixel that lies behind its camera has no depth; the confidence of a pixel is the best that a pair gives it."""
    camera_from_world = torch.linalg.inv(world_from_camera.double())[:, :3]
    known = [of_view.clamp_min(0) for of_view in depth]
    return geometry_in_network(camera_from_world, K, known, pairs.best_confidence(), pairs.source, pairs.scale)
