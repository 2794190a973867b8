"""Parts of vision transformers that several families share: linear layers that keep their precision, blocks, patch embedding.

Parameters in low precision make a layer compute in it; norms and the residual stream stay as they are, so that
`x + gamma * y` adds in float32 (as the published networks run under autocast).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recon3d.models.attention import Rotation, attention

# Computes attention of q, k, v [B, heads, T, d]; a cache or a mask stands in for plain attention.
Attend = Callable[[Tensor, Tensor, Tensor], Tensor]

RUN, RUN_ON_CPU = 16384, 1024  # tokens: enough to keep a GPU busy; what stays in a CPU's cache
HEADS_AT_A_TIME = 2  # of norms and rotations in float32: all heads of 200 views would take gigabytes
PACKED_FOR = 1024  # tokens, about a view's: oneDNN chooses the layout by them, and takes any number afterwards
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Linear(nn.Linear):
    """A linear layer that computes in the type of its weights."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        x = x.to(self.weight.dtype)
        if self.weight.is_mkldnn:
            return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")
        return F.linear(x, self.weight, self.bias)

    def pack(self) -> None:
        """Lay the weights out as oneDNN's kernels read them, once instead of at each call: for inference on a CPU."""
        packed = torch.ops.mkldnn._reorder_linear_weight(self.weight.detach(), PACKED_FOR)
        self.weight = nn.Parameter(packed, requires_grad=False)


