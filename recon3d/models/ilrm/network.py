"""iLRM (Kang et al. 2025, arXiv 2507.23277): the network from posed images to Gaussians, in normalised units.

Scene tokens hold rays alone; all that they know of the pictures they read, layer by layer, each from its own view, and tell
to each other in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recon3d.models.attention import attention
from recon3d.models.ilrm.config import IlrmConfig
from recon3d.models.ilrm.rays import from_patches, patches, ray_channels, unit_rays
from recon3d.models.vit import LayerNorm, Linear

FARTHEST = 500.0  # units along a ray: there is no near or far plane but this
SCALE_OFFSET, LARGEST_LOG_SCALE = -6.9, -1.2
OPACITY_OFFSET = -2.0
STD = 0.02  # of linear layers at the start


@dataclass(frozen=True)
class HeadGaussians:
    """G Gaussians of each of B scenes: views one after the other, each in reading order of its scene pixels."""

    means: Annotated[Tensor, "B G 3"]
    quats: Annotated[Tensor, "B G 4"]  # wxyz, unit
    scales: Annotated[Tensor, "B G 3"]
    opacities: Annotated[Tensor, "B G"]
    sh: Annotated[Tensor, "B G 1 3"]


def linear(inputs: int, outputs: int) -> Linear:
    """As all of this network's: without bias."""
    layer = Linear(inputs, outputs, bias=False)
    nn.init.normal_(layer.weight, std=STD)
    return layer


def norm(width: int) -> LayerNorm:
    return LayerNorm(width, eps=1e-5, bias=False)


class RmsNorm(nn.Module):
    """Of queries and keys, over the width of a head, in float32."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x.float(), self.weight.shape, self.weight, 1e-5)


class FeedForward(nn.Module):
    """x + fc2(gelu(fc1(norm(x))))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = norm(width)
        self.fc1 = linear(width, 4 * width)
        self.fc2 = linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.fc2(F.gelu(self.fc1(self.norm(x))))


def in_heads(x: Annotated[Tensor, "... T C"], width: int) -> Annotated[Tensor, "... heads T width"]:
    return x.unflatten(-1, (-1, width)).transpose(-2, -3)


class CrossAttention(nn.Module):
    """Scene tokens read image tokens; each asks `uplift` questions, whose answers are joined again."""

    def __init__(self, width: int, head_width: int, uplift: int) -> None:
        super().__init__()
        self.head_width, self.uplift = head_width, uplift
        self.norm = norm(width)
        self.q_norm, self.k_norm = RmsNorm(head_width), RmsNorm(head_width)
        self.q = linear(width, uplift * width)
        self.k, self.v = linear(width, width), linear(width, width)
        self.proj = linear(uplift * width, width)

    def forward(self, x: Annotated[Tensor, "... T C"], images: Annotated[Tensor, "... L C"]) -> Tensor:
        # Channels of a query are (head, channel, question), the question fastest; questions stand side by side as tokens.
        asked = self.q(self.norm(x)).unflatten(-1, (-1, self.head_width, self.uplift))  # T heads d u
        queries = asked.movedim(-1, -3).flatten(-4, -3).transpose(-2, -3)  # heads T·u d
        keys, values = in_heads(self.k(images), self.head_width), in_heads(self.v(images), self.head_width)
        read = attention(self.q_norm(queries), self.k_norm(keys), values)
        answers = read.transpose(-2, -3).unflatten(-3, (-1, self.uplift))  # T u heads d
        return self.proj(answers.movedim(-3, -1).flatten(-3))


class SelfAttention(nn.Module):
    def __init__(self, width: int, head_width: int) -> None:
        super().__init__()
        self.head_width = head_width
        self.norm = norm(width)
        self.qkv = linear(width, 3 * width)
        self.proj = linear(width, width)
        self.q_norm, self.k_norm = RmsNorm(head_width), RmsNorm(head_width)

    def forward(self, x: Annotated[Tensor, "... T C"]) -> Tensor:
        queries, keys, values = (in_heads(part, self.head_width) for part in self.qkv(self.norm(x)).chunk(3, -1))
        mixed = attention(self.q_norm(queries), self.k_norm(keys), values)
        return self.proj(mixed.transpose(-2, -3).flatten(-2))


class ReadBlock(nn.Module):
    """Scene tokens of each view read that view's image tokens: [..., T, C] and [..., L, C], views among the leading axes."""

    def __init__(self, width: int, head_width: int, uplift: int = 1) -> None:
        super().__init__()
        self.read_cross = CrossAttention(width, head_width, uplift)
        self.read_ff = FeedForward(width)

    def forward(self, x: Tensor, images: Tensor) -> Tensor:
        return self.read_ff(x + self.read_cross(x, images))


