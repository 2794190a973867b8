"""VGGT's track head: points of one view followed through all views, after CoTracker (Karaev et al. 2024)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recon3d.models.vggt.config import TrackHeadConfig
from recon3d.models.vggt.dense_head import VIEWS_AT_A_TIME, FeatureHead
from recon3d.models.vit import LayerNorm, Linear, Mlp


class TrackHead(nn.Module):
    def __init__(self, width: int, patch: int, config: TrackHeadConfig) -> None:
        super().__init__()
        self.feature_extractor = FeatureHead(width, patch, config.out_channels, config.features, config.stride)
        self.tracker = Tracker(config)

    def forward(
        self, layers: Sequence[Tensor], grid: tuple[int, int], query_points: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Four [B, S, h·w, D] and pixels of view 0 [B, N, 2] (integer = pixel centre) -> tracks of all passes
        [iterations, B, S, N, 2], visibility and confidence [B, S, N] in 0 to 1."""
        return self.tracker.follow(self.levels(layers, grid), query_points)

    def levels(self, layers: Sequence[Tensor], grid: tuple[int, int], chunk: int = VIEWS_AT_A_TIME) -> list[Tensor]:
        """The maps [B, S, F, h, w] that points are followed in, the same for points of any view; from fine to coarse."""
        maps = self.feature_extractor(layers, grid, chunk)
        return pyramid(self.tracker.normalised(maps), self.tracker.config.corr_levels)


