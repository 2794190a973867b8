"""ZPressor (Wang et al. 2025, arXiv 2505.23734): anchors read their supports, and then themselves, round after round.

Keys and values come from the views' features as they were given, in every round: only the anchors change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recon3d.models.attention import attention
from recon3d.models.vit import LayerNorm, Linear
from recon3d.models.zpressor.anchors import assigned, farthest_points, picked, supports
from recon3d.models.zpressor.config import ZPressorConfig

# Up to so many tokens a view the clusters of a round are one padded attention, above it one attention each: on a CPU padding
# can only lose where arithmetic and not the number of calls decides (tools/benchmarks/zpressor.py).
PADDED_UP_TO = {"cpu": 192, "cuda": 2048}
MOST_PADDING = 3.0  # times the supports that there are: above it clusters differ so much that padding wastes more than calls


@dataclass(frozen=True)
class Pressed:
    """Features of the anchors that have read the others, and who they are."""

    features: tuple[Annotated[Tensor, "B A C h w"], ...]  # one for each level
    anchors: Annotated[Tensor, "B A"]  # views, in the order of choice
    clusters: Annotated[Tensor, "B N"]  # position of each view's anchor


class Mlp(nn.Module):
    """fc2(gelu(fc1(norm(x))))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = LayerNorm(width, eps=1e-5)
        self.fc1 = Linear(width, 4 * width)
        self.fc2 = Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(self.norm(x))))


class CrossBlock(nn.Module):
    """Queries [..., L, C] read a context [..., M, C]; an MLP where no self-attention follows."""

    def __init__(self, width: int, heads: int, mlp: bool) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = LayerNorm(width, eps=1e-5), LayerNorm(width, eps=1e-5)
        self.projq = Linear(width, width, bias=False)
        self.proj_kv = Linear(width, 2 * width, bias=False)
        self.proj = Linear(width, width)
        self.mlp = Mlp(width) if mlp else None

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        return self.read(x, attention(self.queries(x), *self.keys_and_values(context)))

    def queries(self, x: Annotated[Tensor, "... L C"]) -> Annotated[Tensor, "... heads L d"]:
        return self.projq(self.norm1(x)).unflatten(-1, (self.heads, -1)).transpose(-2, -3)

    def keys_and_values(self, context: Annotated[Tensor, "... M C"]) -> tuple[Tensor, Tensor]:
        """[..., heads, M, d] each."""
        return split(self.proj_kv(self.norm2(context)), self.heads)

    def read(self, x: Tensor, answers: Annotated[Tensor, "... heads L d"]) -> Tensor:
        x = x + self.proj(answers.transpose(-2, -3).flatten(-2))
        return x if self.mlp is None else x + self.mlp(x)


