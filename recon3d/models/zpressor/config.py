"""Sizes of ZPressor."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ZPressorConfig:
    embed_dims: tuple[int, ...]  # channels, one for each level of features
    num_heads: int = 1
    num_layers: int = 6
    self_attention: bool = True


PUBLISHED = ZPressorConfig((128,))  # the same module in all three hosts
