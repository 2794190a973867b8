"""Blending front to back, and its gradient: every tile by itself, sixteen pixels at a time.

Both directions walk a tile's list from the nearest Gaussian on, and for each only through the blocks that it reaches.
"""

import numpy as np  # noqa: I001 - lists of names are kept in rows
from numba import float32, uint64

from recon3d.core.jit import kernel, part
from recon3d.rendering.constants import ALPHA_MAX, ALPHA_MIN, TILE, TRANSMITTANCE_MIN
from recon3d.rendering.cpu.lanes import (
    any_of, greatest, least, load, lowest_bit, magnitude, prefetch, select, spread, store, total_each,
)  # fmt: skip
from recon3d.rendering.cpu.layout import (
    BLOCK, BLOCK_FLOATS, BLOCKS, BLUE, GREEN, LANE_X, LANE_Y, LANES, OPACITY, RED, ROW, TILE_FLOATS, K, M, S, X, Y, Z,
)  # fmt: skip

A_MIN, A_MAX, T_MIN = float32(ALPHA_MIN), float32(ALPHA_MAX), float32(TRANSMITTANCE_MIN)
ZERO, ONE = float32(0), float32(1)
P1, P2, P3, P4, P5 = (uint64(i * LANES) for i in range(1, 6))
STATE_FLOATS = 6 * LANES  # of a block on the way back
AHEAD = 8  # entries: a Gaussian's row is asked for this long before it is needed
REST = 32  # entries between two looks at whether every pixel of the tile has stopped
# exp(-sigma) = p(-sigma / 8)^8, to 2e-6: p is the polynomial of degree 5 with the least relative error on [-0.7, 0].
EIGHTH = float32(-0.125)
FLOOR = float32(-0.7)  # sigma 5.6, where alpha is below ALPHA_MIN for any opacity
E0, E1, E2, E3, E4, E5 = (
    float32(v) for v in (0.9999999205, 0.9999925393, 0.4998825873, 0.1659739754, 0.03977256177, 0.005846760175)
)


@part
def exp_eighth(x):
    """exp(8 x) for -0.7 <= x <= 0, branch-free."""
    p = spread(E4) + x * spread(E5)
    p = spread(E3) + x * p
    p = spread(E2) + x * p
    p = spread(E1) + x * p
    p = spread(E0) + x * p
    p = p * p
    p = p * p
    return p * p


@part
def column_of(block):
    return float32((block & uint64(3)) * uint64(BLOCK))


@part
def row_of(block):
    return float32((block >> uint64(2)) * uint64(BLOCK))


@part
def clear(planes, start):
    """No colour, no depth, full transmittance in each block of a tile."""
    for block in range(uint64(BLOCKS)):
        at = start + block * uint64(BLOCK_FLOATS)
        for lane in range(uint64(P4)):
            planes[at + lane] = ZERO
        for lane in range(uint64(LANES)):
            planes[at + P4 + lane] = ONE


@part
def all_stopped(planes, start):
    alive = spread(ZERO)
    for block in range(uint64(BLOCKS)):
        alive = greatest(alive, load(planes, start + block * uint64(BLOCK_FLOATS) + P4))
    return any_of(alive > spread(ZERO)) == 0


@part
def write_pixels(planes, start, tile_x, tile_y, rgb, depth, alpha):
    """A finished tile's planes into the pictures, without what lies outside of them."""
    height, width = depth.shape
    for y in range(uint64(tile_y * TILE), uint64(min((tile_y + 1) * TILE, height))):
        for x in range(uint64(tile_x * TILE), uint64(min((tile_x + 1) * TILE, width))):
            at = start + place(x, y)
            rgb[0, y, x], rgb[1, y, x], rgb[2, y, x] = planes[at], planes[at + P1], planes[at + P2]
            depth[y, x] = planes[at + P3]
            alpha[y, x] = ONE - abs(planes[at + P4])


@part
def place(x, y):
    """Offset of a pixel's lane in its tile's planes."""
    block = (y & uint64(15)) >> uint64(2) << uint64(2) | (x & uint64(15)) >> uint64(2)
    lane = (y & uint64(3)) << uint64(2) | x & uint64(3)
    return block * uint64(BLOCK_FLOATS) + lane


