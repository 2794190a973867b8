"""DA3's backbone: DINOv2 (Oquab et al. 2024) whose later blocks attend inside a view and over all views in turn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recon3d.models.attention import Rotation, grid_positions, rotary_2d
from recon3d.models.da3.config import NEVER, Da3Config
from recon3d.models.da3.reference_view import order_of, reference_view, reordered
from recon3d.models.sizes import TransformerConfig
from recon3d.models.vit import Block, LayerNorm, Linear, Mlp, PatchEmbed, resampled_positions, stepped

VIEWS_TO_CHOOSE = 3  # with fewer views the first one is the reference
OFFSET = 0.1  # DINOv2's own, against a rounding of sizes; part of where the position table is sampled


@dataclass(frozen=True)
class Encoded:
    """What heads read, views in the order of the images."""

    patches: tuple[Tensor, ...]  # of each of the config's layers: [B, S, h·w, D]
    camera_tokens: Tensor  # [B, S, D], special token of the last of these layers, not normed
    grid: tuple[int, int]  # h, w
    reference: Tensor | None  # [B], int64: the reference view, where one was chosen
    features: Mapping[int, Tensor]  # of each of the config's export_layers: [B, S, h, w, C]


class Embedding(nn.Module):
    """Patches with their positions, after a class token."""

    def __init__(self, sizes: TransformerConfig) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, sizes.embed_dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + sizes.cells, sizes.embed_dim))
        self.patch_embed = PatchEmbed(sizes.embed_dim, sizes.patch_size)
        self.patch_size = sizes.patch_size

    def grid(self, images: Tensor) -> tuple[int, int]:
        return images.shape[-2] // self.patch_size, images.shape[-1] // self.patch_size

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images [n, 3, H, W] -> [n, 1 + h·w, C]."""
        patches = self.patch_embed(images)
        x = torch.cat((self.cls_token.expand(len(patches), -1, -1), patches), 1)
        square = images.shape[-2] == images.shape[-1]
        return x + resampled_positions(self.pos_embed, self.grid(images), square, resampled_with_offset)


def resampled_with_offset(maps: Tensor, grid: tuple[int, int]) -> Tensor:
    """Bicubic without antialias; the step between samples is M / (size + 0.1)."""
    factors = tuple((size + OFFSET) / side for size, side in zip(grid, maps.shape[-2:], strict=True))
    return F.interpolate(maps, scale_factor=factors, mode="bicubic", align_corners=False)


class SwiGlu(nn.Module):
    """A gated feed-forward layer (Shazeer 2020); both of its inputs come from one product."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.w12 = Linear(width, 2 * hidden)
        self.w3 = Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.w12(x).chunk(2, -1)
        return self.w3(F.silu(gate) * value)


def block_of(config: Da3Config, index: int) -> Block:
    sizes = config.transformer
    width, hidden, mlp = sizes.embed_dim, sizes.hidden, Mlp
    if config.ffn == "swiglu":
        hidden, mlp = (int(2 * sizes.mlp_ratio * width / 3) + 7) // 8 * 8, SwiGlu
    qk_norm = started(config.qknorm_start, index)
    return Block(width, sizes.num_heads, hidden, 1e-6, qk_norm, layerscale=1.0, mlp=mlp)


def started(start: int, index: int) -> bool:
    return start != NEVER and index >= start


def over_views(rotate: Rotation, views: int) -> Rotation:
    """The rotation of one view's tokens, for the tokens of all views in one sequence."""
    return lambda x: rotate(x.unflatten(-2, (views, -1))).flatten(-3, -2)


class Backbone(nn.Module):
    def __init__(self, config: Da3Config) -> None:
        super().__init__()
        self.config = config
        self.embed = Embedding(config.transformer)
        alternates = config.alt_start != NEVER
        self.camera_token = nn.Parameter(torch.zeros(1, 2, config.transformer.embed_dim)) if alternates else None
        self.blocks = nn.ModuleList(block_of(config, i) for i in range(config.transformer.depth))
        self.norm = LayerNorm(config.transformer.embed_dim, eps=1e-5)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> Encoded:
        """Normalised images [B, S, 3, H, W]; `condition` [B, S, C]: tokens of known cameras (CameraEncoder)."""
        config, (scenes, views) = self.config, images.shape[:2]
        x = self.embed(images.flatten(0, 1)).unflatten(0, (scenes, views))
        grid = self.embed.grid(images)
        in_view, over_all = self.rotations(grid, views, x.device)
        chooses = views >= VIEWS_TO_CHOOSE and condition is None and config.alt_start != NEVER
        local, reference, back = x, None, None
        patches, features, camera_tokens = {}, {}, x[:, :, 0]
        for i, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            if chooses and i == config.alt_start - 1:
                reference = reference_view(x[:, :, 0], config.ref_view_strategy)
                order = order_of(reference, views)
                x, back = reordered(x, order), order.argsort(1)
            if i == config.alt_start:
                x = torch.cat((self.camera_tokens(condition, scenes, views), x[:, :, 1:]), 2)
            turned = started(config.rope_start, i)
            if started(config.alt_start, i) and i % 2 == 1:
                local = local.clone() if i in config.layers else local  # the next line writes over it
                x = stepped(block, x.flatten(1, 2), over_all if turned else None).unflatten(1, (views, -1))
            else:
                x = local = stepped(block, x.flatten(0, 1), in_view if turned else None).unflatten(0, (scenes, views))
            if i in config.layers:
                patches[i] = in_order(self.patch_features(local, x), back).to(block.linear_type)
                camera_tokens = in_order(self.joined(local[:, :, 0], x[:, :, 0]), back).clone()
            if i in config.export_layers:
                features[i] = in_order(self.norm(x[:, :, 1:]), back).unflatten(2, grid)
        return Encoded(tuple(patches[i] for i in config.layers), camera_tokens, grid, reference, features)

    def rotations(self, grid: tuple[int, int], views: int, device: torch.device) -> tuple[Rotation, Rotation]:
        """For blocks inside a view: patches turn with their place, counted from 1, the special token stands at (0, 0).

        For blocks over all views every patch stands at (1, 1): what turns is patches against special tokens.
        """
        config = self.config
        head_width, frequency = config.transformer.head_width, config.transformer.rope_freq
        special = torch.zeros(1, 2, dtype=torch.int64, device=device)
        places = grid_positions(*grid, first=1, device=device)
        spatial = rotary_2d(torch.cat((special, places)), head_width, frequency)
        alike = rotary_2d(torch.cat((special, torch.ones_like(places))), head_width, frequency)
        return spatial, over_views(alike, views)

    def camera_tokens(self, condition: Tensor | None, scenes: int, views: int) -> Tensor:
        """What takes the place of the class tokens [B, S, 1, C]: one token for the first view, one for the others."""
        if condition is not None:
            return condition[:, :, None]
        assert self.camera_token is not None
        which = [0] + [1] * (views - 1)
        return self.camera_token[:, which].expand(scenes, -1, -1)[:, :, None]

    def patch_features(self, local: Tensor, x: Tensor) -> Tensor:
        return self.joined(local[:, :, 1:], self.norm(x[:, :, 1:]))

    def joined(self, local: Tensor, x: Tensor) -> Tensor:
        return torch.cat((local, x), -1) if self.config.cat_token else x


def in_order(x: Tensor, back: Tensor | None) -> Tensor:
    """Views as the images had them."""
    return x if back is None else reordered(x, back)
