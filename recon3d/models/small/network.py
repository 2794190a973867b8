"""recon3d-small: pictures of several views to cameras and depth, by attention in and over views.

Built as VGGT (Wang et al. 2025) is: a camera token a view, blocks in a view and over views in turn, a camera head, a dense
head. What differs is there to learn from little: a convolutional stem; tokens that are told where they lie in another view,
by a softmax over the products of features as in LoFTR (Sun et al. 2021), and look around there again in finer features, both
trained by true matches; cameras that start at the first one's, depth that starts at 1.
Shapes: B scenes, V views, T patches a view, C channels, R cells of a window.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Annotated, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recon3d.models.attention import Rotation, grid_positions, rotary_2d
from recon3d.models.small.config import SmallConfig
from recon3d.models.vit import Block, LayerNorm, Linear, Mlp, normalised

Layer = TypeVar("Layer", bound=nn.Module)

ROTARY_BASE = 100.0
FOCAL = 0.95  # of the longest side: where the focal length starts
SHARPNESS = 10.0  # of the softmax over matches, at first
LARGEST = 3.0  # log of depth and confidence
CELL, REACH = 8, 4  # pixels of the finer features; cells to each side of a place, in which it is looked for again


@dataclass(frozen=True)
class Small:
    """What the network says; the world is the first camera's frame."""

    encodings: Annotated[Tensor, "B V 9"]  # of camera_from_world, models.pose_encoding
    depth: Annotated[Tensor, "B V H W"]
    confidence: Annotated[Tensor, "B V H W"]  # above 1
    matches: Annotated[Tensor, "B V T T"]  # logits: of each patch, over the patches of the view it is compared with
    coarse: Annotated[Tensor, "B V T 2"]  # about where the middle of each patch lies there, pixels
    around: Annotated[Tensor, "B V T R"]  # logits: of the cells around that place, row by row
    places: Annotated[Tensor, "B V T 2"]  # where it lies, pixels
    visible: Annotated[Tensor, "B V T"]  # logit of whether it is seen there
    features: Annotated[Tensor, "B V C h w"]  # of patches, from the last layer


def compared_with(views: int) -> list[int]:
    """The view in which each view's patches are looked for: the first one; of the first, the second."""
    return [min(1, views - 1)] + [0] * (views - 1)


def started_at_zero(layer: Layer) -> Layer:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


class Stem(nn.Module):
    """Pictures to features at halves of the size, down to a sixteenth."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        sizes = (3, *channels)
        self.steps = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1, bias=False) for a, b in itertools.pairwise(sizes))
        self.norms = nn.ModuleList(nn.GroupNorm(8, b) for b in channels)

    def forward(self, x: Tensor) -> list[Tensor]:
        found = []
        for step, norm in zip(self.steps, self.norms, strict=True):
            x = F.gelu(norm(step(x)))
            found.append(x)
        return found


class Refined(nn.Module):
    """A map at twice its size, joined with what the stem saw at that size."""

    def __init__(self, width: int, beside: int, out: int) -> None:
        super().__init__()
        self.beside = nn.Conv2d(beside, out, 1)
        self.narrowed = nn.Conv2d(width, out, 1)
        self.conv = nn.Conv2d(out, out, 3, padding=1)

    def forward(self, x: Tensor, beside: Tensor) -> Tensor:
        x = F.interpolate(self.narrowed(x), scale_factor=2.0, mode="bilinear") + self.beside(beside)
        return x + F.gelu(self.conv(F.gelu(x)))


class DenseHead(nn.Module):
    """Patches to features at an eighth of the size; and those to log depth and log (confidence - 1) at full size."""

    def __init__(self, config: SmallConfig) -> None:
        super().__init__()
        _, quarter, eighth = config.stem
        self.to_eighth = Refined(config.dim, eighth, eighth)
        self.to_quarter = Refined(eighth, quarter, quarter)
        self.out = started_at_zero(nn.Conv2d(quarter, 2 * 16, 1))

    def forward(self, tokens: Tensor, seen: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        eighth = self.to_eighth(tokens, seen[2])
        depth, confidence = F.pixel_shuffle(self.out(self.to_quarter(eighth, seen[1])), 4).float().unbind(1)
        return eighth, depth, confidence


class FineMatches(nn.Module):
    """Places looked for again around where they were found, as LoFTR's second step does."""

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.features = nn.Conv2d(width, dim, 3, padding=1)
        self.sharpness = nn.Parameter(torch.tensor(math.log(SHARPNESS)))

    def forward(
        self, eighth: Annotated[Tensor, "N C h w"], coarse: Annotated[Tensor, "B V T 2"], middles: Annotated[Tensor, "T 2"]
    ) -> tuple[Annotated[Tensor, "B V T R"], Annotated[Tensor, "B V T 2"]]:
        """Logits of the cells around `coarse`, and the places, by features of all views; all in pixels."""
        views = coarse.shape[1]
        size = CELL * torch.tensor(eighth.shape[:1:-1], device=coarse.device)  # width, height
        seen = F.normalize(self.features(eighth).float(), dim=1).unflatten(0, coarse.shape[:2])
        own = sampled(seen.flatten(0, 1), (middles / size).expand(seen.shape[0] * views, 1, -1, -1))
        offsets = window(coarse.device)
        at = (coarse[..., None, :] + offsets).flatten(0, 1) / size
        there = sampled(seen[:, compared_with(views)].flatten(0, 1), at)
        logits = torch.einsum("nct,nctr->ntr", own[:, :, 0], there) * self.sharpness.exp()
        logits = logits.unflatten(0, coarse.shape[:2])
        return logits, coarse + logits.softmax(-1) @ offsets


