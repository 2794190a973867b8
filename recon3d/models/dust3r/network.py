"""DUSt3R (Wang et al. 2024, arXiv 2312.14132) and MASt3R (Leroy et al. 2024, arXiv 2406.09756): two pictures to point maps.

Both maps lie in the camera of the first picture. What is made of many pairs is not here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recon3d.models.attention import Rotation, attention, grid_positions, rotary_2d
from recon3d.models.dpt import FusionChain, Pyramid
from recon3d.models.dust3r.config import Dust3rConfig, Mode
from recon3d.models.vit import Block, LayerNorm, Linear, Mlp, PatchEmbed, SelfAttention, stepped

EPS = 1e-6  # of all norms
SMALLEST = 1e-8  # length that a direction is divided by


@dataclass(frozen=True)
class Encoded:
    """B pictures of one size after the encoder: the same whatever they are paired with."""

    tokens: Tensor  # [B, h·w, C]
    grid: tuple[int, int]  # h, w

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True)
class PointMap:
    """What the network says of one picture of each of B pairs."""

    points: Tensor  # [B, H, W, 3], in the camera of the pair's first picture
    confidence: Tensor  # [B, H, W]; above 1 in the published networks
    descriptors: Tensor | None = None  # [B, H, W, D], of length 1
    descriptor_confidence: Tensor | None = None  # [B, H, W], above 0


class CrossAttention(nn.Module):
    """Queries from one picture, keys and values from the other."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.projq = Linear(width, width)
        self.projk = Linear(width, width)
        self.projv = Linear(width, width)
        self.proj = Linear(width, width)

    def forward(self, x: Tensor, y: Tensor, rotate_x: Rotation, rotate_y: Rotation) -> Tensor:
        """x [B, T, C] asks y [B, S, C]; each turns with the places of its own tokens."""
        queries, keys, values = (
            projected.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for projected in (self.projq(x), self.projk(y), self.projv(y))
        )
        return self.proj(attention(rotate_x(queries), rotate_y(keys), values).transpose(1, 2).flatten(2))


class DecoderBlock(nn.Module):
    """Attention inside x, from x to y, and a perceptron; y stays as it is."""

    def __init__(self, config: Dust3rConfig) -> None:
        super().__init__()
        width, heads = config.dec_embed_dim, config.dec_num_heads
        self.norm1 = LayerNorm(width, eps=EPS)
        self.attn = SelfAttention(width, heads, qk_norm=False)
        self.norm2 = LayerNorm(width, eps=EPS)
        self.norm_y = LayerNorm(width, eps=EPS) if config.norm_im2_in_dec else nn.Identity()
        self.cross_attn = CrossAttention(width, heads)
        self.norm3 = LayerNorm(width, eps=EPS)
        self.mlp = Mlp(width, int(width * config.mlp_ratio))

    def forward(self, x: Tensor, y: Tensor, rotate_x: Rotation, rotate_y: Rotation) -> Tensor:
        x = x + self.attn(self.norm1(x), rotate_x)
        x = x + self.cross_attn(self.norm2(x), self.norm_y(y), rotate_x, rotate_y)
        return x + self.mlp(self.norm3(x))


class LinearHead(nn.Module):
    """Each token to the pixels of its patch: x, y, z, confidence."""

    def __init__(self, config: Dust3rConfig) -> None:
        super().__init__()
        self.patch = config.patch_size
        self.last = config.dec_depth
        self.proj = Linear(config.dec_embed_dim, 4 * config.patch_size**2)

    def forward(self, layers: Mapping[int, Tensor], grid: tuple[int, int]) -> tuple[Tensor, None]:
        """Tokens [B, h·w, C] of the decoder's end -> [B, 4, H, W]."""
        return unpatched(self.proj(layers[self.last]), grid, self.patch), None