class SelfBlock(nn.Module):
    """All tokens of [..., T, C] see each other."""

    def __init__(self, width: int, head_width: int) -> None:
        super().__init__()
        self.attn = SelfAttention(width, head_width)
        self.mlp = FeedForward(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.mlp(x + self.attn(x))


class Tokenizer(nn.Module):
    """A map of channels per pixel to tokens."""

    def __init__(self, channels: int, patch: int, width: int) -> None:
        super().__init__()
        self.patch = patch
        self.linear = linear(channels * patch**2, width)
        self.norm = norm(width)

    def forward(self, maps: Annotated[Tensor, "... H W C"]) -> Annotated[Tensor, "... L D"]:
        return self.norm(self.linear(patches(maps, self.patch)))


class TokenDecoder(nn.Module):
    """Tokens to channels per pixel, in float32: distances and centres need its whole precision."""

    def __init__(self, width: int, patch: int, channels: int) -> None:
        super().__init__()
        self.patch = patch
        self.norm = norm(width)
        self.linear = linear(width, channels * patch**2)

    def forward(self, x: Annotated[Tensor, "... L D"], grid: tuple[int, int]) -> Annotated[Tensor, "... h w C"]:
        return from_patches(self.linear(self.norm(x)).float(), self.patch, grid)


class Ilrm(nn.Module):
    """The network. Views of a scene may be of any number and any size that the patches divide."""

    low_precision = ("image_tokens.", "scene_tokens.", "blocks.")

    def __init__(self, config: IlrmConfig) -> None:
        super().__init__()
        self.config = config
        width, patch, channels = config.dim, config.patch_size, 3 * len(config.rays)
        self.scene_tokens = Tokenizer(channels, patch, width)
        self.image_tokens = Tokenizer(channels + 3, patch, width)
        self.blocks = nn.ModuleList(
            SelfBlock(width, config.head_dim) if i % 2 else ReadBlock(width, config.head_dim, config.uplift)
            for i in range(config.blocks)
        )
        self.decoder = TokenDecoder(width, patch, 16 if config.offsets else 14)

    def forward(
        self, images: Annotated[Tensor, "B V 3 H W"], K: Annotated[Tensor, "B V 3 3"],
        world_from_camera: Annotated[Tensor, "B V 4 4"],
    ) -> HeadGaussians:  # fmt: skip
        """sRGB 0 to 1, K in pixels, cameras normalised (normalisation.py) -> Gaussians in the same units. Raises ValueError
        where the patches do not divide the pictures."""
        scene, pictures = self.tokens(images, K, world_from_camera)
        for block in self.blocks:
            scene = block(scene, pictures) if isinstance(block, ReadBlock) else over_views(block, scene)
        decoded = self.decoder(scene, self.scene_grid(images))
        return activated(decoded, K, world_from_camera, self.config)

    def scene_grid(self, images: Tensor) -> tuple[int, int]:
        factor = self.config.viewpoint_factor
        return images.shape[-2] // factor, images.shape[-1] // factor

    def tokens(self, images: Tensor, K: Tensor, world_from_camera: Tensor) -> tuple[Tensor, Tensor]:
        """Scene and image tokens of every view, [B, V, L, D]."""
        scene_maps, image_maps = token_maps(images, K, world_from_camera, self.config)
        return self.scene_tokens(scene_maps), self.image_tokens(image_maps)


def over_views(block: nn.Module, tokens: Annotated[Tensor, "B V L C"]) -> Tensor:
    """A block over the tokens of all views of a scene together."""
    return block(tokens.flatten(1, 2)).view_as(tokens)


def token_maps(
    images: Annotated[Tensor, "B V 3 H W"], K: Tensor, world_from_camera: Tensor, config: IlrmConfig
) -> tuple[Annotated[Tensor, "B V h w C"], Annotated[Tensor, "B V H W C"]]:
    """What scene and image tokens hold of every pixel."""
    height, width = images.shape[-2:]
    if height % config.multiple or width % config.multiple:
        raise ValueError(f"pictures of {width}x{height} are not divisible by {config.multiple}")
    factor = config.viewpoint_factor
    scene = ray_channels(config.rays, K, world_from_camera, (height // factor, width // factor), factor)
    rays = ray_channels(config.rays, K, world_from_camera, (height, width))
    colors = 2 * images.movedim(-3, -1) - 1
    return scene, torch.cat((rays, colors) if config.wide else (colors, rays), -1)


def activated(
    decoded: Annotated[Tensor, "B V h w C"], K: Annotated[Tensor, "B V 3 3"],
    world_from_camera: Annotated[Tensor, "B V 4 4"], config: IlrmConfig,
) -> HeadGaussians:  # fmt: skip
    """Published activations: the mean of three channels is the distance along the ray, from a sigmoid."""
    offsets = decoded[..., :2].sigmoid() - 0.5 if config.offsets else None
    depth, sh, scales, quats, opacities = decoded[..., -14:].split((3, 3, 3, 4, 1), -1)
    grid = (decoded.shape[2], decoded.shape[3])
    rays = unit_rays(K, world_from_camera, grid, config.viewpoint_factor, offsets)
    distance = FARTHEST * depth.mean(-1, keepdim=True).sigmoid()
    centers = world_from_camera[..., None, None, :3, 3].float()
    return HeadGaussians(
        means=(centers + distance * rays).flatten(1, 3),
        quats=F.normalize(quats, dim=-1).flatten(1, 3),
        scales=(scales + SCALE_OFFSET).clamp(max=LARGEST_LOG_SCALE).exp().flatten(1, 3),
        opacities=(opacities[..., 0] + OPACITY_OFFSET).sigmoid().flatten(1, 3),
        sh=sh.flatten(1, 3)[..., None, :],
    )
