"""The one place where attention is computed, and the rotary embeddings of its queries and keys."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

# On a CPU in bfloat16 so many scores are made at a time, of 2 or 4 heads and at most 256 queries: 4 MB stay in the cache.
# Measured at 1041, 4164 and 8328 tokens: 0.59 to 0.65 of the time of torch's scaled_dot_product_attention.
SCORES, MOST_ROWS, LEAST_ROWS = 2_130_000, 256, 32

# Turns queries or keys [..., heads, T, d]; made once for the positions of the tokens.
Rotation = Callable[[Tensor], Tensor]


def attention(queries: Tensor, keys: Tensor, values: Tensor, allowed: Tensor | None = None) -> Tensor:
    """softmax(q kᵀ / √d) v over tensors [..., heads, T, d]; `allowed` [T of queries, T of keys] is true where q may see k.

    Computed in the type of `values`: queries and keys that were normalised in float32 are rounded here.
    """
    queries, keys = queries.to(values.dtype), keys.to(values.dtype)
    if allowed is None and values.is_cuda and runs_xformers(values.dtype):
        return xformers_attention(queries, keys, values)
    if allowed is None and values.device.type == "cpu" and values.dtype == torch.bfloat16 and not values.requires_grad:
        return attention_in_blocks(queries, keys, values)
    return F.scaled_dot_product_attention(queries, keys, values, attn_mask=allowed)


def attention_in_blocks(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """The same, a block of the scores at a time: sdpa gains nothing from bfloat16 on a CPU, plain products do."""
    scaled = (queries * queries.shape[-1] ** -0.5).flatten(0, -3)
    columns, flat = keys.transpose(-1, -2).flatten(0, -3), values.flatten(0, -3).contiguous()
    out = torch.empty(*scaled.shape[:-1], values.shape[-1], dtype=values.dtype)
    tokens = keys.shape[-2]
    heads = 4 if 4 * MOST_ROWS * tokens <= SCORES else 2
    rows = min(max(SCORES // (heads * tokens), LEAST_ROWS), MOST_ROWS)
    for head in range(0, len(scaled), heads):
        some = slice(head, head + heads)
        for row in range(0, scaled.shape[1], rows):
            scores = scaled[some, row : row + rows] @ columns[some]
            out[some, row : row + rows] = scores.softmax(-1) @ flat[some]
    return out.unflatten(0, queries.shape[:-2])


@functools.cache
def runs_xformers(dtype: torch.dtype) -> bool:
    """Whether xformers is installed and runs on this GPU: asked by running it once."""
    try:
        probe = torch.zeros(1, 8, 8, 64, dtype=dtype, device="cuda")
        xformers_attention(probe, probe, probe)
    except (ImportError, NotImplementedError, RuntimeError):  # not installed, no kernel for this GPU, a foreign build
        return False
    return True


def xformers_attention(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    from xformers.ops import memory_efficient_attention  # type: ignore[import-not-found]

    leading = queries.shape[:-3]
    q, k, v = (x.flatten(0, -4).transpose(-3, -2) for x in (queries, keys, values))  # B T heads d
    return memory_efficient_attention(q, k, v).transpose(-3, -2).unflatten(0, leading)


def grid_positions(height: int, width: int, first: int, device: torch.device | None = None) -> Tensor:
    """(row, column) of every token of a grid in reading order, counted from `first`: [height·width, 2], int64."""
    rows = torch.arange(first, first + height, device=device)
    columns = torch.arange(first, first + width, device=device)
    return torch.cartesian_prod(rows, columns)


def rotary_2d(positions: Tensor, head_width: int, base: float) -> Rotation:
    """Rotary embedding in two axes for tokens at `positions` [T, 2]: half of the channels turn with the row, half with
    the column.

    Inside a half of length m channel j pairs with j + m/2, at the angle position · base^(−2j/m). Su et al. 2021, in two
    axes as in CroCo (Weinzaepfel et al. 2023).
    """
    half = head_width // 2
    exponents = torch.arange(0, half, 2, dtype=torch.float32, device=positions.device) / half
    angles = positions.float()[:, :, None] * base**-exponents  # T 2 m/2
    cosines = torch.cat((angles.cos(), angles.cos()), -1).flatten(1)  # T d
    sines = torch.cat((-angles.sin(), angles.sin()), -1).flatten(1)

    def rotate(x: Tensor) -> Tensor:
        partners = x.unflatten(-1, (2, 2, half // 2)).flip(-2).flatten(-3)
        return torch.addcmul(x * cosines, partners, sines)

    return rotate



def rotary_3d(positions: Tensor, dims: Sequence[int], base: float, device: torch.device | None = None) -> Rotation:
    """Rotary embedding in time, height and width for tokens at `positions` [T, 3]: runs of `dims` channels turn with each.

    Inside a run of length m the neighbours 2j and 2j + 1 pair, at the angle position · base^(−2j/m).
    """
    angles = rotary_angles(positions, dims, base)
    cosines, sines = angles.cos().float().to(device), angles.sin().float().to(device)

    def rotate(x: Tensor) -> Tensor:
        a, b = x.unflatten(-1, (-1, 2)).unbind(-1)
        return torch.stack((a * cosines - b * sines, a * sines + b * cosines), -1).flatten(-2)

    return rotate


def rotary_angles(positions: Tensor, dims: Sequence[int], base: float) -> Tensor:
    """Radians by which each pair of channels turns: [T, sum(dims) / 2], float64 on the CPU, as float32 is coarse far out."""
    runs = [
        positions[:, axis, None].double().cpu() * base ** -(torch.arange(0, run, 2, dtype=torch.float64) / run)
        for axis, run in enumerate(dims)
    ]
    return torch.cat(runs, -1)
