"""Sizes that several families have in common, under the names that their published files use.

Configurations hold these groups as parts and not as parents; in JSON the fields of a part that is GROUPED stand among those
of its owner (config.py).
"""

from __future__ import annotations

from dataclasses import dataclass

DPT_CHANNELS = (256, 512, 1024, 1024)  # of the four levels of the dense heads on ViT-L (DPT, Ranftl et al. 2021)
DPT_LAYERS = (4, 11, 17, 23)  # whose outputs they read


@dataclass(frozen=True)
class TransformerConfig:
    """Tokens of patches, and the blocks that they go through. As published: ViT-L of DINOv2, at 518 pixels."""

    img_size: int = 518  # pixels, of the learned positions; other sizes are resampled from it
    patch_size: int = 14
    embed_dim: int = 1024
    depth: int = 24
    num_heads: int = 16
    mlp_ratio: float = 4.0
    rope_freq: int = 100

    @property
    def cells(self) -> int:
        """Learned positions."""
        return (self.img_size // self.patch_size) ** 2

    @property
    def hidden(self) -> int:
        """Width of a block's hidden layer."""
        return int(self.embed_dim * self.mlp_ratio)

    @property
    def head_width(self) -> int:
        return self.embed_dim // self.num_heads


@dataclass(frozen=True)
class TrunkConfig:
    """The blocks over camera tokens."""

    trunk_depth: int = 4
    num_heads: int = 16
    mlp_ratio: float = 4.0
