"""Sizes of LingBot-Map."""

from __future__ import annotations

from dataclasses import dataclass, field

from recon3d.models.config import GROUPED
from recon3d.models.sizes import TransformerConfig
from recon3d.models.vggt.config import DEPTH, POINTS, AggregatorConfig, CameraHeadConfig, DptConfig, VggtConfig


@dataclass(frozen=True)
class TimeRotation:
    """A rotary embedding in time, height and width."""

    dims: tuple[int, ...]  # channels of a head that turn with each; even, their sum is the head's width
    theta: float = 10000.0
    max_frames: int = 1024  # rows of the reference's table; ours is a formula and has no limit


@dataclass(frozen=True)
class LingBotCameraHeadConfig:
    vggt: CameraHeadConfig = field(default=CameraHeadConfig(), metadata=GROUPED)
    rope3d: TimeRotation | None = None


@dataclass(frozen=True)
class CacheConfig:
    """Which frames keep all of their tokens."""

    window: int = 64  # the latest that were stored
    scale_frames: int = 8  # the first of the stream


@dataclass(frozen=True)
class LingBotConfig:
    """The whole network; a head that is None is not there. `rope3d` None: global blocks turn with the place alone."""

    transformer: TransformerConfig = field(default=TransformerConfig(), metadata=GROUPED)
    aggregator: AggregatorConfig = field(default=AggregatorConfig(), metadata=GROUPED)
    rope3d: TimeRotation | None = None
    scale_frames: int = 8  # seen together in the first call, where the scale is fixed
    cache: CacheConfig = CacheConfig()
    keyframe_interval: int = 1  # every how many frames one is stored
    camera_head: LingBotCameraHeadConfig | None = None
    depth_head: DptConfig | None = None
    point_head: DptConfig | None = None

    @property
    def special_tokens(self) -> int:
        """Tokens of a frame before its patches: the camera's, the registers, the scale's."""
        return 2 + self.aggregator.num_register_tokens


LINGBOT_MAP = LingBotConfig(rope3d=TimeRotation((20, 22, 22)), camera_head=LingBotCameraHeadConfig(), depth_head=DEPTH)
# The first stage of its training is VGGT without tracks; its cameras are world_from_camera as well.
LINGBOT_MAP_STAGE1 = VggtConfig(camera_head=CameraHeadConfig(), depth_head=DEPTH, point_head=POINTS)
