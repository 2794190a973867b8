"""Solid patterns: the colour of a material at a point of space, so that surfaces need no coordinates and have no seams.

A pattern fades into its mean as its period nears two pixels: what aliases differs from view to view, and a network that is
to match views must not learn from that. Every function here runs on a CPU and, through numba, on a GPU.
"""

from __future__ import annotations

import math

from recon3d.core.jit import called, part

# What a row of materials holds; TURN is a rotation, nine numbers.
KIND, COLOR_A, COLOR_B, COLOR_C = 0, 1, 4, 7
FREQUENCY, WARP, GRAIN, DIRT, SEED, TURN, CONTRAST, WIDTH, GLOSS, SHININESS = 10, 11, 12, 13, 14, 15, 24, 25, 26, 27
LENGTH = 28

FBM, STRIPES, CHECKS, BRICKS, CELLS, GLYPHS, MARBLE, PLAIN = range(8)


@part
def hashed(x, y, z, seed):
    """0 to 1 for a cell of a lattice."""
    h = (x * 0x8DA6B343 + y * 0xD8163841 + z * 0xCB1AB31F + seed * 0x165667B1) & 0xFFFFFFFF
    h = ((h ^ (h >> 15)) * 0x2C1B3C6D) & 0xFFFFFFFF
    return (h ^ (h >> 16)) * (1.0 / 4294967296.0)


@part
def faded(t):
    return t * t * t * (t * (t * 6.0 - 15.0) + 10.0)


@called
def noise(x, y, z, seed):
    """Value noise, 0 to 1 (Perlin 2002's quintic between the corners of a cell)."""
    fx, fy, fz = math.floor(x), math.floor(y), math.floor(z)
    i, j, k = int(fx), int(fy), int(fz)
    u, v, w = faded(x - fx), faded(y - fy), faded(z - fz)
    a = hashed(i, j, k, seed) * (1 - u) + hashed(i + 1, j, k, seed) * u
    b = hashed(i, j + 1, k, seed) * (1 - u) + hashed(i + 1, j + 1, k, seed) * u
    c = hashed(i, j, k + 1, seed) * (1 - u) + hashed(i + 1, j, k + 1, seed) * u
    d = hashed(i, j + 1, k + 1, seed) * (1 - u) + hashed(i + 1, j + 1, k + 1, seed) * u
    return (a * (1 - v) + b * v) * (1 - w) + (c * (1 - v) + d * v) * w


@called
def fbm(x, y, z, seed, footprint, octaves):
    """Octaves of noise around 0. `footprint`: a pixel's width in the first octave's units; 0: nothing fades."""
    total, amplitude = 0.0, 0.5
    for octave in range(octaves):
        fade = 1.6 - 2.4 * footprint
        if fade <= 0:
            break
        total += amplitude * min(1.0, fade) * (2 * noise(x, y, z, seed + octave) - 1)
        x, y, z = 2.03 * x + 1.7, 2.03 * y + 9.2, 2.03 * z + 5.1
        footprint *= 2.03
        amplitude *= 0.58
    return total


@called
def cells(x, y, z, seed, width):
    """Voronoi cells (Worley 1996), each in a tone of its own, with dark joints of `width`."""
    i, j, k = int(math.floor(x)), int(math.floor(y)), int(math.floor(z))
    nearest, second, tone = 9.0, 9.0, 0.0
    for di in range(-1, 2):
        for dj in range(-1, 2):
            for dk in range(-1, 2):
                ci, cj, ck = i + di, j + dj, k + dk
                own = hashed(ci, cj, ck, seed)
                vx = ci + own - x
                vy = cj + hashed(ci, cj, ck, seed + 1) - y
                vz = ck + hashed(ci, cj, ck, seed + 2) - z
                d = vx * vx + vy * vy + vz * vz
                if d < nearest:
                    second, nearest, tone = nearest, d, own
                elif d < second:
                    second = d
    return 0.0 if math.sqrt(second) - math.sqrt(nearest) < 0.15 * width else 0.25 + 0.75 * tone


