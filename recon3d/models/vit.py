"""Parts of vision transformers that several families share: linear layers that keep their precision, blocks, patch embedding.

Parameters in low precision make a layer compute in it; norms and the residual stream stay as they are, so that
`x + gamma * y` adds in float32 (as the published networks run under autocast).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recon3d.models.attention import Rotation, attention

# Computes attention of q, k, v [B, heads, T, d]; a cache or a mask stands in for plain attention.
Attend = Callable[[Tensor, Tensor, Tensor], Tensor]

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
