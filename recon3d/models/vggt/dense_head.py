"""VGGT's dense heads: depth, points in the world, and the features that tracks are followed in."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from recon3d.models.dpt import FusionChain, Pyramid, in_chunks, resized, with_positions
from recon3d.models.vggt.config import DptConfig

VIEWS_AT_A_TIME = 8  # any number gives the same values; bounds the memory


class DenseHead(nn.Module):
    """Patch tokens of four layers to a value and a confidence (>= 1) for each pixel."""

    def __init__(self, width: int, patch: int, config: DptConfig) -> None:
        super().__init__()
        self.patch, self.activation, features = patch, config.activation, config.features
        self.pyramid = Pyramid([width] * 4, config.out_channels, features, norm=True, positions=True)
        self.fusion = FusionChain(features, rectified_skip=True)
        self.output_conv1 = nn.Conv2d(features, features // 2, 3, padding=1)
        self.output_conv2 = nn.Sequential(
            nn.Conv2d(features // 2, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, config.output_dim, 1)
        )

    def forward(
        self, layers: Sequence[Tensor], grid: tuple[int, int], chunk: int = VIEWS_AT_A_TIME
    ) -> tuple[Tensor, Tensor]:
        """Four [B, S, h·w, D] -> (value [B, S, H, W, c], confidence [B, S, H, W])."""
        scenes = layers[0].shape[0]
        value, confidence = in_chunks(self.of_views, [x.flatten(0, 1) for x in layers], grid, chunk=chunk)
        return value.unflatten(0, (scenes, -1)), confidence.unflatten(0, (scenes, -1))

    def of_views(self, layers: Sequence[Tensor], grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        size = (grid[0] * self.patch, grid[1] * self.patch)
        aspect = size[1] / size[0]
        x = self.output_conv1(self.fusion(self.pyramid(layers, grid, aspect)))
        x = resized(x, size)
        out = self.output_conv2(with_positions(x, aspect)).movedim(1, -1)
        value, confidence = out[..., :-1], 1 + out[..., -1].exp()
        return (value.exp() if self.activation == "exp" else value.sign() * value.abs().expm1()), confidence


class FeatureHead(nn.Module):
    """The same pyramid without position maps, to features at half of the picture's size."""

    def __init__(self, width: int, patch: int, out_channels: Sequence[int], features: int, stride: int) -> None:
        super().__init__()
        self.patch, self.stride = patch, stride
        self.pyramid = Pyramid([width] * 4, out_channels, features, norm=True, positions=False)
        self.fusion = FusionChain(features, rectified_skip=True)
        self.output_conv1 = nn.Conv2d(features, features, 3, padding=1)

    def forward(self, layers: Sequence[Tensor], grid: tuple[int, int], chunk: int = VIEWS_AT_A_TIME) -> Tensor:
        """Four [B, S, h·w, D] -> [B, S, F, H/stride, W/stride]."""
        scenes = layers[0].shape[0]
        (maps,) = in_chunks(self.of_views, [x.flatten(0, 1) for x in layers], grid, chunk=chunk)
        return maps.unflatten(0, (scenes, -1))

    def of_views(self, layers: Sequence[Tensor], grid: tuple[int, int]) -> tuple[Tensor]:
        size = (grid[0] * self.patch // self.stride, grid[1] * self.patch // self.stride)
        aspect = grid[1] / grid[0]
        return (resized(self.output_conv1(self.fusion(self.pyramid(layers, grid, aspect))), size),)
