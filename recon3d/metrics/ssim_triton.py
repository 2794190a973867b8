"""SSIM and its gradient on CUDA, in Triton (it comes with torch for CUDA): two passes of a window of eleven each way.

The arithmetic is that of `ssim_kernels`. Imported where Triton is; TRITON_INTERPRET=1 runs it on a CPU, for tests.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
import triton  # type: ignore[import-not-found]
import triton.language as tl  # type: ignore[import-not-found]
from torch import Tensor

from recon3d.metrics import ssim_kernels

TAPS = tl.constexpr(ssim_kernels.TAPS)
C1, C2 = tl.constexpr(ssim_kernels.C1), tl.constexpr(ssim_kernels.C2)
BLOCK = 1024  # values of a program
# Else each kernel would be compiled anew for sizes that 16 divides, and for those that it does not.
SIZES = ["total", "of_rows", "of_map", "width", "height", "rows", "columns"]


@triton.jit(do_not_specialize=SIZES)
def fold_rows(a, b, weights, sums, total, width, columns, BLOCK: tl.constexpr):
    """sums [4, total]: of a, b, a^2 + b^2 and a b, each less 0.5, over eleven neighbours in a row."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < total
    start = at // columns * width + at % columns
    mean_a, mean_b = tl.zeros((BLOCK,), tl.float32), tl.zeros((BLOCK,), tl.float32)
    squares, product = tl.zeros((BLOCK,), tl.float32), tl.zeros((BLOCK,), tl.float32)
    for tap in tl.static_range(TAPS):
        weight = tl.load(weights + tap)
        p = tl.load(a + start + tap, inside, 0.5) - 0.5
        q = tl.load(b + start + tap, inside, 0.5) - 0.5
        mean_a += weight * p
        mean_b += weight * q
        squares += weight * (p * p + q * q)
        product += weight * (p * q)
    tl.store(sums + at, mean_a, inside)
    tl.store(sums + total + at, mean_b, inside)
    tl.store(sums + 2 * total + at, squares, inside)
    tl.store(sums + 3 * total + at, product, inside)


@triton.jit(do_not_specialize=SIZES)
def fold_columns(sums, weights, values, derivatives, total, of_rows, height, rows, columns, BLOCK: tl.constexpr):
    """values [total] of the map, and derivatives [3, total] in the window's mean of a, of a^2 + b^2 and of a b.

    `of_rows`: values of one of the sums [planes, height, columns].
    """
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < total
    plane, place = at // (rows * columns), at % (rows * columns)
    start = plane * height * columns + place
    m, n = tl.zeros((BLOCK,), tl.float32), tl.zeros((BLOCK,), tl.float32)
    squares, product = tl.zeros((BLOCK,), tl.float32), tl.zeros((BLOCK,), tl.float32)
    for tap in tl.static_range(TAPS):
        weight = tl.load(weights + tap)
        here = sums + start + tap * columns
        m += weight * tl.load(here, inside, 0.0)
        n += weight * tl.load(here + of_rows, inside, 0.0)
        squares += weight * tl.load(here + 2 * of_rows, inside, 0.0)
        product += weight * tl.load(here + 3 * of_rows, inside, 0.0)
    mean_a, mean_b = m + 0.5, n + 0.5
    light, light_scale = 2 * mean_a * mean_b + C1, mean_a * mean_a + mean_b * mean_b + C1
    shape, shape_scale = 2 * (product - m * n) + C2, squares - m * m - n * n + C2
    scale = 1 / (light_scale * shape_scale)
    value = light * shape * scale
    tl.store(values + at, value, inside)
    by_mean = 2 * (scale * (mean_b * shape - n * light) + value * scale * (m * light_scale - mean_a * shape_scale))
    tl.store(derivatives + at, by_mean, inside)
    tl.store(derivatives + total + at, -value * scale * light_scale, inside)
    tl.store(derivatives + 2 * total + at, 2 * light * scale, inside)


