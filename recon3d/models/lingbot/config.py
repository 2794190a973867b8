"""Sizes of LingBot-Map."""

from __future__ import annotations

from dataclasses import dataclass, field

from recon3d.models.vggt.config import DEPTH, POINTS, CameraHeadConfig, DptConfig, VggtConfig, VitConfig


@dataclass(frozen=True)
class TimeRotation:
    """A rotary embedding in time, height and width."""

    dims: tuple[int, ...]  # channels of a head that turn with each; even, their sum is the head's width
    theta: float = 10000.0
    max_frames: int = 1024  # rows of the reference's table; ours is a formula and has no limit


@dataclass(frozen=True)
class LingBotCameraHeadConfig:
    trunk_depth: int = 4
    num_heads: int = 16
    mlp_ratio: float = 4.0
    layerscale_init: float = 0.01
    iterations: int = 4
    rope3d: TimeRotation | None = None

    @property
    def vggt(self) -> CameraHeadConfig:
        return CameraHeadConfig(self.trunk_depth, self.num_heads, self.mlp_ratio, self.layerscale_init, self.iterations)


@dataclass(frozen=True)
class CacheConfig:
    """Which frames keep all of their tokens."""

    window: int = 64  # the latest that were stored
    scale_frames: int = 8  # the first of the stream


@dataclass(frozen=True)
class LingBotConfig:
    """The whole network; a head that is None is not there. `rope3d` None: global blocks turn with the place alone."""

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
    rope3d: TimeRotation | None = None
    scale_frames: int = 8  # seen together in the first call, where the scale is fixed
    cache: CacheConfig = CacheConfig()
    keyframe_interval: int = 1  # every how many frames one is stored
    patch_embed: VitConfig = field(default_factory=VitConfig)
    camera_head: LingBotCameraHeadConfig | None = None
    depth_head: DptConfig | None = None
    point_head: DptConfig | None = None

    @property
    def special_tokens(self) -> int:
        """Tokens of a frame before its patches: the camera's, the registers, the scale's."""
        return 2 + self.num_register_tokens

    @property
    def vggt(self) -> VggtConfig:
        """The sizes of the parts that are VGGT's."""
        return VggtConfig(
            self.img_size, self.patch_size, self.embed_dim, self.depth, self.num_heads, self.mlp_ratio,
            self.num_register_tokens, self.rope_freq, self.qk_norm, self.layerscale_init, self.patch_embed,
        )  # fmt: skip


LINGBOT_MAP = LingBotConfig(rope3d=TimeRotation((20, 22, 22)), camera_head=LingBotCameraHeadConfig(), depth_head=DEPTH)
# The first stage of its training is VGGT without tracks; its cameras are world_from_camera as well.
LINGBOT_MAP_STAGE1 = VggtConfig(camera_head=CameraHeadConfig(), depth_head=DEPTH, point_head=POINTS)
