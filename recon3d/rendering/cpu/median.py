"""The depths at which shares of a pixel's light are taken: where its surface is, whatever veils lie before or behind it."""

import numpy as np  # noqa: I001 - lists of names are kept in rows
from numba import float32, uint64

from recon3d.core.jit import kernel, run
from recon3d.rendering.constants import ALPHA_MAX, ALPHA_MIN, TILE
from recon3d.rendering.cpu import rasterizer
from recon3d.rendering.cpu.compositing import EIGHTH, FLOOR, column_of, exp_eighth, place, row_of
from recon3d.rendering.cpu.lanes import greatest, least, load, lowest_bit, prefetch, select, spread, store
from recon3d.rendering.cpu.layout import (
    BLOCK_FLOATS, BLOCKS, LANE_X, LANE_Y, LANES, OPACITY, ROW, TILE_FLOATS, K, M, S, X, Y, Z,
)  # fmt: skip

A_MIN, A_MAX = float32(ALPHA_MIN), float32(ALPHA_MAX)
LEFT = np.array([0.75, 0.5, 0.25], np.float32)  # of the light, at the three depths
AHEAD = 8  # entries: a Gaussian's row is asked for this long before it is needed


@kernel
def take_shares(begin, end, tiles_x, packed, starts, entries, depths):
    """depths [3,H,W]: z of the Gaussian at which a pixel's transmittance falls to each of LEFT, 0 where it never does.

    A tile's planes hold its transmittance, then the three depths. Unlike `composite`, no pixel stops early: only the first
    three quarters of its light count.
    """
    lane_x, lane_y = load(LANE_X, uint64(0)), load(LANE_Y, uint64(0))
    planes = np.empty(TILE_FLOATS, np.float32)
    _, height, width = depths.shape
    for tile in range(begin, end):
        tile_x, tile_y = tile % tiles_x, tile // tiles_x
        for block in range(uint64(BLOCKS)):
            store(planes, block * uint64(BLOCK_FLOATS), spread(float32(1)))
            for level in range(uint64(1), uint64(4)):
                store(planes, block * uint64(BLOCK_FLOATS) + level * uint64(LANES), spread(float32(0)))
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
                at = block * uint64(BLOCK_FLOATS)
                dy = spread(y - row_of(block)) - lane_y
                u = spread(x - column_of(block)) - lane_x - s * dy
                a = least(opacity * exp_eighth(greatest(k * u * u + m * dy * dy, spread(FLOOR))), spread(A_MAX))
                t = load(planes, at)
                after = select(a >= spread(A_MIN), t - t * a, t)
                store(planes, at, after)
                for level in range(uint64(3)):
                    limit, to = spread(LEFT[level]), at + (level + uint64(1)) * uint64(LANES)
                    crosses = (t > limit) & (after <= limit)
                    store(planes, to, select(crosses, z, load(planes, to)))
        for row in range(uint64(tile_y * TILE), uint64(min((tile_y + 1) * TILE, height))):
            for column in range(uint64(tile_x * TILE), uint64(min((tile_x + 1) * TILE, width))):
                for level in range(uint64(3)):
                    depths[level, row, column] = planes[place(column, row) + (level + uint64(1)) * uint64(LANES)]


def depths_of_light(splats: rasterizer.Splats, view: rasterizer.View) -> np.ndarray:
    """z-depths [3,H,W] in world units at which a quarter, half and three quarters of each pixel's light are taken, 0 where
    less is.
    """
    (width, height), (tiles_x, tiles_y) = view.size, view.tiles
    projected = rasterizer.project(splats, view)
    lists = rasterizer.bin_into_tiles(projected, view)
    depths = np.zeros((3, height, width), np.float32)
    run(take_shares, tiles_x * tiles_y, tiles_x, projected.packed.reshape(-1), lists.starts, lists.entries, depths)
    return depths
