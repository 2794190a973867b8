"""Sizes of recon3d-small. Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SmallConfig:
    dim: int = 256
    heads: int = 4
    stem: tuple[int, int, int] = (32, 64, 128)  # channels at a half, a quarter and an eighth of the picture
    before: int = 2  # pairs of blocks (in a view, over views) before tokens are matched
    after: int = 2  # and behind it
    registers: int = 2
    match_dim: int = 64
    layerscale: float = 0.2

    @property
    def patch(self) -> int:
        return 16

    @property
    def multiple(self) -> int:
        """What height and width of the pictures are divisible by."""
        return self.patch