class Tracker(nn.Module):
    def __init__(self, config: TrackHeadConfig) -> None:
        super().__init__()
        self.config = config
        latent = config.features
        samples = config.corr_levels * (2 * config.corr_radius + 1) ** 2
        self.fmap_norm = LayerNorm(latent, eps=1e-5)
        self.corr_mlp = Mlp(samples, config.hidden_size, latent)
        self.query_ref_token = nn.Parameter(torch.randn(1, 2, 3 * latent + 4))
        self.updateformer = UpdateTransformer(3 * latent + 4, latent + 2, config)
        self.ffeat_norm = nn.GroupNorm(1, latent)
        self.ffeat_updater = nn.Sequential(Linear(latent, latent), nn.GELU())
        self.vis_predictor = nn.Sequential(Linear(latent, 1))
        self.conf_predictor = nn.Sequential(Linear(latent, 1))

    def normalised(self, maps: Tensor) -> Tensor:
        """Maps [B, S, F, h, w] over their channels; view by view, and in their place where no gradient is asked for."""
        if not maps.requires_grad:
            for i in range(maps.shape[1]):
                maps[:, i] = self.fmap_norm(maps[:, i].movedim(1, -1)).movedim(-1, 1)
            return maps
        return torch.stack([self.fmap_norm(of_view.movedim(1, -1)).movedim(-1, 1) for of_view in maps.unbind(1)], 1)

    def follow(
        self, levels: Sequence[Tensor], query_points: Tensor, first: int = 0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """TrackHead.levels and pixels [B, N, 2] of view `first`, which is to it what view 0 is to TrackHead.forward: the order
        of the others means nothing."""
        maps = levels[0]
        query = query_points / self.config.stride
        coords = query[:, None].expand(-1, maps.shape[1], -1, -1)  # B S N 2, pixels of the maps
        feature = sampled(maps[:, first], query, "border")[:, None].expand(-1, maps.shape[1], -1, -1)  # B S N F
        position = self.position(query, maps, first)
        passes = []
        for _ in range(self.config.iterations):
            tokens = self.tokens(levels, coords.detach(), feature, first) + position
            delta = self.updateformer(tokens).transpose(1, 2)  # B S N F+2
            change = self.ffeat_norm(delta[..., 2:].flatten(0, 2)).unflatten(0, delta.shape[:3])
            feature = feature + self.ffeat_updater(change)
            moved = coords.detach() + delta[..., :2]
            coords = torch.cat((moved[:, :first], query[:, None], moved[:, first + 1 :]), 1)
            passes.append(coords * self.config.stride)
        visibility, confidence = (p(feature)[..., 0].sigmoid() for p in (self.vis_predictor, self.conf_predictor))
        return torch.stack(passes), visibility, confidence

    def tokens(self, levels: Sequence[Tensor], coords: Tensor, feature: Tensor, first: int) -> Tensor:
        """What the update transformer is given before the positions: [B, N, S, 3F + 4]."""
        flow = coords - coords[:, first : first + 1]
        scaled = flow / self.config.max_scale
        correlation = self.corr_mlp(correlations(levels, coords, feature, self.config.corr_radius))
        parts = (flow_embedding(flow, self.config.features), scaled, scaled, correlation, feature)
        return torch.cat(parts, -1).transpose(1, 2)

    def position(self, query: Tensor, maps: Tensor, first: int) -> Tensor:
        """Where in view `first` the point was, and whether the view is that one: [B, N, S, 3F + 4]."""
        height, width = maps.shape[-2:]
        table = sine_table(self.query_ref_token.shape[-1], height, width, maps.device)
        where = sampled(table[None].expand(len(query), -1, -1, -1), query, "border")  # B N T
        which = self.query_ref_token[0, [int(view != first) for view in range(maps.shape[1])]]  # S T
        return where[:, :, None] + which


class UpdateTransformer(nn.Module):
    """Attention over time for each track, and over tracks of each view by way of virtual tracks."""

    def __init__(self, inputs: int, outputs: int, config: TrackHeadConfig) -> None:
        super().__init__()
        width, heads, hidden = config.hidden_size, config.num_heads, int(config.hidden_size * config.mlp_ratio)
        self.virtual_tracks = nn.Parameter(torch.randn(1, config.virtual_tracks, 1, width))
        self.input_norm = LayerNorm(inputs, eps=1e-5)
        self.input_transform = Linear(inputs, width)
        self.output_norm = LayerNorm(width, eps=1e-5)
        self.flow_head = Linear(width, outputs)

        def blocks(kind: type[nn.Module]) -> nn.ModuleList:
            return nn.ModuleList(kind(width, heads, hidden) for _ in range(config.depth))

        self.time_blocks = blocks(SelfBlock)
        self.space_virtual_blocks = blocks(SelfBlock)
        self.space_point2virtual_blocks = blocks(CrossBlock)
        self.space_virtual2point_blocks = blocks(CrossBlock)

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, N, S, inputs] -> [B, N, S, outputs]."""
        first = self.input_transform(self.input_norm(tokens))
        scenes, points, views = first.shape[:3]
        x = torch.cat((first, self.virtual_tracks.expand(scenes, -1, views, -1)), 1)
        stacks = (
            self.time_blocks, self.space_virtual2point_blocks, self.space_virtual_blocks, self.space_point2virtual_blocks
        )  # fmt: skip
        for over_time, virtual_from_points, over_virtual, points_from_virtual in zip(*stacks, strict=True):
            x = over_time(x.flatten(0, 1)).unflatten(0, x.shape[:2])
            in_view = x.transpose(1, 2).flatten(0, 1)  # B·S N+V C
            real, virtual = in_view[:, :points], in_view[:, points:]
            virtual = over_virtual(virtual_from_points(virtual, real))
            real = points_from_virtual(real, virtual)
            x = torch.cat((real, virtual), 1).unflatten(0, (scenes, views)).transpose(1, 2)
        return self.flow_head(self.output_norm(x[:, :points] + first))


class SelfBlock(nn.Module):
    """Attention whose residual starts from the normalised tokens: n + attention(n), as the weights are trained."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = LayerNorm(width, eps=1e-5)
        self.norm2 = LayerNorm(width, eps=1e-5)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.mlp = Mlp(width, hidden)

    def forward(self, x: Tensor) -> Tensor:
        n = self.norm1(x)
        x = n + self.attn(n, n, n, need_weights=False)[0]
        return x + self.mlp(self.norm2(x))


