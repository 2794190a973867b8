"""What densification wants to know about Gaussians on the screen, handed out of a rasterizer's call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from torch import Tensor


@dataclass
class Screen:
    """An empty one is passed to `rasterize`, which fills it: `radii` on the way forward, `gradient` on the way back."""

    radii: Annotated[Tensor, "N G 2"] | None = None  # half width and height of the bounding box in pixels, 0 where unseen
    gradient: Annotated[Tensor, "N G 2"] | None = None  # dL / d projected centre, per pixel
