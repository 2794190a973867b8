"""VGGT's encoder of views, and the blocks that attend inside a view and over all views in turn."""

from __future__ import annotations

from collections.abc import Callable, Collection

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recon3d.models.attention import Rotation, attention, grid_positions, rotary_2d
from recon3d.models.sizes import TransformerConfig
from recon3d.models.vggt.config import AggregatorConfig, VggtConfig
from recon3d.models.vit import Attend, Block, LayerNorm, PatchEmbed, normalised, resampled_positions, stepped

VIEWS_AT_A_TIME = 16  # of single views' tokens: enough to keep a GPU busy


class Dino(nn.Module):
    """DINOv2 with registers (Oquab et al. 2024; Darcet et al. 2024): patch tokens of single views."""

    def __init__(self, sizes: TransformerConfig, config: AggregatorConfig) -> None:
        super().__init__()
        width, vit = sizes.embed_dim, config.patch_embed
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + sizes.cells, width))
        self.register_tokens = nn.Parameter(torch.zeros(1, config.num_register_tokens, width))
        self.patch_embed = PatchEmbed(width, sizes.patch_size)
        self.blocks = nn.ModuleList(
            Block(width, vit.num_heads, int(width * vit.mlp_ratio), 1e-6, layerscale=vit.layerscale_init)
            for _ in range(vit.depth)
        )
        self.norm = LayerNorm(width, eps=1e-6)

    def embedded(self, images: Tensor) -> Tensor:
        """Normalised images [n, 3, H, W] -> tokens before the first block: class, registers, patches."""
        patch = self.patch_embed.proj.kernel_size[0]
        height, width = images.shape[-2:]
        patches = self.patch_embed(images)
        x = torch.cat((self.cls_token.expand(len(patches), -1, -1), patches), 1)
        grid = (height // patch, width // patch)
        x = x + resampled_positions(self.pos_embed, grid, height == width, resampled_smoothly)
        registers = self.register_tokens.expand(len(x), -1, -1)
        return torch.cat((x[:, :1], registers, x[:, 1:]), 1)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images [n, 3, H, W] -> patch tokens [n, h·w, C]."""
        return torch.cat([self.of_views(views) for views in images.split(VIEWS_AT_A_TIME)])

    def of_views(self, images: Tensor) -> Tensor:
        x = self.embedded(images)
        for block in self.blocks:
            x = stepped(block, x)
        return self.norm(x)[:, 1 + self.register_tokens.shape[1] :]


def resampled_smoothly(maps: Tensor, grid: tuple[int, int]) -> Tensor:
    return F.interpolate(maps, grid, mode="bicubic", antialias=True, align_corners=False)


class Aggregator(nn.Module):
    """Tokens of every view through blocks inside the view and over all views, alternating."""

    def __init__(self, config: VggtConfig) -> None:
        super().__init__()
        self.config = config
        sizes, width = config.transformer, config.transformer.embed_dim
        self.camera_token = nn.Parameter(torch.zeros(1, 2, 1, width))
        self.register_token = nn.Parameter(torch.zeros(1, 2, config.aggregator.num_register_tokens, width))
        self.patch_embed = Dino(sizes, config.aggregator)
        self.frame_blocks = nn.ModuleList(alternating_block(sizes, config.aggregator) for _ in range(sizes.depth))
        self.global_blocks = nn.ModuleList(alternating_block(sizes, config.aggregator) for _ in range(sizes.depth))

    def forward(
        self, images: Tensor, keep: Collection[int], first: int = 0,
        attend: Callable[[int], Attend] = lambda layer: attention,
    ) -> tuple[dict[int, Tensor], Tensor]:  # fmt: skip
        """Images [B, S, 3, H, W] in 0 to 1 -> output of each layer in `keep`: [B, S, P, 2C], frame block then global block,
        in the type of the linear layers; and the camera tokens of the last one, [B, S, 2C], as precise as the stream.

        `first`: number of views of the scene before these. `attend(layer)` is the global attention of that layer.
        """
        x = self.tokens(images, first)
        patch = self.config.transformer.patch_size
        grid = (images.shape[-2] // patch, images.shape[-1] // patch)
        rotate = spatial_rotation(self.config, grid, x.device)
        repeated = spatial_rotation(self.config, grid, x.device, images.shape[1])
        return alternate(self.frame_blocks, self.global_blocks, x, rotate, repeated, attend, keep)

    def tokens(self, images: Tensor, first: int) -> Tensor:
        """[B, S, P, C] before the first block: camera, registers, patches."""
        scenes, views = images.shape[:2]
        patches = self.patch_embed(normalised(images.flatten(0, 1))).unflatten(0, (scenes, views))
        special = torch.cat((self.camera_token, self.register_token), 2)
        which = [0 if first + view == 0 else 1 for view in range(views)]
        return torch.cat((special[:, which].expand(scenes, -1, -1, -1), patches), 2)


def alternating_block(sizes: TransformerConfig, config: AggregatorConfig) -> Block:
    return Block(sizes.embed_dim, sizes.num_heads, sizes.hidden, 1e-5, config.qk_norm, config.layerscale_init)


def spatial_rotation(config: VggtConfig, grid: tuple[int, int], device: torch.device, views: int = 1) -> Rotation:
    """Patches turn with their place, counted from 1; special tokens stand at (0, 0), which turns nothing."""
    special = torch.zeros(config.special_tokens, 2, dtype=torch.int64, device=device)
    positions = torch.cat((special, grid_positions(*grid, first=1, device=device))).repeat(views, 1)
    return rotary_2d(positions, config.transformer.head_width, config.transformer.rope_freq)


def alternate(
    frame_blocks: nn.ModuleList, global_blocks: nn.ModuleList, x: Tensor, rotate_in_frame: Rotation | None,
    rotate_over_views: Rotation | None, attend: Callable[[int], Attend], keep: Collection[int],
) -> tuple[dict[int, Tensor], Tensor]:  # fmt: skip
    """Tokens [B, S, P, C] through both kinds of blocks; what Aggregator.forward returns. Without gradients x is written over."""
    scenes, views, tokens = x.shape[:3]
    kept, in_frame = {}, x[:, :, 0]
    for i, (inside, over) in enumerate(zip(frame_blocks, global_blocks, strict=True)):
        assert isinstance(over, Block)
        x = stepped(inside, x.flatten(0, 1), rotate_in_frame).unflatten(0, (scenes, views))
        in_frame = x[:, :, 0].clone()
        local = x.to(over.linear_type, copy=True) if i in keep else None
        x = stepped(over, x.flatten(1, 2), rotate_over_views, attend(i)).unflatten(1, (views, tokens))
        if local is not None:
            kept[i] = torch.cat((local, x.to(local.dtype)), -1)
    return kept, torch.cat((in_frame, x[:, :, 0]), -1)
