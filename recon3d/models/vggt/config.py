"""Sizes of VGGT and of the networks built from its parts (StreamVGGT, LingBot-Map)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class VitConfig:
    """The DINOv2 encoder of single views."""

    depth: int = 24
    num_heads: int = 16
    mlp_ratio: float = 4.0
    layerscale_init: float = 1.0


@dataclass(frozen=True)
class CameraHeadConfig:
    trunk_depth: int = 4
    num_heads: int = 16
    mlp_ratio: float = 4.0
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
    out_channels: tuple[int, ...] = (256, 512, 1024, 1024)
    layers: tuple[int, ...] = (4, 11, 17, 23)
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
class VggtConfig:
    """The whole network; a head that is None is not there."""

    img_size: int = 518
    patch_size: int = 14
    embed_dim: int = 1024
    depth: int = 24
    num_heads: int = 16
    mlp_ratio: float = 4.0
    num_register_tokens: int = 4
    rope_freq: int = 100
    qk_norm: bool = True
    layerscale_init: float = 0.01
    patch_embed: VitConfig = VitConfig()
    camera_head: CameraHeadConfig | None = None
    depth_head: DptConfig | None = None
    point_head: DptConfig | None = None
    track_head: TrackHeadConfig | None = None

    @property
    def special_tokens(self) -> int:
        """Tokens of a view before its patches: the camera's and the registers."""
        return 1 + self.num_register_tokens


DEPTH = DptConfig(256, (256, 512, 1024, 1024), (4, 11, 17, 23), output_dim=2, activation="exp")
POINTS = DptConfig(256, (256, 512, 1024, 1024), (4, 11, 17, 23), output_dim=4, activation="inv_log")
VGGT_1B = VggtConfig(
    camera_head=CameraHeadConfig(), depth_head=DEPTH, point_head=POINTS, track_head=TrackHeadConfig()
)
# What a geometry needs of it: depth with cameras is better than its point head (paper, table 3), and nothing is tracked.
VGGT_1B_GEOMETRY = replace(VGGT_1B, point_head=None, track_head=None)