def window(device: torch.device) -> Annotated[Tensor, "R 2"]:
    """Pixels (x, y) from a place to the cells around it."""
    along = CELL * torch.arange(-REACH, REACH + 1, device=device, dtype=torch.float32)
    y, x = torch.meshgrid(along, along, indexing="ij")
    return torch.stack((x, y), -1).flatten(0, 1)


def sampled(maps: Annotated[Tensor, "N C h w"], at: Annotated[Tensor, "N a b 2"]) -> Annotated[Tensor, "N C a b"]:
    """Between cells, at shares of width and height; zero outside."""
    return F.grid_sample(maps, 2 * at - 1, align_corners=False)


class CameraHead(nn.Module):
    """Camera tokens to pose encodings: the first camera's, moved, and one focal length a view."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = LayerNorm(2 * dim)
        self.mlp = Mlp(2 * dim, 2 * dim, 7)
        started_at_zero(self.mlp.fc2)

    def forward(self, cameras: Annotated[Tensor, "B V C"], size: tuple[int, int]) -> Annotated[Tensor, "B V 9"]:
        pairs = torch.cat((cameras, cameras[:, :1].expand_as(cameras)), -1)
        out = self.mlp(self.norm(pairs)).float()
        others = (torch.arange(cameras.shape[1], device=out.device) > 0)[:, None]
        translation = out[..., :3] * others
        xyz = out[..., 3:6] * others
        quats = F.normalize(F.pad(xyz, (0, 1), value=1.0), dim=-1)
        focal = FOCAL * max(size) * out[..., 6:].clamp(-2, 2).exp()
        views = 2 * torch.atan(torch.tensor(size, device=out.device) / 2 / focal)
        return torch.cat((translation, quats, views), -1)


class SmallNetwork(nn.Module):
    """Views of any size that 16 divides."""

    low_precision = ("blocks", "patches")

    def __init__(self, config: SmallConfig) -> None:
        super().__init__()
        self.config = config
        dim = config.dim
        self.stem = Stem((*config.stem, dim))
        self.patches = Linear(dim, dim)
        self.special = nn.Parameter(0.02 * torch.randn(2, 1 + config.registers, dim))  # of the first view, of the others
        self.blocks = nn.ModuleList(
            Block(dim, config.heads, 4 * dim, 1e-5, qk_norm=True, layerscale=config.layerscale)
            for _ in range(2 * (config.before + config.after))
        )
        self.to_match = nn.ModuleList(Linear(dim, config.match_dim) for _ in range(2))
        self.sharpness = nn.Parameter(torch.tensor(math.log(SHARPNESS)))
        self.from_match = Mlp(5, dim, dim)
        self.norm = LayerNorm(dim)
        self.place = started_at_zero(Linear(dim, 3))
        self.camera_head = CameraHead(dim)
        self.dense_head = DenseHead(config)
        self.fine = FineMatches(config.stem[2], config.match_dim)

    def forward(self, images: Annotated[Tensor, "B V 3 H W"]) -> Small:
        scenes, views = images.shape[:2]
        size = (images.shape[-2], images.shape[-1])
        grid = (size[0] // self.config.patch, size[1] // self.config.patch)
        seen = self.stem(normalised(images).flatten(0, 1))
        tokens = self.patches(seen[-1].flatten(2).transpose(1, 2)).unflatten(0, (scenes, views))
        special = self.special[(torch.arange(views, device=images.device) > 0).long()]
        x = torch.cat((special.expand(scenes, -1, -1, -1), tokens), 2)
        first = special.shape[1]
        rotate = self.rotation(grid, first, views, images.device)
        x = self.attended(x, self.blocks[: 2 * self.config.before], rotate)
        matches, told, places = self.matched(x[:, :, first:], grid)
        x = x + F.pad(told, (0, 0, first, 0))
        x = self.norm(self.attended(x, self.blocks[2 * self.config.before :], rotate))
        refined = self.place(x[:, :, first:]).float()
        maps = x[:, :, first:].flatten(0, 1).transpose(1, 2).unflatten(-1, grid)
        eighth, depth, confidence = self.dense_head(maps, seen)
        coarse = (places + refined[..., :2]) * max(size) + torch.tensor(size[::-1], device=x.device) / 2
        middles = (grid_positions(*grid, 0, x.device).flip(-1) + 0.5) * self.config.patch
        around, places = self.fine(eighth, coarse.detach(), middles)
        return Small(
            self.camera_head(x[:, :, 0], size),
            depth.clamp(-LARGEST, LARGEST).exp().unflatten(0, (scenes, views)),
            1 + confidence.clamp(-LARGEST, LARGEST).exp().unflatten(0, (scenes, views)),
            matches, coarse, around, places, refined[..., 2], maps.unflatten(0, (scenes, views)),
        )  # fmt: skip

    def rotation(
        self, grid: tuple[int, int], first: int, views: int, device: torch.device
    ) -> tuple[Rotation, Rotation]:
        """In a view and over all: patches by row and column from 1, special tokens at 0."""
        places = torch.cat((torch.zeros(first, 2, dtype=torch.int64, device=device), grid_positions(*grid, 1, device)))
        width = self.config.dim // self.config.heads
        return rotary_2d(places, width, ROTARY_BASE), rotary_2d(places.repeat(views, 1), width, ROTARY_BASE)

    def attended(self, x: Tensor, blocks: nn.ModuleList, rotate: tuple[Rotation, Rotation]) -> Tensor:
        """x [B, V, T, C] through blocks in a view and over views, in turn."""
        for i, block in enumerate(blocks):
            flat = x.flatten(1, 2) if i % 2 else x.flatten(0, 1)
            x = block(flat, rotate[i % 2]).reshape(x.shape)
        return x

    def matched(
        self, tokens: Annotated[Tensor, "B V T C"], grid: tuple[int, int]
    ) -> tuple[Annotated[Tensor, "B V T T"], Annotated[Tensor, "B V T C"], Annotated[Tensor, "B V T 2"]]:
        """Logits of matches; what each token is told: from where to where it goes, and how sure that is; and where that
        is (x, y), from the picture's middle, as a share of its longest side."""
        other = tokens[:, compared_with(tokens.shape[1])]
        a, b = (F.normalize(layer(x).float(), dim=-1) for layer, x in zip(self.to_match, (tokens, other), strict=True))
        logits = a @ b.transpose(-1, -2) * self.sharpness.exp()
        share = logits.softmax(-1)
        places = grid_positions(*grid, 0, tokens.device).float()
        places = (places + 0.5) / max(grid) - torch.tensor(grid, device=tokens.device) / 2 / max(grid)
        best = share.amax(-1, keepdim=True)
        here = places.expand(*share.shape[:2], -1, -1)
        there = share @ places
        return logits, self.from_match(torch.cat((here, there, best), -1)), there.flip(-1)