@triton.jit(do_not_specialize=SIZES)
def spread_columns(gradient, derivatives, weights, spread, total, of_map, height, rows, columns, BLOCK: tl.constexpr):
    """spread [3, total], total = planes height columns: what each window's derivatives give to the rows that it covers."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < total
    plane, y = at // (height * columns), at // columns % height
    start = plane * rows * columns + y * columns + at % columns
    mean, squares = tl.zeros((BLOCK,), tl.float32), tl.zeros((BLOCK,), tl.float32)
    product = tl.zeros((BLOCK,), tl.float32)
    for tap in tl.static_range(TAPS):
        covers = inside & (y >= tap) & (y - tap < rows)
        here = start - tap * columns
        g = tl.load(weights + tap) * tl.load(gradient + here, covers, 0.0)
        mean += g * tl.load(derivatives + here, covers, 0.0)
        squares += g * tl.load(derivatives + of_map + here, covers, 0.0)
        product += g * tl.load(derivatives + 2 * of_map + here, covers, 0.0)
    tl.store(spread + at, mean, inside)
    tl.store(spread + total + at, squares, inside)
    tl.store(spread + 2 * total + at, product, inside)


@triton.jit(do_not_specialize=SIZES)
def spread_rows(a, b, weights, spread, d_a, total, of_rows, width, columns, BLOCK: tl.constexpr):
    """d_a [total], total = planes height width: the same along rows, and from the statistics to picture a."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < total
    x = at % width
    start = at // width * columns + x
    mean, squares = tl.zeros((BLOCK,), tl.float32), tl.zeros((BLOCK,), tl.float32)
    product = tl.zeros((BLOCK,), tl.float32)
    for tap in tl.static_range(TAPS):
        covers = inside & (x >= tap) & (x - tap < columns)
        weight = tl.load(weights + tap)
        mean += weight * tl.load(spread + start - tap, covers, 0.0)
        squares += weight * tl.load(spread + of_rows + start - tap, covers, 0.0)
        product += weight * tl.load(spread + 2 * of_rows + start - tap, covers, 0.0)
    p, q = tl.load(a + at, inside, 0.5) - 0.5, tl.load(b + at, inside, 0.5) - 0.5
    tl.store(d_a + at, mean + 2 * p * squares + q * product, inside)


def ssim_with_derivatives(a: Tensor, b: Tensor, wanted: bool) -> tuple[Tensor, list[Tensor]]:
    """As `ssim_numba.ssim_with_derivatives`; the derivatives lie in one tensor [3, ...]."""
    planes, height, width = a.numel() // (a.shape[-1] * a.shape[-2]), *a.shape[-2:]
    rows, columns = height - ssim_kernels.TAPS + 1, width - ssim_kernels.TAPS + 1
    sums = a.new_empty(4, planes, height, columns)
    values, derivatives = a.new_empty(*a.shape[:-2], rows, columns), a.new_empty(3, planes, rows, columns)
    weights, of_rows = window(a.device), planes * height * columns
    launch(fold_rows, of_rows, a.contiguous(), b.contiguous(), weights, sums, of_rows, width, columns)
    total = values.numel()
    launch(fold_columns, total, sums, weights, values, derivatives, total, of_rows, height, rows, columns)
    return values, [derivatives] if wanted else []


def gradient_of_first(a: Tensor, b: Tensor, derivatives: list[Tensor], gradient: Tensor) -> Tensor:
    """As `ssim_numba.gradient_of_first`."""
    planes, height, width = a.numel() // (a.shape[-1] * a.shape[-2]), *a.shape[-2:]
    rows, columns = gradient.shape[-2:]
    spread, d_a = a.new_empty(3, planes, height, columns), torch.empty_like(a, memory_format=torch.contiguous_format)
    weights, of_rows = window(a.device), planes * height * columns
    inputs = (gradient.contiguous(), derivatives[0], weights, spread)
    launch(spread_columns, of_rows, *inputs, of_rows, gradient.numel(), height, rows, columns)
    launch(spread_rows, a.numel(), a.contiguous(), b.contiguous(), weights, spread, d_a, a.numel(), of_rows, width, columns)
    return d_a


def launch(kernel: Callable, count: int, *arguments: Any) -> None:
    """One program for each BLOCK of the `count` values."""
    kernel[(triton.cdiv(count, BLOCK),)](*arguments, BLOCK=BLOCK)  # type: ignore[index]


@functools.cache
def window(device: torch.device) -> Tensor:
    return torch.from_numpy(ssim_kernels.WEIGHTS).to(device)