@kernel
def composite(begin, end, tiles_x, packed, starts, entries, planes, visited, rgb, depth, alpha):
    """Fill planes [tiles, 16 blocks, 5, 16] and the pictures; packed and planes are flat.

    visited [tiles]: where in the list every pixel had stopped. The masks of blocks in entries [E,3] are cut down to the
    blocks in which some pixel took colour: the way back visits no others.
    """
    lane_x, lane_y = load(LANE_X, uint64(0)), load(LANE_Y, uint64(0))
    for tile in range(begin, end):
        tile_x, tile_y = tile % tiles_x, tile // tiles_x
        start = uint64(tile) * uint64(TILE_FLOATS)
        clear(planes, start)
        e, last = starts[tile], starts[tile + 1]
        while e < last:
            here = uint64(e)
            prefetch(packed, uint64(entries[min(e + AHEAD, last - 1), 0]) * uint64(ROW))
            r = uint64(entries[here, 0]) * uint64(ROW)
            x, y = packed[r + uint64(X)] - float32(tile_x * TILE), packed[r + uint64(Y)] - float32(tile_y * TILE)
            k, m = spread(float32(0.5) * EIGHTH * packed[r + uint64(K)]), spread(float32(0.5) * EIGHTH * packed[r + uint64(M)])
            s, opacity = spread(packed[r + uint64(S)]), spread(packed[r + uint64(OPACITY)])
            red, green = spread(packed[r + uint64(RED)]), spread(packed[r + uint64(GREEN)])
            blue, z = spread(packed[r + uint64(BLUE)]), spread(packed[r + uint64(Z)])
            blocks, hits = uint64(entries[here, 2]), uint64(0)
            while blocks:
                block = lowest_bit(blocks)
                blocks &= blocks - uint64(1)
                at = start + block * uint64(BLOCK_FLOATS)
                dy = spread(y - row_of(block)) - lane_y
                u = spread(x - column_of(block)) - lane_x - s * dy
                a = least(opacity * exp_eighth(greatest(k * u * u + m * dy * dy, spread(FLOOR))), spread(A_MAX))
                t = load(planes, at + P4)
                after = t - t * a
                seen = a >= spread(A_MIN)
                drawn = seen & (after > spread(T_MIN))
                w = select(drawn, t * a, spread(ZERO))
                store(planes, at, load(planes, at) + w * red)
                store(planes, at + P1, load(planes, at + P1) + w * green)
                store(planes, at + P2, load(planes, at + P2) + w * blue)
                store(planes, at + P3, load(planes, at + P3) + w * z)
                # A stopped pixel keeps minus its transmittance: nothing drawn from there on is above T_MIN.
                stopped = select(seen, spread(ZERO) - magnitude(t), t)
                store(planes, at + P4, select(drawn, after, stopped))
                hits |= any_of(drawn) << block
            entries[here, 2] = hits
            e += 1
            if e % REST == 0 and all_stopped(planes, start):
                break
        visited[tile] = e
        write_pixels(planes, start, tile_x, tile_y, rgb, depth, alpha)


@part
def read_gradients(planes, start, tile_x, tile_y, g_rgb, g_depth, g_alpha, state):
    """state [16 blocks, 6, 16] for the way back: gradients of r, g, b and depth, what is left to come, transmittance.

    What is left to come at the first Gaussian is all of sum_j w_j q_j + T_end g_T, q = color . g_rgb + z g_depth and
    g_T = -g_alpha: known from the planes.
    """
    height, width = g_depth.shape
    for i in range(uint64(BLOCKS * STATE_FLOATS)):
        state[i] = ZERO
    for y in range(uint64(tile_y * TILE), uint64(min((tile_y + 1) * TILE, height))):
        for x in range(uint64(tile_x * TILE), uint64(min((tile_x + 1) * TILE, width))):
            lane = place(x, y)
            at, to = start + lane, lane + lane // uint64(BLOCK_FLOATS) * uint64(LANES)
            red, green, blue, depth = g_rgb[0, y, x], g_rgb[1, y, x], g_rgb[2, y, x], g_depth[y, x]
            state[to], state[to + P1], state[to + P2], state[to + P3] = red, green, blue, depth
            left = planes[at] * red + planes[at + P1] * green + planes[at + P2] * blue + planes[at + P3] * depth
            state[to + P4] = left - abs(planes[at + P4]) * g_alpha[y, x]
            state[to + P5] = ONE