class SelfBlock(nn.Module):
    """Tokens [..., L, C] of one anchor see each other."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = LayerNorm(width, eps=1e-5)
        self.to_qkv = Linear(width, 3 * width, bias=False)
        self.to_out = nn.Sequential(Linear(width, width)) if heads > 1 else nn.Identity()
        self.mlp = Mlp(width)

    def forward(self, x: Tensor) -> Tensor:
        parts = (part.unflatten(-1, (self.heads, -1)).transpose(-2, -3) for part in self.to_qkv(self.norm(x)).chunk(3, -1))
        x = x + self.to_out(attention(*parts).transpose(-2, -3).flatten(-2))
        return x + self.mlp(x)


def split(keys_and_values: Annotated[Tensor, "... M 2·C"], heads: int) -> tuple[Tensor, Tensor]:
    keys, values = (part.unflatten(-1, (heads, -1)).transpose(-2, -3) for part in keys_and_values.chunk(2, -1))
    return keys, values


class ZPressor(nn.Module):
    """Features of N views in, of A of them out."""

    def __init__(self, config: ZPressorConfig) -> None:
        super().__init__()
        self.config = config
        layers, heads = range(config.num_layers), config.num_heads
        self.cross_attn_layers = nn.ModuleList(
            nn.ModuleList(CrossBlock(width, heads, mlp=not config.self_attention) for _ in layers)
            for width in config.embed_dims
        )
        if config.self_attention:
            self.self_attn_layers = nn.ModuleList(
                nn.ModuleList(SelfBlock(width, heads) for _ in layers) for width in config.embed_dims
            )

    def forward(
        self, features: Sequence[Annotated[Tensor, "B N C h w"]], world_from_camera: Annotated[Tensor, "B N 4 4"],
        count: int,
    ) -> Pressed:  # fmt: skip
        """`count` anchors by farthest point sampling of the camera centres."""
        centers = world_from_camera[..., :3, 3]
        anchors = farthest_points(centers, count)
        return self.pressed(features, anchors, assigned(centers, anchors))

    def pressed(
        self, features: Sequence[Annotated[Tensor, "B N C h w"]], anchors: Annotated[Tensor, "B A"],
        clusters: Annotated[Tensor, "B N"],
    ) -> Pressed:  # fmt: skip
        """The same onto given anchors: of views without cameras, `anchors.clustered` gives them."""
        members = supports(anchors, clusters)
        maps = []
        for level, of_level in enumerate(features):
            tokens = of_level.flatten(-2).transpose(-1, -2)  # B N L C
            state = picked(tokens, anchors).flatten(0, 1)
            cross = list(self.cross_attn_layers[level])  # type: ignore[arg-type]
            alone = list(self.self_attn_layers[level]) if self.config.self_attention else [nn.Identity()] * len(cross)  # type: ignore[arg-type]
            for block, then, context in zip(cross, alone, contexts(cross, tokens.flatten(0, 1), members), strict=True):
                state = then(read(block, state, context))
            maps.append(state.unflatten(0, anchors.shape).transpose(-1, -2).unflatten(-1, of_level.shape[-2:]))
        return Pressed(tuple(maps), anchors, clusters)


@dataclass(frozen=True)
class Context:
    """What the anchors read in one round: keys and values of all supports, one cluster after the other."""

    keys: Annotated[Tensor, "heads U L d"]  # U supports of all clusters
    values: Annotated[Tensor, "heads U L d"]
    sizes: tuple[int, ...]  # supports of each of the R anchors
    slots: Annotated[Tensor, "R S"]  # the supports of each anchor among the U; -1 fills the rows


def contexts(cross: Sequence[CrossBlock], tokens: Annotated[Tensor, "V L C"], members: Annotated[Tensor, "R S"]):
    """The context of every round, in turn: of few tokens all keys and values come from one product, as they depend on the
    views only; of many that would take the memory of all rounds at once."""
    there = members >= 0
    used = tokens[members[there]]
    number = there.flatten().cumsum(0).view_as(members) - 1
    slots = torch.where(there, number, -1)
    sizes = tuple(there.sum(1).tolist())
    together = tokens.shape[1] <= PADDED_UP_TO["cpu"] and len(cross) > 1
    all_rounds = of_all_rounds(cross, used) if together else (block.proj_kv(block.norm2(used)) for block in cross)
    for block, keys_and_values in zip(cross, all_rounds, strict=True):
        keys, values = keys_and_values.unflatten(-1, (2, block.heads, -1)).permute(2, 3, 0, 1, 4)
        yield Context(keys, values, sizes, slots)


def of_all_rounds(cross: Sequence[CrossBlock], used: Annotated[Tensor, "U L C"]) -> Sequence[Tensor]:
    """Keys and values [U, L, 2·C] of every round: a norm's factors are moved into the weights that follow it."""
    plain = F.layer_norm(used, used.shape[-1:], eps=1e-5)
    weights = torch.cat([block.proj_kv.weight * block.norm2.weight for block in cross])
    biases = torch.cat([block.proj_kv.weight @ block.norm2.bias for block in cross])
    return F.linear(plain, weights, biases).chunk(len(cross), -1)


def read(block: CrossBlock, state: Annotated[Tensor, "R L C"], context: Context) -> Annotated[Tensor, "R L C"]:
    """One round of all anchors. An anchor without supports stays as it is: not even a bias is added."""
    if not any(context.sizes):
        return state
    wasted = context.slots.numel() > MOST_PADDING * sum(context.sizes)
    padded = state.shape[1] <= PADDED_UP_TO[state.device.type if state.is_cuda else "cpu"] and not wasted
    answers = (padded_attention if padded else attention_of_each)(block.queries(state), context)
    moved = block.read(state, answers)
    if all(context.sizes):
        return moved
    return torch.where((context.slots[:, :1] >= 0)[..., None], moved, state)


def padded_attention(queries: Annotated[Tensor, "R heads L d"], context: Context) -> Annotated[Tensor, "R heads L d"]:
    """All clusters at once: rows of the largest size, what is too much masked. A row without supports reads anything, so
    that no softmax is over nothing; its answer is not used."""
    there = context.slots >= 0
    rows = context.slots.clamp_min(0)
    tokens = context.keys.shape[2]
    keys, values = (x[:, rows].flatten(2, 3).transpose(0, 1) for x in (context.keys, context.values))
    if bool(there.all()):
        return attention(queries, keys, values)
    allowed = (there | ~there.any(1, keepdim=True)).repeat_interleave(tokens, 1)[:, None, None]
    return attention(queries, keys, values, allowed)


def attention_of_each(queries: Annotated[Tensor, "R heads L d"], context: Context) -> Annotated[Tensor, "R heads L d"]:
    """One cluster after the other: nothing is padded."""
    answers, first = [], 0
    for of_anchor, size in zip(queries, context.sizes, strict=True):
        some = slice(first, first := first + size)
        keys, values = (x[:, some].flatten(1, 2) for x in (context.keys, context.values))
        answers.append(attention(of_anchor[None], keys[None], values[None])[0] if size else of_anchor)
    return torch.stack(answers)
