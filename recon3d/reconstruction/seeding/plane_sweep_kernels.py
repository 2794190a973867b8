"""Plane sweep stereo of small grey pictures in numba: photo-consistency of depths, smoothed along scan lines.

A volume [H, W, D] holds a number for each pixel and each of D inverse depths; the inverse depths are neighbours in memory.
"""

import numpy as np
from numba import float32

from recon3d.core.jit import kernel, part

RADIUS = 3  # pixels: windows are 7 x 7
SIDE = 2 * RADIUS + 1
# Variance of grey values (0 to 1) below which a window tells nothing: noise and compression of photos. It pulls the
# correlation of flat windows to 0, so that their depth is left to their neighbours.
NOISE = np.float32(0.008**2)


@part
def bilinear(picture, x, y):
    """A value at (x, y), pixel centres at + 0.5; NaN outside of the outermost centres."""
    height, width = picture.shape
    x, y = x - float32(0.5), y - float32(0.5)
    if not (x >= 0 and y >= 0 and x < width - 1 and y < height - 1):
        return float32(np.nan)
    i, j = np.int64(y), np.int64(x)
    v, u = y - float32(i), x - float32(j)
    top = picture[i, j] + u * (picture[i, j + 1] - picture[i, j])
    bottom = picture[i + 1, j] + u * (picture[i + 1, j + 1] - picture[i + 1, j])
    return top + v * (bottom - top)


@part
def fuller(x, width):
    """How many times as many columns as are there a whole window about column x would have."""
    return float32(SIDE / (min(x + RADIUS + 1, width) - max(x - RADIUS, 0)))


@part
def boxed(values, line, out):
    """Means of `values` [H,W] over the windows; at the picture's border over what is there of them.

    `line` [W + 2 RADIUS]: sums of columns, with zeros at both ends, so that all loops along a row are of one kind.
    """
    height, width = values.shape
    for y in range(height):
        top, bottom = max(y - RADIUS, 0), min(y + RADIUS + 1, height)
        line[:] = 0
        for i in range(top, bottom):
            for x in range(width):
                line[RADIUS + x] += values[i, x]
        share = float32(1 / ((bottom - top) * SIDE))
        for x in range(width):
            out[y, x] = line[x]
        for j in range(1, SIDE):
            for x in range(width):
                out[y, x] += line[x + j]
        for x in range(width):
            out[y, x] *= share
        left = min(RADIUS, width)
        for x in range(left):
            out[y, x] *= fuller(x, width)
        for x in range(max(width - RADIUS, left), width):
            out[y, x] *= fuller(x, width)


@kernel
def correlate(begin, end, reference, other, matrix, shift, inverse_depths, best, second):
    """Costs (1 - correlation) / 2 of inverse depths [begin, end): the two least over the calls into best and second.

    The point of pixel p = (x, y, 1) at inverse depth w is at matrix @ p + w shift in the other picture (homogeneous).
    """
    height, width = reference.shape
    line = np.empty(width + 2 * RADIUS, np.float32)
    maps = np.empty((7, height, width), np.float32)
    warped, product, a, aa, b, bb, ab = maps[0], maps[1], maps[2], maps[3], maps[4], maps[5], maps[6]
    product[:] = reference * reference
    boxed(reference, line, a)
    boxed(product, line, aa)
    for d in range(begin, end):
        w = inverse_depths[d]
        for y in range(height):
            for x in range(width):
                px, py = float32(x) + float32(0.5), float32(y) + float32(0.5)
                depth = matrix[2, 0] * px + matrix[2, 1] * py + matrix[2, 2] + w * shift[2]
                u = matrix[0, 0] * px + matrix[0, 1] * py + matrix[0, 2] + w * shift[0]
                v = matrix[1, 0] * px + matrix[1, 1] * py + matrix[1, 2] + w * shift[1]
                warped[y, x] = bilinear(other, u / depth, v / depth) if depth > float32(1e-9) else float32(np.nan)
        boxed(warped, line, b)
        product[:] = warped * warped
        boxed(product, line, bb)
        product[:] = warped * reference
        boxed(product, line, ab)
        for y in range(height):
            for x in range(width):
                variance = (aa[y, x] - a[y, x] * a[y, x] + NOISE) * (bb[y, x] - b[y, x] * b[y, x] + NOISE)
                cost = float32(0.5) - float32(0.5) * (ab[y, x] - a[y, x] * b[y, x]) / np.sqrt(variance)
                if cost < best[y, x, d]:  # NaN, what the other picture does not show, is never less
                    second[y, x, d] = best[y, x, d]
                    best[y, x, d] = cost
                elif cost < second[y, x, d]:
                    second[y, x, d] = cost


@part
def step_along(costs, y, x, before, now, least, small, large, total):
    """One pixel of a path: now [D] from before [D], whose least value is `least`; returns the least of now."""
    count = costs.shape[2]
    smallest = float32(np.inf)
    for d in range(count):
        value = min(before[d], least + large)
        if d > 0:
            value = min(value, before[d - 1] + small)
        if d + 1 < count:
            value = min(value, before[d + 1] + small)
        value += costs[y, x, d] - least
        now[d] = value
        total[y, x, d] += value
        smallest = min(smallest, value)
    return smallest


@kernel
def smooth_rows(begin, end, costs, picture, small, large, contrast, total):
    """Add to `total` the paths along rows [begin, end), both ways. Source: semi-global matching, Hirschmueller 2008.

    A step of one inverse depth costs `small`, a jump `large`, less where the picture changes by more than `contrast`.
    """
    width = costs.shape[1]
    before, now = np.zeros(costs.shape[2], np.float32), np.zeros(costs.shape[2], np.float32)
    for y in range(begin, end):
        for way in range(2):
            before[:] = 0
            least = float32(0)
            for i in range(width):
                x, back = (i, i - 1) if way == 0 else (width - 1 - i, width - i)
                edge = abs(picture[y, x] - picture[y, back]) / contrast if i > 0 else float32(0)
                least = step_along(costs, y, x, before, now, least, small, max(large / (1 + edge), small), total)
                before, now = now, before


@kernel
def smooth_columns(begin, end, costs, picture, small, large, contrast, total):
    """The same along columns [begin, end)."""
    height = costs.shape[0]
    before, now = np.zeros(costs.shape[2], np.float32), np.zeros(costs.shape[2], np.float32)
    for x in range(begin, end):
        for way in range(2):
            before[:] = 0
            least = float32(0)
            for i in range(height):
                y, back = (i, i - 1) if way == 0 else (height - 1 - i, height - i)
                edge = abs(picture[y, x] - picture[back, x]) / contrast if i > 0 else float32(0)
                least = step_along(costs, y, x, before, now, least, small, max(large / (1 + edge), small), total)
                before, now = now, before


@kernel
def choose(begin, end, total, inverse_depths, chosen):
    """Inverse depth of the least total of rows [begin, end), refined between its neighbours by a parabola."""
    _, width, count = total.shape
    for y in range(begin, end):
        for x in range(width):
            least = 0
            for d in range(1, count):
                if total[y, x, d] < total[y, x, least]:
                    least = d
            value = inverse_depths[least]
            if 0 < least < count - 1:
                low, middle, high = total[y, x, least - 1], total[y, x, least], total[y, x, least + 1]
                bend = low + high - 2 * middle
                if bend > 0:
                    step = inverse_depths[1] - inverse_depths[0]
                    value += step * float32(0.5) * (low - high) / bend
            chosen[y, x] = value
