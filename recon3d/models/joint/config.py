"""Sizes of the joint network. Loads no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class JointConfig:
    """A scene pixel is `step` image pixels wide; a token is `*_patch` pixels of its own grid wide."""

    dim: int = 256
    head_dim: int = 64
    image_patch: int = 16
    scene_patch: int = 8
    step: int = 2
    encoder_blocks: int = 2
    zpressor_layers: int = 2
    blocks: int = 8  # read and self in turn
    feature_width: int | None = None  # channels of a geometry network's features; None: there is no place for them

    @property
    def multiple(self) -> int:
        """What height and width of the pictures are divisible by."""
        return math.lcm(self.image_patch, self.scene_patch * self.step)


# Of the weights that come with the toolkit: small tokens, for what it learns from are small pictures.
SHIPPED = JointConfig(dim=128, image_patch=8, scene_patch=4, encoder_blocks=1, zpressor_layers=2, blocks=6)
