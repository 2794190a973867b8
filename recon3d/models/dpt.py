"""Parts of dense prediction heads (Ranftl et al. 2021): four layers of tokens to maps, fused from coarse to fine.

The heads of all families are made of them; where published heads differ, it is an argument here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recon3d.models.vit import LayerNorm

POSITION_WEIGHT = 0.1  # of positions against features


def resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear, corners aligned: [B, C, ·, ·] to [B, C, *size]."""
    return F.interpolate(x, size, mode="bilinear", align_corners=True)


def with_positions(x: Tensor, aspect: float) -> Tensor:
    """x [B, C, h, w] (written to) plus sines and cosines of where a cell lies in a picture of width/height `aspect`.

    The first half of the channels takes those of x, the second of y; the diagonal of the picture has length 2.
    """
    channels, height, width = x.shape[1:]
    diagonal = (aspect**2 + 1) ** 0.5
    frequencies = 100.0 ** -(torch.arange(channels // 4, dtype=torch.float64) / (channels // 4))

    def waves(span: float, count: int) -> Tensor:
        edge = span * (count - 1) / count
        angles = torch.linspace(-edge, edge, count, dtype=torch.float64)[:, None] * frequencies
        return (POSITION_WEIGHT * torch.cat((angles.sin(), angles.cos()), 1).T).to(x)

    x[:, : channels // 2] += waves(aspect / diagonal, width)[:, None, :]
    x[:, channels // 2 :] += waves(1 / diagonal, height)[:, :, None]
    return x


class ResidualUnit(nn.Module):
    """x + conv(relu(conv(relu(x)))). `rectified_skip`: the skip carries relu(x), as networks trained with a ReLU in place do."""

    def __init__(self, features: int, rectified_skip: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(features, features, 3, padding=1)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1)
        self.rectified_skip = rectified_skip

    def forward(self, x: Tensor) -> Tensor:
        rectified = x.relu()
        return (rectified if self.rectified_skip else x) + self.conv2(self.conv1(rectified).relu())


class Fusion(nn.Module):
    """One step from coarse to fine: adds the finer level, then doubles the resolution (or takes the size asked for)."""

    def __init__(self, features: int, rectified_skip: bool, coarsest: bool) -> None:
        super().__init__()
        self.resConfUnit1 = None if coarsest else ResidualUnit(features, rectified_skip)
        self.resConfUnit2 = ResidualUnit(features, rectified_skip)
        self.out_conv = nn.Conv2d(features, features, 1)

    def forward(self, x: Tensor, level: Tensor | None = None, size: tuple[int, int] | None = None) -> Tensor:
        if self.resConfUnit1 is not None and level is not None:
            x = x + self.resConfUnit1(level)
        x = self.resConfUnit2(x)
        return self.out_conv(resized(x, size or (2 * x.shape[-2], 2 * x.shape[-1])))


class FusionChain(nn.Module):
    """Four levels [B, F, ·, ·], finest first, to one map of twice the finest size.

    `cropped`: the coarsest level is doubled and what lies beyond the next one is cut off, where others resize it to fit.
    """

    def __init__(self, features: int, rectified_skip: bool, cropped: bool = False) -> None:
        super().__init__()
        self.steps = nn.ModuleList(Fusion(features, rectified_skip, coarsest=i == 3) for i in range(4))
        self.cropped = cropped

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        sizes = [(x.shape[-2], x.shape[-1]) for x in levels]
        x = self.steps[3](levels[3], size=None if self.cropped else sizes[2])[..., : sizes[2][0], : sizes[2][1]]
        x = self.steps[2](x, levels[2], sizes[1])
        x = self.steps[1](x, levels[1], sizes[0])
        return self.steps[0](x, levels[0])


class Pyramid(nn.Module):
    """Tokens of four layers [B, h·w, dims[j]] to four levels [B, features, ·, ·] at 4, 2, 1 and 1/2 times the grid.

    `norm`: LayerNorm over the channels, one for all layers. `positions`: where a cell lies is added at the grid's size.
    """

    def __init__(
        self, dims: Sequence[int], out_channels: Sequence[int], features: int, norm: bool, positions: bool
    ) -> None:
        super().__init__()
        a, b, _, d = out_channels
        self.positions = positions
        self.norm = LayerNorm(dims[0], eps=1e-5) if norm else nn.Identity()
        self.projects = nn.ModuleList(nn.Conv2d(dim, out, 1) for dim, out in zip(dims, out_channels, strict=True))
        self.resize_layers = nn.ModuleList(
            (
                nn.ConvTranspose2d(a, a, 4, 4),
                nn.ConvTranspose2d(b, b, 2, 2),
                nn.Identity(),
                nn.Conv2d(d, d, 3, 2, padding=1),
            )
        )
        self.to_features = nn.ModuleList(nn.Conv2d(c, features, 3, padding=1, bias=False) for c in out_channels)

    def forward(self, layers: Sequence[Tensor], grid: tuple[int, int], aspect: float) -> list[Tensor]:
        levels = []
        for j, tokens in enumerate(layers):
            x = self.norm(tokens).transpose(1, 2).unflatten(2, grid)
            x = self.projects[j](x)
            if self.positions:
                x = with_positions(x, aspect)
            levels.append(self.to_features[j](self.resize_layers[j](x)))
        return levels


def in_chunks(
    head: Callable[..., tuple[Tensor, ...]], layers: Sequence[Tensor], *args, chunk: int
) -> tuple[Tensor, ...]:  # fmt: skip
    """`head([some views of every layer], *args)` for `chunk` views at a time; each of its outputs joined over the views."""
    parts = [head([x[i : i + chunk] for x in layers], *args) for i in range(0, len(layers[0]), chunk)]
    return tuple(torch.cat(column) for column in zip(*parts, strict=True))