class CrossBlock(nn.Module):
    """The same with keys and values from a context."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = LayerNorm(width, eps=1e-5)
        self.norm_context = LayerNorm(width, eps=1e-5)
        self.norm2 = LayerNorm(width, eps=1e-5)
        self.cross_attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.mlp = Mlp(width, hidden)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        n, context = self.norm1(x), self.norm_context(context)
        x = n + self.cross_attn(n, context, context, need_weights=False)[0]
        return x + self.mlp(self.norm2(x))


def sampled(maps: Tensor, coords: Tensor, outside: str) -> Tensor:
    """Bilinear samples of maps [n, C, h, w] at coords [n, N, 2] (x, y; integer = centre of a cell): [n, N, C]."""
    height, width = maps.shape[-2:]
    scale = coords.new_tensor([2 / max(width - 1, 1), 2 / max(height - 1, 1)])
    grid = (coords * scale - 1).detach()
    return F.grid_sample(maps, grid[:, None], padding_mode=outside, align_corners=True)[:, :, 0].transpose(1, 2)


def pyramid(maps: Tensor, levels: int) -> list[Tensor]:
    """Maps [B, S, F, h, w], and their means over 2 × 2, 4 × 4, ..."""
    out = [maps]
    for _ in range(levels - 1):
        out.append(F.avg_pool2d(out[-1].flatten(0, 1), 2).unflatten(0, maps.shape[:2]))
    return out


def correlations(levels: Sequence[Tensor], coords: Tensor, feature: Tensor, radius: int) -> Tensor:
    """Agreement of each track's feature [B, S, N, F] with the maps around it: [B, S, N, levels·(2·radius + 1)²].

    The maps are sampled and then compared, view by view: the agreement with all of a map would take its pixels times the
    tracks in memory and in time, and samples of it are the same, as both steps are linear.
    """
    offset = torch.arange(-radius, radius + 1, dtype=coords.dtype, device=coords.device)
    window = torch.cartesian_prod(offset, offset)  # x is the slow one
    found = []
    for view, (where, wanted) in enumerate(zip(coords.unbind(1), feature.unbind(1), strict=True)):
        at = [where[:, :, None] / 2**level + window for level in range(len(levels))]  # B N n² 2
        of_levels = [
            torch.einsum("bnf,bnwf->bnw", wanted, sampled(maps[:, view], x.flatten(1, 2), "zeros").unflatten(1, x.shape[1:3]))
            for maps, x in zip(levels, at, strict=True)
        ]
        found.append(torch.cat(of_levels, -1) / feature.shape[-1] ** 0.5)
    return torch.stack(found, 1)


def flow_embedding(flow: Tensor, channels: int) -> Tensor:
    """Sines and cosines, one after the other, of x and of y: [..., 2] -> [..., channels]."""
    half = channels // 2
    frequencies = torch.arange(0, half, 2, dtype=torch.float32, device=flow.device) * (1000 / half)
    angles = flow[..., None].float() * frequencies  # ... 2 half/2
    return torch.stack((angles.sin(), angles.cos()), -1).flatten(-3)


def sine_table(channels: int, height: int, width: int, device: torch.device) -> Tensor:
    """Sines then cosines of the column in the first half of the channels, of the row in the second: [channels, h, w]."""
    quarter = channels // 4
    frequencies = 10000.0 ** -(torch.arange(quarter, dtype=torch.float64, device=device) / quarter)

    def half(count: int) -> Tensor:
        angles = torch.arange(count, dtype=torch.float64, device=device)[:, None] * frequencies
        return torch.cat((angles.sin(), angles.cos()), 1).T.float()

    x = half(width)[:, None, :].expand(-1, height, -1)
    y = half(height)[:, :, None].expand(-1, -1, width)
    return torch.cat((x, y))
