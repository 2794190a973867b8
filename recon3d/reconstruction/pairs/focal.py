"""Focal length of a picture from its point map: every pixel's point votes for the focal that puts it where it stands."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from torch import Tensor

ROUNDS = 10  # of reweighting
NEAREST = 1e-8  # pixels: an error below this weighs no more
FIELD_OF_VIEW = 60  # degrees along the longest side: the focal that limits are stated in
# Fields of view from 160 to 7 degrees. Networks know no others; without a limit a map of noise may have no focal at all.
PLAUSIBLE = (0.1, 10.0)


def weiszfeld_focal(
    points: Annotated[Tensor, "B H W 3"], principal_points: Annotated[Tensor, "B 2"],
    limits: tuple[float, float] = PLAUSIBLE,
) -> Annotated[Tensor, "B"]:  # fmt: skip
    """Focal lengths in pixels with the least sum of distances between pixels and projected points.

    Points are in the camera of their own picture; pixels, and principal points, have centres at +0.5. `limits` are
    multiples of the focal of a field of view of 60 degrees. Source: DUSt3R (Wang et al. 2024), section 3.3, by
    Weiszfeld's iteration.
    """
    pixels = _centered_pixels(points, principal_points)
    rays = (points[..., :2].double() / points[..., 2:].double()).nan_to_num(0.0, 0.0, 0.0)
    along, across = (rays * pixels).sum(-1), rays.square().sum(-1)
    focal = along.sum((1, 2)) / across.sum((1, 2))
    for _ in range(ROUNDS):
        weights = 1 / (pixels - focal[:, None, None, None] * rays).norm(dim=-1).clamp_min(NEAREST)
        focal = (weights * along).sum((1, 2)) / (weights * across).sum((1, 2))
    base = max(points.shape[1:3]) / (2 * math.tan(math.radians(FIELD_OF_VIEW) / 2))
    return focal.clamp(limits[0] * base, limits[1] * base)


def median_focal(
    points: Annotated[Tensor, "B H W 3"], principal_points: Annotated[Tensor, "B 2"]
) -> Annotated[Tensor, "B"]:
    """Focal lengths in pixels as the (lower) median of what x and y of every pixel say; see `weiszfeld_focal`."""
    votes = _centered_pixels(points, principal_points) * points[..., 2:].double() / points[..., :2].double()
    return votes.flatten(1).nanmedian(1).values


def _centered_pixels(
    points: Annotated[Tensor, "B H W 3"], principal_points: Annotated[Tensor, "B 2"]
) -> Annotated[Tensor, "B H W 2"]:
    height, width = points.shape[1:3]
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([x, y], -1) + 0.5 - principal_points.double()[:, None, None]
