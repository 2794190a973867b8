"""Sizes of VGGT and of the networks built from its parts (StreamVGGT, LingBot-Map)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from recon3d.models.config import GROUPED
from recon3d.models.sizes import DPT_CHANNELS, DPT_LAYERS, TransformerConfig, TrunkConfig


@dataclass(frozen=True)
class VitConfig:
    """The DINOv2 encoder of single views."""

    depth: int = 24
    num_heads: int = 16
    mlp_ratio: float = 4.0
    layerscale_init: float = 1.0


@dataclass(frozen=True)
class CameraHeadConfig:
    trunk: TrunkConfig = field(default=TrunkConfig(), metadata=GROUPED)
    layerscale_init: float = 0.01
    iterations: int = 4


@dataclass(frozen=True)
class DptConfig:
    """A dense head. `layers` are indices into the layer outputs."""

    features: int
    out_channels: tuple[int, ...]
    layers: tuple[int, ...]
    output_dim: int  # the last channel is the confidence
    activation: Literal["exp", "inv_log"]
    conf_activation: Literal["expp1"] = "expp1"


@dataclass(frozen=True)
class TrackHeadConfig:
    features: int = 128
    out_channels: tuple[int, ...] = DPT_CHANNELS
    layers: tuple[int, ...] = DPT_LAYERS
    stride: int = 2
    corr_levels: int = 7
    corr_radius: int = 4
    hidden_size: int = 384
    num_heads: int = 8
    virtual_tracks: int = 64
    mlp_ratio: float = 4.0
    depth: int = 6
    iterations: int = 4
    max_scale: int = 518


@dataclass(frozen=True)
class AggregatorConfig:
    """What the blocks in and over views have beside the sizes of a transformer, and the encoder before them."""

    num_register_tokens: int = 4
    qk_norm: bool = True
    layerscale_init: float = 0.01
    patch_embed: VitConfig = VitConfig()


@dataclass(frozen=True)
class VggtConfig:
    """The whole network; a head that is None is not there."""

    transformer: TransformerConfig = field(default=TransformerConfig(), metadata=GROUPED)
    aggregator: AggregatorConfig = field(default=AggregatorConfig(), metadata=GROUPED)
    camera_head: CameraHeadConfig | None = None
    depth_head: DptConfig | None = None
    point_head: DptConfig | None = None
    track_head: TrackHeadConfig | None = None

    @property
    def special_tokens(self) -> int:
        """Tokens of a view before its patches: the camera's and the registers."""
        return 1 + self.aggregator.num_register_tokens

    @property
    def multiple(self) -> int:
        """Of which sides of pictures are multiples, pixels."""
        return self.transformer.patch_size


DEPTH = DptConfig(256, DPT_CHANNELS, DPT_LAYERS, output_dim=2, activation="exp")
POINTS = DptConfig(256, DPT_CHANNELS, DPT_LAYERS, output_dim=4, activation="inv_log")
VGGT_1B = VggtConfig(
    camera_head=CameraHeadConfig(), depth_head=DEPTH, point_head=POINTS, track_head=TrackHeadConfig()
)
# What a geometry needs of it: depth with cameras is better than its point head (paper, table 3), and nothing is tracked.
VGGT_1B_GEOMETRY = replace(VGGT_1B, point_head=None, track_head=None)