@kernel
def composite_backward(begin, end, tiles_x, packed, starts, entries, planes, visited, g_rgb, g_depth, g_alpha, sums):
    """sums [slots,16], flat: a row for each (Gaussian, tile) pair, zeros where nothing was drawn; columns of `layout`.

    With S_i what is left to come behind Gaussian i, dL/dalpha_i = T_i q_i - S_i / (1 - alpha_i): S loses w_i q_i at each
    step, so that front to back needs one number for each pixel and no list. It cancels to about 1e-7 of the total,
    times at most 1 / (1 - ALPHA_MAX).
    """
    lane_x, lane_y = load(LANE_X, uint64(0)), load(LANE_Y, uint64(0))
    state = np.empty(BLOCKS * STATE_FLOATS, np.float32)
    zero, one = spread(ZERO), spread(ONE)
    for tile in range(begin, end):
        tile_x, tile_y = tile % tiles_x, tile // tiles_x
        read_gradients(planes, uint64(tile) * uint64(TILE_FLOATS), tile_x, tile_y, g_rgb, g_depth, g_alpha, state)
        last = visited[tile]
        for e in range(starts[tile], last):
            here = uint64(e)
            prefetch(packed, uint64(entries[min(e + AHEAD, last - 1), 0]) * uint64(ROW))
            prefetch(sums, uint64(entries[min(e + AHEAD, last - 1), 1]) * uint64(ROW))
            r = uint64(entries[here, 0]) * uint64(ROW)
            x, y = packed[r + uint64(X)] - float32(tile_x * TILE), packed[r + uint64(Y)] - float32(tile_y * TILE)
            k, m = spread(float32(0.5) * EIGHTH * packed[r + uint64(K)]), spread(float32(0.5) * EIGHTH * packed[r + uint64(M)])
            s, opacity = spread(packed[r + uint64(S)]), spread(packed[r + uint64(OPACITY)])
            red, green = spread(packed[r + uint64(RED)]), spread(packed[r + uint64(GREEN)])
            blue, z = spread(packed[r + uint64(BLUE)]), spread(packed[r + uint64(Z)])
            v_sum = u_sum = y_sum = uu_sum = uy_sum = yy_sum = zero
            red_sum = green_sum = blue_sum = z_sum = zero
            blocks = uint64(entries[here, 2])
            while blocks:
                block = lowest_bit(blocks)
                blocks &= blocks - uint64(1)
                at = block * uint64(STATE_FLOATS)
                dy = spread(y - row_of(block)) - lane_y
                u = spread(x - column_of(block)) - lane_x - s * dy
                raw = opacity * exp_eighth(greatest(k * u * u + m * dy * dy, spread(FLOOR)))
                a = least(raw, spread(A_MAX))
                t = load(state, at + P5)
                after = t - t * a
                seen = a >= spread(A_MIN)
                drawn = seen & (after > spread(T_MIN))
                store(state, at + P5, select(drawn, after, select(seen, zero - magnitude(t), t)))
                a = select(drawn, a, zero)
                w = t * a
                g_red, g_green, g_blue, g_z = load(state, at), load(state, at + P1), load(state, at + P2), load(state, at + P3)
                q = red * g_red + green * g_green + blue * g_blue + z * g_z
                left = load(state, at + P4) - w * q
                store(state, at + P4, left)
                v = select(raw <= spread(A_MAX), a * (left / (one - a)) - w * q, zero)  # dL / dsigma
                vu, vy = v * u, v * dy
                v_sum, u_sum, y_sum = v_sum + v, u_sum + vu, y_sum + vy
                uu_sum, uy_sum, yy_sum = uu_sum + vu * u, uy_sum + vu * dy, yy_sum + vy * dy
                red_sum, green_sum = red_sum + w * g_red, green_sum + w * g_green
                blue_sum, z_sum = blue_sum + w * g_blue, z_sum + w * g_z
            row = uint64(entries[here, 1]) * uint64(ROW)
            # In the order of SUM_U ... SUM_Z.
            columns = (u_sum, y_sum, uu_sum, uy_sum, yy_sum, v_sum, red_sum, green_sum, blue_sum, z_sum)
            store(sums, row, total_each(columns))
        for e in range(last, starts[tile + 1]):
            store(sums, uint64(entries[uint64(e), 1]) * uint64(ROW), zero)
