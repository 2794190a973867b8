"""SSIM and its gradient in numba: one row of one plane at a time, eleven rows folded into one, then its columns.

Statistics are taken of values less `MIDDLE`: variances do not change, and float32 keeps more of their digits.
"""

import numpy as np
from numba import float32, uint64

from recon3d.core.jit import kernel, part

TAPS = 11
SIGMA = 1.5  # pixels
C1, C2 = 0.01**2, 0.03**2  # Wang et al. 2004, section III-C, for values in 0 to 1
_taps = np.exp(-0.5 * ((np.arange(TAPS) - TAPS // 2) / SIGMA) ** 2)
WINDOW = _taps / _taps.sum()  # float64
WEIGHTS = WINDOW.astype(np.float32)
W0, W1, W2, W3, W4, W5 = (float32(w) for w in WEIGHTS[:6])  # the window is symmetric
MIDDLE, TWO = float32(0.5), float32(2)
BRIGHT, DARK = float32(C1), float32(C2)


@part
def folded(row, at, i):
    """Eleven neighbours of a flat row, from at + i on, under the window."""
    p = at + i
    return (
        W0 * (row[p] + row[p + uint64(10)])
        + W1 * (row[p + uint64(1)] + row[p + uint64(9)])
        + W2 * (row[p + uint64(2)] + row[p + uint64(8)])
        + W3 * (row[p + uint64(3)] + row[p + uint64(7)])
        + W4 * (row[p + uint64(4)] + row[p + uint64(6)])
        + W5 * row[p + uint64(5)]
    )


@part
def statistics_of_rows(a, b, start, width, sums):
    """sums [4 width]: of a, b, a^2 + b^2 and a b over the eleven rows from `start` on, under the window."""
    sums[:] = 0
    w1, w2, w3 = uint64(width), uint64(2 * width), uint64(3 * width)
    for tap in range(TAPS):
        weight = WEIGHTS[tap]
        at = uint64(start + tap * width)
        for x in range(uint64(width)):
            p, q = a[at + x] - MIDDLE, b[at + x] - MIDDLE
            sums[x] += weight * p
            sums[w1 + x] += weight * q
            sums[w2 + x] += weight * (p * p + q * q)
            sums[w3 + x] += weight * (p * q)


@kernel
def ssim_forward(begin, end, a, b, height, width, values, by_mean, by_squares, by_product):
    """Rows [begin, end) of the maps [planes, height - 10, width - 10], flat like a and b [planes, height, width].

    by_mean, by_squares, by_product: the value's derivatives in the window's mean of a, of a^2 + b^2 and of a b; empty
    where not wanted.
    """
    rows, columns = height - (TAPS - 1), width - (TAPS - 1)
    w1, w2, w3 = uint64(width), uint64(2 * width), uint64(3 * width)
    sums = np.empty(4 * width, np.float32)
    wanted = by_mean.size > 0
    for row in range(begin, end):
        plane, y = row // rows, row % rows
        statistics_of_rows(a, b, (plane * height + y) * width, width, sums)
        to = uint64(row * columns)
        for x in range(uint64(columns)):
            m, n = folded(sums, uint64(0), x), folded(sums, w1, x)
            squares, product = folded(sums, w2, x), folded(sums, w3, x)
            mean_a, mean_b = m + MIDDLE, n + MIDDLE
            light, light_scale = TWO * mean_a * mean_b + BRIGHT, mean_a * mean_a + mean_b * mean_b + BRIGHT
            shape, shape_scale = TWO * (product - m * n) + DARK, squares - m * m - n * n + DARK
            scale = float32(1) / (light_scale * shape_scale)
            value = light * shape * scale
            values[to + x] = value
            if wanted:
                by_mean[to + x] = TWO * (
                    scale * (mean_b * shape - n * light) + value * scale * (m * light_scale - mean_a * shape_scale)
                )
                by_squares[to + x] = -value * scale * light_scale
                by_product[to + x] = TWO * light * scale


@part
def gradients_of_rows(gradient, by_mean, by_squares, by_product, first, count, tap, columns, width, sums):
    """The transposed fold: `count` rows of the maps from `first` on, with the window from `tap` downwards, into sums.

    sums [3 (width + 10)]: ten zeros stand on either side of each row of `columns` values.
    """
    sums[:] = 0
    padded, twice = uint64(width + TAPS - 1), uint64(2 * (width + TAPS - 1))
    for i in range(count):
        weight = WEIGHTS[tap - i]
        at = uint64((first + i) * columns)
        for x in range(uint64(columns)):
            to = x + uint64(TAPS - 1)
            g = weight * gradient[at + x]
            sums[to] += g * by_mean[at + x]
            sums[to + padded] += g * by_squares[at + x]
            sums[to + twice] += g * by_product[at + x]


@kernel
def ssim_backward(begin, end, a, b, height, width, gradient, by_mean, by_squares, by_product, d_a):
    """Rows [begin, end) of d_a [planes, height, width], flat: from `gradient` of the map to that of picture a."""
    rows, columns = height - (TAPS - 1), width - (TAPS - 1)
    padded = width + TAPS - 1
    p1, p2 = uint64(padded), uint64(2 * padded)
    sums = np.empty(3 * padded, np.float32)
    for row in range(begin, end):
        plane, y = row // height, row % height
        top, bottom = max(y - (TAPS - 1), 0), min(y, rows - 1)
        first = plane * rows + top
        gradients_of_rows(gradient, by_mean, by_squares, by_product, first, bottom - top + 1, y - top, columns, width, sums)
        at = uint64(row * width)
        for x in range(uint64(width)):
            of_squares, of_product = folded(sums, p1, x), folded(sums, p2, x)
            p, q = a[at + x] - MIDDLE, b[at + x] - MIDDLE
            d_a[at + x] = folded(sums, uint64(0), x) + TWO * p * of_squares + q * of_product
