"""DA3's dense heads: depth with rays, depth with sky. Values do not depend on how many views go through at a time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from recon3d.models.da3.config import HeadConfig
from recon3d.models.dpt import FusionChain, Pyramid, in_chunks, resized, with_positions
from recon3d.models.vit import LayerNorm

VIEWS_AT_A_TIME = 8  # bounds the memory


class ChannelNorm(LayerNorm):
    """A norm over the channels of a map [n, C, h, w], for each pixel."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


def output_of(features: int, channels: int) -> nn.Sequential:
    """From half of the features to values for each pixel."""
    return nn.Sequential(nn.Conv2d(features // 2, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, channels, 1))


class DualHead(nn.Module):
    """Patch features of four layers to depth for each pixel, and to rays at 8 times the grid; both with a confidence.

    A ray is a direction (3), not normalised, then an origin (3), in the world: origin + depth · direction is the point.
    """

    def __init__(self, width: int, patch: int, config: HeadConfig) -> None:
        super().__init__()
        features, half = config.features, config.features // 2
        self.patch = patch
        self.pyramid = Pyramid([width] * 4, config.out_channels, features, norm=True, positions=True)
        self.fusion = FusionChain(features, rectified_skip=False)
        self.output_conv1 = nn.Conv2d(features, half, 3, padding=1)
        self.output_conv2 = output_of(features, config.output_dim)
        self.ray_fusion = FusionChain(features, rectified_skip=False)
        widths = (features, half, features, half, features, half)
        self.ray_conv1 = nn.Sequential(*(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(widths)))
        self.ray_conv2 = nn.Sequential(
            nn.Conv2d(half, 32, 3, padding=1), ChannelNorm(32, eps=1e-5), nn.ReLU(), nn.Conv2d(32, 7, 1)
        )

    def forward(
        self, layers: Sequence[Tensor], grid: tuple[int, int], rays: bool, chunk: int = VIEWS_AT_A_TIME
    ) -> tuple[Tensor, ...]:
        """Four [B, S, h·w, D] -> depth and its confidence [B, S, H, W]; with `rays` also these [B, S, 8h, 8w, 6] and theirs."""
        scenes = layers[0].shape[0]
        found = in_chunks(self.of_views, [x.flatten(0, 1) for x in layers], grid, rays, chunk=chunk)
        return tuple(x.unflatten(0, (scenes, -1)) for x in found)

    def of_views(self, layers: Sequence[Tensor], grid: tuple[int, int], rays: bool) -> tuple[Tensor, ...]:
        size = (grid[0] * self.patch, grid[1] * self.patch)
        aspect = size[1] / size[0]
        levels = self.pyramid(layers, grid, aspect)
        x = resized(self.output_conv1(self.fusion(levels)), size)
        depth, confidence = self.output_conv2(with_positions(x, aspect)).exp().unbind(1)
        if not rays:
            return depth, 1 + confidence
        x = self.ray_conv1(self.ray_fusion(levels))
        x = self.ray_conv2(with_positions(x, aspect)).movedim(1, -1)
        return depth, 1 + confidence, x[..., :6], 1 + x[..., 6].exp()


class MonoHead(nn.Module):
    """Patch features of four layers to depth and a measure of sky for each pixel."""

    def __init__(self, width: int, patch: int, config: HeadConfig) -> None:
        super().__init__()
        self.patch = patch
        self.pyramid = Pyramid([width] * 4, config.out_channels, config.features, norm=False, positions=False)
        self.fusion = FusionChain(config.features, rectified_skip=False)
        self.output_conv1 = nn.Conv2d(config.features, config.features // 2, 3, padding=1)
        self.output_conv2 = output_of(config.features, config.output_dim)
        self.sky_output_conv2 = output_of(config.features, 1)

    def forward(
        self, layers: Sequence[Tensor], grid: tuple[int, int], chunk: int = VIEWS_AT_A_TIME
    ) -> tuple[Tensor, Tensor]:
        """Four [B, S, h·w, D] -> depth and sky [B, S, H, W]."""
        scenes = layers[0].shape[0]
        depth, sky = in_chunks(self.of_views, [x.flatten(0, 1) for x in layers], grid, chunk=chunk)
        return depth.unflatten(0, (scenes, -1)), sky.unflatten(0, (scenes, -1))

    def of_views(self, layers: Sequence[Tensor], grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        levels = self.pyramid(layers, grid, grid[1] / grid[0])
        x = resized(self.output_conv1(self.fusion(levels)), (grid[0] * self.patch, grid[1] * self.patch))
        return self.output_conv2(x)[:, 0].exp(), self.sky_output_conv2(x)[:, 0].relu()
