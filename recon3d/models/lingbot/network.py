"""LingBot-Map (arXiv 2604.14141): cameras and depth of a video, frame by frame, with a cache that is nearly bounded.

Against VGGT: one more special token, global blocks that turn with time, a cache (recon3d.models.streaming) in the global
blocks and in the camera head, and cameras that are world_from_camera.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from recon3d.models.attention import Rotation, attention, grid_positions, rotary_2d, rotary_3d
from recon3d.models.lingbot.config import LingBotConfig, TimeRotation
from recon3d.models.vggt.aggregator import Dino, alternate, alternating_block
from recon3d.models.vggt.camera_head import CameraHead
from recon3d.models.vggt.dense_head import VIEWS_AT_A_TIME, DenseHead
from recon3d.models.vggt.network import grid_of
from recon3d.models.vit import Attend, normalised

HEADS = ("camera_head", "depth_head", "point_head")


@dataclass(frozen=True)
class Prediction:
    """What the heads gave; None where a head was not asked for. Shapes [B, F, ...]; the world is nearly the first camera's."""

    pose_encodings: Tensor | None = None  # [iterations, B, F, 9], world_from_camera
    depth: Tensor | None = None  # [B, F, H, W, 1], z
    depth_confidence: Tensor | None = None  # [B, F, H, W], from 1
    points_in_world: Tensor | None = None  # [B, F, H, W, 3]
    points_confidence: Tensor | None = None
    layers: Mapping[int, Tensor] | None = None  # outputs of the layers that heads use, [B, F, P, 2C]


class LingBotAggregator(nn.Module):
    def __init__(self, config: LingBotConfig) -> None:
        super().__init__()
        self.config = config
        sizes, width = config.transformer, config.transformer.embed_dim
        self.camera_token = nn.Parameter(torch.zeros(1, 2, 1, width))
        self.register_token = nn.Parameter(torch.zeros(1, 2, config.aggregator.num_register_tokens, width))
        self.scale_token = nn.Parameter(torch.zeros(1, 2, 1, width))
        self.patch_embed = Dino(sizes, config.aggregator)
        self.frame_blocks = nn.ModuleList(alternating_block(sizes, config.aggregator) for _ in range(sizes.depth))
        self.global_blocks = nn.ModuleList(alternating_block(sizes, config.aggregator) for _ in range(sizes.depth))

    def forward(
        self, images: Tensor, keep: Collection[int], first: int, time: int, attend: Callable[[int], Attend]
    ) -> tuple[dict[int, Tensor], Tensor]:  # fmt: skip
        """As VGGT's. `first` is the index in the stream of the first of these frames, `time` that of its rotation."""
        scenes, frames = images.shape[:2]
        patches = self.patch_embed(normalised(images.flatten(0, 1))).unflatten(0, (scenes, frames))
        x = torch.cat((self.special_tokens(first, frames).expand(scenes, -1, -1, -1), patches), 2)
        grid = grid_of(images, self.config.transformer.patch_size)
        in_frame, over_frames = self.rotations(grid, time, frames, x.device)
        return alternate(self.frame_blocks, self.global_blocks, x, in_frame, over_frames, attend, keep)

    def special_tokens(self, first: int, frames: int) -> Tensor:
        """[1, F, T, C]: camera and registers tell the first frame from the others, the scale's tells the scale frames."""
        indices = range(first, first + frames)
        later = [int(i > 0) for i in indices]
        scaled = [int(i >= self.config.scale_frames) for i in indices]
        return torch.cat((self.camera_token[:, later], self.register_token[:, later], self.scale_token[:, scaled]), 2)

    def rotations(
        self, grid: tuple[int, int], time: int, frames: int, device: torch.device
    ) -> tuple[Rotation, Rotation]:
        """(of frame blocks, of global blocks over `frames` frames from `time` on)."""
        config = self.config
        head, frequency = config.transformer.head_width, config.transformer.rope_freq
        still = torch.zeros(config.special_tokens, 2, dtype=torch.int64, device=device)
        places = torch.cat((still, grid_positions(*grid, first=1, device=device)))
        in_frame = rotary_2d(places, head, frequency)
        if config.rope3d is None:
            return in_frame, rotary_2d(places.repeat(frames, 1), head, frequency)
        return in_frame, rotation_in_time(config.rope3d, time, frames, config.special_tokens, grid, device)


class LingBot(nn.Module):
    low_precision = ("aggregator.",)

    def __init__(self, config: LingBotConfig) -> None:
        super().__init__()
        self.config = config
        width, patch = 2 * config.transformer.embed_dim, config.transformer.patch_size
        self.aggregator = LingBotAggregator(config)
        self.camera_head = CameraHead(width, config.camera_head.vggt) if config.camera_head else None
        self.depth_head = DenseHead(width, patch, config.depth_head) if config.depth_head else None
        self.point_head = DenseHead(width, patch, config.point_head) if config.point_head else None

    def forward(
        self, images: Tensor, heads: Collection[str] = HEADS, chunk: int = VIEWS_AT_A_TIME, first: int = 0, time: int = 0,
        attend: Callable[[int], Attend] = lambda layer: attention,
        attend_cameras: Callable[[int, int], Attend] = lambda iteration, block: attention,
    ) -> Prediction:  # fmt: skip
        """Frames [B, F, 3, H, W] in 0 to 1, sides multiples of the patch. By default they are all, and see each other.

        `heads` are those to run, `chunk` the frames that dense heads take at a time. In a stream `first` frames came before
        these and `time` of them were stored; `attend(layer)` is the global attention of that layer,
        `attend_cameras(iteration, block)` the camera head's.
        """
        config, found = self.config, {}
        dense = {"depth_head": config.depth_head, "point_head": config.point_head}
        asked = {name: sizes for name, sizes in dense.items() if sizes is not None and name in heads}
        keep = {config.transformer.depth - 1}.union(*(sizes.layers for sizes in asked.values()))
        layers, cameras = self.aggregator(images, keep, first, time, attend)
        if self.camera_head is not None and config.camera_head is not None and "camera_head" in heads:
            rope, rotate = config.camera_head.rope3d, None
            if rope is not None:
                rotate = rotation_in_time(rope, first, images.shape[1], 1, (0, 0), images.device)
            found["pose_encodings"] = self.camera_head(cameras, attend_cameras, rotate=rotate)
        names = {"depth_head": ("depth", "depth_confidence"), "point_head": ("points_in_world", "points_confidence")}
        for name, sizes in asked.items():
            patches = [layers[i][:, :, config.special_tokens :] for i in sizes.layers]
            values = getattr(self, name)(patches, grid_of(images, config.transformer.patch_size), chunk)
            found |= dict(zip(names[name], values, strict=True))
        return Prediction(**found, layers=layers)


def rotation_in_time(
    rope: TimeRotation, time: int, frames: int, special: int, grid: tuple[int, int], device: torch.device
) -> Rotation:
    """Of the tokens of `frames` frames from `time` on: `special` tokens and a grid of patches each."""
    return rotary_3d(token_positions(time, frames, special, grid), rope.dims, rope.theta, device)


def token_positions(time: int, frames: int, special: int, grid: tuple[int, int]) -> Tensor:
    """(time, row, column) of every token [F·P, 3]: special tokens on a diagonal, the grid of patches beyond its end."""
    diagonal = torch.arange(special)[:, None].expand(-1, 2)
    places = torch.cat((diagonal, grid_positions(*grid, first=special))).repeat(frames, 1)
    times = torch.arange(time, time + frames).repeat_interleave(len(places) // frames)
    return torch.cat((times[:, None], places), 1)