class Dpt(nn.Module):
    """Tokens of four layers to x, y, z, confidence of every pixel."""

    def __init__(self, config: Dust3rConfig) -> None:
        super().__init__()
        features, last = config.dpt.feature_dim, config.dpt.last_dim
        self.pyramid = Pyramid(config.hook_widths, config.dpt.layer_dims, features, norm=False, positions=False)
        self.fusion = FusionChain(features, rectified_skip=False, cropped=True)
        self.head = nn.Sequential(
            nn.Conv2d(features, features // 2, 3, padding=1),
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
            nn.Conv2d(features // 2, last, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(last, 4, 1),
        )

    def forward(self, layers: list[Tensor], grid: tuple[int, int]) -> Tensor:
        return self.head(self.fusion(self.pyramid(layers, grid, grid[1] / grid[0])))


class DenseHead(nn.Module):
    """A DPT; in MASt3R also descriptors, and where `two_confs` their confidence, from the first and the last layer."""

    def __init__(self, config: Dust3rConfig) -> None:
        super().__init__()
        self.patch, self.hooks = config.patch_size, config.hooks
        self.dpt = Dpt(config)
        width, channels = config.enc_embed_dim + config.dec_embed_dim, config.descriptor_width + config.two_confs
        hidden, out = int(config.hidden_dim_factor * width), channels * config.patch_size**2
        self.head_local_features = Mlp(width, hidden, out) if config.descriptor_width else None

    def forward(self, layers: Mapping[int, Tensor], grid: tuple[int, int]) -> tuple[Tensor, Tensor | None]:
        """Tokens [B, h·w, C] of the hooked layers -> [B, 4, H, W], and descriptors [B, D, H, W] or [B, D + 1, H, W]."""
        maps = self.dpt([layers[hook] for hook in self.hooks], grid)
        if self.head_local_features is None:
            return maps, None
        ends = torch.cat((layers[self.hooks[0]], layers[self.hooks[-1]]), -1)
        return maps, unpatched(self.head_local_features(ends), grid, self.patch)


class Dust3r(nn.Module):
    low_precision = ("enc_blocks.", "dec_blocks")

    def __init__(self, config: Dust3rConfig) -> None:
        super().__init__()
        self.config = config
        width, heads, patch = config.enc_embed_dim, config.enc_num_heads, config.patch_size
        self.patch_embed = PatchEmbed(width, patch)
        self.enc_blocks = nn.ModuleList(
            Block(width, heads, int(width * config.mlp_ratio), EPS) for _ in range(config.enc_depth)
        )
        self.enc_norm = LayerNorm(width, eps=EPS)
        self.decoder_embed = Linear(width, config.dec_embed_dim)
        self.dec_blocks = nn.ModuleList(DecoderBlock(config) for _ in range(config.dec_depth))
        self.dec_blocks2 = nn.ModuleList(DecoderBlock(config) for _ in range(config.dec_depth))
        self.dec_norm = LayerNorm(config.dec_embed_dim, eps=EPS)
        head = LinearHead if config.head_type == "linear" else DenseHead
        self.downstream_head1 = head(config)
        self.downstream_head2 = head(config)

    def forward(self, images1: Tensor, images2: Tensor) -> tuple[PointMap, PointMap]:
        """Normalised images [B, 3, H, W] and [B, 3, H', W'], sides multiples of the patch -> both maps in the first camera."""
        return self.decode(self.encode(images1), self.encode(images2))

    def encode(self, images: Tensor) -> Encoded:
        """Normalised images [B, 3, H, W] (-1 to 1)."""
        patch = self.config.patch_size
        grid = (images.shape[-2] // patch, images.shape[-1] // patch)
        rotate = self.rotation(grid, self.config.enc_embed_dim // self.config.enc_num_heads, images.device)
        x = self.patch_embed(images)
        for block in self.enc_blocks:
            x = stepped(block, x, rotate)
        return Encoded(self.enc_norm(x), grid)

    def decode(self, first: Encoded, second: Encoded) -> tuple[PointMap, PointMap]:
        """Pairs of B first and B second pictures, each by itself. Heads run in float32."""
        layers1, layers2 = self.layers(first, second, self.config.hooks)
        maps1, features1 = self.downstream_head1({k: x.float() for k, x in layers1.items()}, first.grid)
        maps2, features2 = self.downstream_head2({k: x.float() for k, x in layers2.items()}, second.grid)
        return point_map(maps1, features1, self.config), point_map(maps2, features2, self.config)

    def layers(
        self, first: Encoded, second: Encoded, keep: Collection[int]
    ) -> tuple[dict[int, Tensor], dict[int, Tensor]]:
        """Tokens [B, h·w, C] of both pictures after each layer in `keep`, numbered as `config.hooks` does."""
        width, last = self.config.dec_embed_dim // self.config.dec_num_heads, self.config.dec_depth
        rotate1, rotate2 = (self.rotation(x.grid, width, x.tokens.device) for x in (first, second))
        kept1, kept2 = ({0: first.tokens}, {0: second.tokens}) if 0 in keep else ({}, {})
        a, b = self.decoder_embed(first.tokens), self.decoder_embed(second.tokens)
        for k, (block1, block2) in enumerate(zip(self.dec_blocks, self.dec_blocks2, strict=True), 1):
            a, b = block1(a, b, rotate1, rotate2), block2(b, a, rotate2, rotate1)
            if k in keep:
                kept1[k], kept2[k] = (a, b) if k < last else (self.dec_norm(a), self.dec_norm(b))
        return kept1, kept2

    def rotation(self, grid: tuple[int, int], head_width: int, device: torch.device) -> Rotation:
        """Tokens turn with their row and column, counted from 0."""
        return rotary_2d(grid_positions(*grid, first=0, device=device), head_width, self.config.rope_base)


def normalised(images: Tensor) -> Tensor:
    """Images in 0 to 1 as the network takes them: -1 to 1."""
    return (images - 0.5) / 0.5


def unpatched(tokens: Tensor, grid: tuple[int, int], patch: int) -> Tensor:
    """Tokens [B, h·w, c·p²], channel by channel the pixels of a patch row by row -> maps [B, c, h·p, w·p]."""
    return F.pixel_shuffle(tokens.transpose(1, 2).unflatten(2, grid), patch)


def point_map(maps: Tensor, features: Tensor | None, config: Dust3rConfig) -> PointMap:
    """What heads give, [B, 4, H, W] and [B, D, ...], as values."""
    maps = maps.movedim(1, -1)
    points, confidence = points_of(maps[..., :3], config.depth_mode), confidence_of(maps[..., 3], config.conf_mode)
    if features is None:
        return PointMap(points, confidence)
    descriptors = features[:, : config.descriptor_width].movedim(1, -1)
    descriptors = descriptors / descriptors.norm(dim=-1, keepdim=True)
    mode = config.desc_conf_mode or config.conf_mode
    own = confidence_of(features[:, -1], mode) if config.two_confs else confidence
    return PointMap(points, confidence, descriptors, own)


def points_of(xyz: Tensor, mode: Mode) -> Tensor:
    """Points [..., 3]: the direction stays, the distance d becomes e^d - 1 ("exp"), d² ("square") or stays ("linear")."""
    if mode.kind == "linear":
        return xyz
    distance = xyz.norm(dim=-1, keepdim=True)
    grown = distance.square() if mode.kind == "square" else distance.expm1()
    return xyz / distance.clamp_min(SMALLEST) * grown


def confidence_of(x: Tensor, mode: Mode) -> Tensor:
    """From `low` to `high`: low + e^x, cut off ("exp"), or a logistic curve ("sigmoid")."""
    if mode.kind == "sigmoid":
        return (mode.high - mode.low) * x.sigmoid() + mode.low
    return mode.low + x.exp().clamp_max(mode.high - mode.low)