@called
def bricks(x, y, z, seed):
    row = math.floor(2 * y)
    shift = 0.5 * (int(row) & 1)
    column, layer = math.floor(x + shift), math.floor(z + shift)
    if x + shift - column < 0.05 or 2 * y - row < 0.1 or z + shift - layer < 0.05:
        return 0.95
    return 0.45 * hashed(int(column), int(row), int(layer), seed)


@called
def glyphs(x, y, seed):
    """Marks like writing: cells of four by six dots, a fifth of the cells empty."""
    column, row = math.floor(x), math.floor(0.6 * y)
    u, v = (x - column - 0.12) / 0.76, (0.6 * y - row - 0.18) / 0.64
    if u < 0 or u >= 1 or v < 0 or v >= 1 or hashed(int(column), int(row), 0, seed) < 0.2:
        return 0.0
    return 1.0 if hashed(int(column) * 4 + int(4 * u), int(row) * 6 + int(6 * v), 3, seed) > 0.5 else 0.0


@part
def blended(value, mean, share):
    return mean + min(1.0, max(0.0, share)) * (value - mean)


@called
def tone(kind, x, y, z, n, seed, footprint, warp, contrast, width):
    """Between the material's colours A (0) and B (1). `n` is fractal noise at the point, `footprint` a pixel's width."""
    sharp = 1.5 - 2.5 * footprint
    if kind == FBM:
        return 0.5 + contrast * n
    if kind == STRIPES:
        v = x + warp * n
        return blended(1.0 if v - math.floor(v) < width else 0.0, 0.5, sharp)
    if kind == CHECKS:
        q = int(math.floor(x)) + int(math.floor(y)) + int(math.floor(z))
        return blended(float(q & 1), 0.5, sharp)
    if kind == BRICKS:
        return blended(bricks(x, y, z, seed), 0.3, sharp)
    if kind == CELLS:
        return blended(cells(x, y, z, seed, width), 0.5, sharp)
    if kind == GLYPHS:
        return blended(glyphs(x, y, seed), 0.25, 1.5 - 10 * footprint)
    if kind == MARBLE:
        return 0.5 + 0.5 * math.sin(3 * x + 7 * warp * n) * min(1.0, max(0.0, sharp))
    return 0.5 + 0.12 * n


@part
def channel(rows, b, m, c, share, tint, factor):
    value = rows[b, m, COLOR_A + c] * (1 - share) + rows[b, m, COLOR_B + c] * share
    return min(1.0, max(0.01, (value + 0.25 * tint * (rows[b, m, COLOR_C + c] - 0.5)) * factor))


@part
def turned(rows, b, m, axis, x, y, z):
    start = TURN + 3 * axis
    return rows[b, m, start] * x + rows[b, m, start + 1] * y + rows[b, m, start + 2] * z


@called
def albedo(rows, b, m, px, py, pz, footprint):
    """Red, green, blue (linear, 0.01 to 1) of material m of scene b at a point of the world. `rows` [B, M, LENGTH];
    `footprint`: a pixel's width there."""
    f, seed = rows[b, m, FREQUENCY], int(rows[b, m, SEED])
    x = turned(rows, b, m, 0, px, py, pz) * f + 0.37
    y = turned(rows, b, m, 1, px, py, pz) * f + 0.71
    z = turned(rows, b, m, 2, px, py, pz) * f + 0.13
    n = fbm(x, y, z, seed, footprint * f, 3)
    share = tone(
        int(rows[b, m, KIND]), x, y, z, n, seed, footprint * f, rows[b, m, WARP], rows[b, m, CONTRAST], rows[b, m, WIDTH]
    )
    share = min(1.0, max(0.0, share + 0.08 * n))
    dirt = 1 + 0.55 * rows[b, m, DIRT] * fbm(0.31 * px + 3, 0.31 * py, 0.31 * pz, seed + 40, 0.31 * footprint, 1)
    grain = 1 + rows[b, m, GRAIN] * fbm(23 * px, 23 * py, 23 * pz, seed + 50, 23 * footprint, 1)
    tint = fbm(1.3 * x, 1.3 * y, 1.3 * z, seed + 60, 1.3 * footprint * f, 1)
    return (
        channel(rows, b, m, 0, share, tint, dirt * grain),
        channel(rows, b, m, 1, share, tint, dirt * grain),
        channel(rows, b, m, 2, share, tint, dirt * grain),
    )