class LayerNorm(nn.LayerNorm):
    """A norm that computes in the type of its weights, which stays float32."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(x.to(self.weight.dtype))


class Mlp(nn.Module):
    def __init__(self, width: int, hidden: int, out: int | None = None) -> None:
        super().__init__()
        self.fc1 = Linear(width, hidden)
        self.fc2 = Linear(hidden, out or width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class LayerScale(nn.Module):
    def __init__(self, width: int, initial: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((width,), initial))

    def forward(self, x: Tensor) -> Tensor:
        return self.gamma * x


class SelfAttention(nn.Module):
    """Queries, keys and values from one linear layer; optional norms of queries and keys over the head width."""

    def __init__(self, width: int, heads: int, qk_norm: bool) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = Linear(width, 3 * width)
        self.q_norm = LayerNorm(width // heads, eps=1e-5) if qk_norm else nn.Identity()
        self.k_norm = LayerNorm(width // heads, eps=1e-5) if qk_norm else nn.Identity()
        self.proj = Linear(width, width)

    def forward(self, x: Tensor, rotate: Rotation | None = None, attend: Attend = attention) -> Tensor:
        """x [B, T, C]; `rotate` turns queries and keys after their norms."""
        queries, keys, values = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        queries, keys = self.q_norm(queries), self.k_norm(keys)
        if rotate is not None:
            queries, keys = rotate(queries), rotate(keys)
        return self.proj(attend(queries, keys, values).transpose(1, 2).flatten(2))

    def parts(self, x: Tensor, norm: nn.Module, rotate: Rotation | None) -> list[Tensor]:
        """Queries, keys and values [B, heads, T, d] of norm(x), as attention reads them, made a run at a time."""
        shape = (3, len(x), self.heads, x.shape[1], x.shape[2] // self.heads)
        parts = x.new_empty(shape, dtype=self.qkv.weight.dtype)
        for scenes, tokens in runs(x):
            run = self.qkv(norm(x[scenes, tokens])).unflatten(-1, (3, self.heads, -1))
            parts[:, scenes, :, tokens] = run.permute(2, 0, 3, 1, 4)
        for part, norm_of in ((parts[0], self.q_norm), (parts[1], self.k_norm)):
            for heads in part.split(HEADS_AT_A_TIME, 1):
                heads.copy_(norm_of(heads) if rotate is None else rotate(norm_of(heads)))
        return list(parts)


class Block(nn.Module):
    """x + ls1(attention(norm1(x))), then x + ls2(mlp(norm2(x))). `layerscale` is its initial value; None: there is none."""

    def __init__(
        self, width: int, heads: int, hidden: int, eps: float, qk_norm: bool = False,
        layerscale: float | None = None, mlp: Callable[[int, int], nn.Module] = Mlp,
    ) -> None:  # fmt: skip
        super().__init__()
        self.norm1 = LayerNorm(width, eps=eps)
        self.attn = SelfAttention(width, heads, qk_norm)
        self.ls1 = nn.Identity() if layerscale is None else LayerScale(width, layerscale)
        self.norm2 = LayerNorm(width, eps=eps)
        self.mlp = mlp(width, hidden)
        self.ls2 = nn.Identity() if layerscale is None else LayerScale(width, layerscale)

    def forward(self, x: Tensor, rotate: Rotation | None = None, attend: Attend = attention) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x), rotate, attend))
        return x + self.ls2(self.mlp(self.norm2(x)))

    @property
    def linear_type(self) -> torch.dtype:
        """What its linear layers compute in; layers that heads read are kept in it."""
        return self.attn.proj.weight.dtype

    def advance(self, x: Tensor, rotate: Rotation | None = None, attend: Attend = attention) -> Tensor:
        """The same, written over x, for inference: beside x only its queries, keys and values and their mix are whole."""
        mixed = attend(*self.attn.parts(x, self.norm1, rotate))
        for scenes, tokens in runs(x):
            run = mixed[scenes, :, tokens].transpose(1, 2).flatten(2)
            x[scenes, tokens] += self.ls1(self.attn.proj(run))
        del mixed
        for run in runs(x):
            x[run] += self.ls2(self.mlp(self.norm2(x[run])))
        return x


def stepped(block: nn.Module, x: Tensor, rotate: Rotation | None = None, attend: Attend = attention) -> Tensor:
    """`block` of an x that nobody else reads: written over it, unless gradients are asked for."""
    assert isinstance(block, Block)
    return block(x, rotate, attend) if torch.is_grad_enabled() else block.advance(x, rotate, attend)


def runs(x: Tensor) -> Iterator[tuple[slice, slice]]:
    """Parts of [B, T, C] of about as many tokens as this device likes to have at a time."""
    scenes, tokens = x.shape[:2]
    wanted = RUN_ON_CPU if x.device.type == "cpu" else RUN
    whole = max(wanted // tokens, 1)
    length = math.ceil(tokens / max(round(tokens / wanted), 1))  # no short rest, which would read the weights for little
    for scene in range(0, scenes, whole):
        for token in range(0, tokens, length):
            yield slice(scene, scene + whole), slice(token, token + length)


class PatchEmbed(nn.Module):
    """Pixels [B, 3, H, W] to tokens [B, h·w, C] in reading order."""

    def __init__(self, width: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, patch)

    def forward(self, images: Tensor) -> Tensor:
        return self.proj(images.to(self.proj.weight.dtype)).flatten(2).transpose(1, 2)


def normalised(images: Tensor) -> Tensor:
    """Images [..., 3, H, W] in 0 to 1, with the mean and deviation of ImageNet taken out."""
    mean, std = (images.new_tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (images - mean) / std


def resampled_positions(table: Tensor, grid: tuple[int, int], square: bool, resample: Callable) -> Tensor:
    """The position table [1, 1 + M², C] for a grid of h × w tokens; row 0 belongs to the class token and stays.

    `resample(maps [1, C, M, M], grid)` is what families do differently. A grid of M × M on a square picture keeps the table.
    """
    side = round((table.shape[1] - 1) ** 0.5)
    if square and grid[0] * grid[1] == side**2:
        return table
    maps = table[:, 1:].float().unflatten(1, (side, side)).permute(0, 3, 1, 2)
    return torch.cat((table[:, :1], resample(maps, grid).flatten(2).transpose(1, 2).to(table.dtype)), 1)
