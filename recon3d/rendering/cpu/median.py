"""The depths at which shares of a pixel's light are taken: where its surface is, whatever veils lie before or behind it."""

import numpy as np  # noqa: I001 - lists of names are kept in rows
from numba import float32, uint64

from recon3d.core.jit import kernel, part, run
from recon3d.rendering.constants import ALPHA_MAX, ALPHA_MIN, TILE
from recon3d.rendering.cpu import rasterizer
from recon3d.rendering.cpu.compositing import EIGHTH, FLOOR, column_of, exp_eighth, row_of
from recon3d.rendering.cpu.lanes import greatest, least, load, lowest_bit, prefetch, select, spread, store
from recon3d.rendering.cpu.layout import (
    BLOCK, BLOCKS, LANE_X, LANE_Y, LANES, OPACITY, ROW, K, M, S, X, Y, Z,
)  # fmt: skip

A_MIN, A_MAX = float32(ALPHA_MIN), float32(ALPHA_MAX)
LEFT = np.array([0.75, 0.5, 0.25], np.float32)  # of the light, at the three depths
FOUND = 9  # planes for each pixel: z, and how far right and below of it the middle of that Gaussian is, three times
FLOATS = (1 + FOUND) * LANES  # of a block: its transmittance first
SMOOTH = 3.0  # pixels, standard deviation, over which a slope is taken
STEP = 0.05  # of 1 / z, by which a pixel is off its surroundings where a surface ends
FARTHEST = 0.2  # of 1 / z, by which it is carried at most
AHEAD = 8  # entries: a Gaussian's row is asked for this long before it is needed


@kernel
def take_shares(begin, end, tiles_x, packed, starts, entries, found):
    """found [9,H,W]: for each of LEFT the z of the Gaussian at which a pixel's transmittance falls to it, and the way from the
    pixel to that Gaussian's middle, right and down in pixels; all 0 where it never does.

    Unlike `composite`, no pixel stops early: only the first three quarters of its light count.
    """
    lane_x, lane_y = load(LANE_X, uint64(0)), load(LANE_Y, uint64(0))
    planes = np.empty(BLOCKS * FLOATS, np.float32)
    for tile in range(begin, end):
        tile_x, tile_y = tile % tiles_x, tile // tiles_x
        for block in range(uint64(BLOCKS)):
            store(planes, block * uint64(FLOATS), spread(float32(1)))
            for plane in range(uint64(1), uint64(1 + FOUND)):
                store(planes, block * uint64(FLOATS) + plane * uint64(LANES), spread(float32(0)))
        last = starts[tile + 1]
        for e in range(starts[tile], last):
            here = uint64(e)
            prefetch(packed, uint64(entries[min(e + AHEAD, last - 1), 0]) * uint64(ROW))
            r = uint64(entries[here, 0]) * uint64(ROW)
            x, y = packed[r + uint64(X)] - float32(tile_x * TILE), packed[r + uint64(Y)] - float32(tile_y * TILE)
            k, m = spread(float32(0.5) * EIGHTH * packed[r + uint64(K)]), spread(float32(0.5) * EIGHTH * packed[r + uint64(M)])
            s, opacity, z = spread(packed[r + uint64(S)]), spread(packed[r + uint64(OPACITY)]), spread(packed[r + uint64(Z)])
            blocks = uint64(entries[here, 2])
            while blocks:
                block = lowest_bit(blocks)
                blocks &= blocks - uint64(1)
                at = block * uint64(FLOATS)
                dy = spread(y - row_of(block)) - lane_y
                dx = spread(x - column_of(block)) - lane_x
                u = dx - s * dy
                a = least(opacity * exp_eighth(greatest(k * u * u + m * dy * dy, spread(FLOOR))), spread(A_MAX))
                t = load(planes, at)
                after = select(a >= spread(A_MIN), t - t * a, t)
                store(planes, at, after)
                for level in range(uint64(3)):
                    limit, to = spread(LEFT[level]), at + (uint64(3) * level + uint64(1)) * uint64(LANES)
                    crosses = (t > limit) & (after <= limit)
                    store(planes, to, select(crosses, z, load(planes, to)))
                    store(planes, to + uint64(LANES), select(crosses, dx, load(planes, to + uint64(LANES))))
                    store(planes, to + uint64(2 * LANES), select(crosses, dy, load(planes, to + uint64(2 * LANES))))
        write_found(planes, tile_x, tile_y, found)


@part
def write_found(planes, tile_x, tile_y, found):
    """A finished tile's planes into the picture, without what lies outside of it."""
    _, height, width = found.shape
    for row in range(tile_y * TILE, min((tile_y + 1) * TILE, height)):
        for column in range(tile_x * TILE, min((tile_x + 1) * TILE, width)):
            y, x = row % TILE, column % TILE
            at = (y // BLOCK * (TILE // BLOCK) + x // BLOCK) * FLOATS + y % BLOCK * BLOCK + x % BLOCK
            for plane in range(FOUND):
                found[plane, row, column] = planes[at + (1 + plane) * LANES]


def depths_of_light(splats: rasterizer.Splats, view: rasterizer.View) -> np.ndarray:
    """z-depths [3,H,W] in world units at which a quarter, half and three quarters of each pixel's light are taken, 0 where
    less is.

    Gaussians are taken in the order of their middles, so that on a surface seen from the side those come first whose middles
    are nearer than the pixel's own place on it. Their depth is carried to the pixel along the surface's slope, in 1 / z,
    which is linear over a plane.
    """
    (width, height), (tiles_x, tiles_y) = view.size, view.tiles
    projected = rasterizer.project(splats, view)
    lists = rasterizer.bin_into_tiles(projected, view)
    found = np.zeros((FOUND, height, width), np.float32)
    run(take_shares, tiles_x * tiles_y, tiles_x, projected.packed.reshape(-1), lists.starts, lists.entries, found)
    z, right, down = found[0::3], found[1::3], found[2::3]
    across, along = slopes(z[1])
    near = np.divide(1, z, out=np.zeros_like(z), where=z > 0)
    carried = near - (across * right + along * down)
    likely = (z > 0) & (np.abs(carried - near) < FARTHEST * near)
    return np.where(likely, np.divide(1, carried, out=np.zeros_like(z), where=likely), z).astype(np.float32)


def slopes(depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How 1 / z changes from pixel to pixel, across and down [H,W], of a depth map [H,W] that is smoothed; 0 at its steps."""
    from scipy.ndimage import gaussian_filter

    known = (depth > 0).astype(np.float32)
    near = np.divide(1, depth, out=np.zeros_like(depth), where=depth > 0)
    weight = np.maximum(gaussian_filter(known, SMOOTH), 1e-6)
    smooth = gaussian_filter(near, SMOOTH) / weight
    even = (known > 0) & (np.abs(smooth - near) < STEP * smooth) & (weight > 0.9)
    down, across = np.gradient(smooth)
    return np.where(even, across, 0), np.where(even, down, 0)
