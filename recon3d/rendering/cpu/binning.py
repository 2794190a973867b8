"""Which Gaussian reaches which 4 x 4 blocks of which tile: depth order, (Gaussian, tile) pairs, one list for each tile."""

import numpy as np

from recon3d.core.jit import kernel, part
from recon3d.rendering.constants import TILE
from recon3d.rendering.cpu.lanes import prefetch
from recon3d.rendering.cpu.layout import BLOCK, LEVEL, REACH_X, REACH_Y, RIGHT, ROW, K, M, S, X, Y
from recon3d.rendering.cpu.projection import SLACK, span

AHEAD = 8  # Gaussians: rows lie in no order of depth, so each is asked for this long before it is needed
DIGIT = 11  # bits of a radix pass: three of them hold a float, and a histogram fits the first-level cache


@kernel
def depth_order(begin, end, depths, capacity, order, first_slot, totals):
    """Visible Gaussians, nearest first and equal depths as they come, into order; where their pairs begin into first_slot.

    totals [2]: how many are visible, how many slots their pairs need. The bits of positive floats sort as integers.
    Serial: `begin` and `end` are 0 and 1.
    """
    visible = 0
    for g in range(np.uint64(capacity.size)):
        if capacity[g] > 0:
            order[visible] = g
            visible += 1
    bits = depths.view(np.uint32)
    source, target = order[:visible], np.empty(visible, np.uint32)
    keys, target_keys = np.empty(visible, np.uint32), np.empty(visible, np.uint32)
    for i in range(np.uint64(visible)):
        keys[i] = bits[source[i]]
    for shift in range(0, 3 * DIGIT, DIGIT):
        cursor = np.zeros((1 << DIGIT) + 1, np.int64)
        for i in range(np.uint64(visible)):
            cursor[((keys[i] >> shift) & ((1 << DIGIT) - 1)) + 1] += 1
        for d in range(1 << DIGIT):
            cursor[d + 1] += cursor[d]
        for i in range(np.uint64(visible)):
            d = (keys[i] >> shift) & ((1 << DIGIT) - 1)
            at = np.uint64(cursor[d])
            target[at], target_keys[at] = source[i], keys[i]
            cursor[d] += 1
        source, target = target, source
        keys, target_keys = target_keys, keys
    slots = 0
    for i in range(np.uint64(visible)):
        g = source[i]
        order[i] = g
        first_slot[g] = slots
        slots += capacity[g]
    totals[0], totals[1] = visible, slots


@part
def band(row, y0, columns):
    """Block columns [first, end) that the ellipse reaches within the four pixel rows from y0 on.

    The ellipse is convex: over the band it reaches furthest right where its own rightmost point, clamped into the band, is.
    """
    high = row[Y] - y0 - np.float32(0.5)  # dy of the band's first row of pixel centres; smallest at its last
    low = high - np.float32(BLOCK - 1)
    if low > row[REACH_Y] or high < -row[REACH_Y]:
        return 0, 0
    widest, inv_k = row[RIGHT], 1 / row[K]
    dy = min(max(widest, low), high)
    upper = row[S] * dy + np.sqrt(max(row[LEVEL] - row[M] * dy * dy, np.float32(0)) * inv_k)
    dy = min(max(-widest, low), high)
    lower = row[S] * dy - np.sqrt(max(row[LEVEL] - row[M] * dy * dy, np.float32(0)) * inv_k)
    limit = np.float32(columns * BLOCK)
    edge, slack = np.float32(0.5), np.float32(SLACK)
    first = np.int64(np.floor(min(max(row[X] - upper - edge - slack, np.float32(-1)), limit))) + 1
    last = np.int64(np.floor(min(max(row[X] - lower - edge + slack, np.float32(-1)), limit - np.float32(1))))
    if last < first:
        return 0, 0
    return first // BLOCK, last // BLOCK + 1


@part
def four_bits(first, end, column):
    """Bits of block columns [first, end) among the four from `column` on."""
    low, high = min(max(first - column, 0), BLOCK), min(max(end - column, 0), BLOCK)
    return (1 << high) - (1 << low) if high > low else 0


@kernel
def find_pairs(begin, end, chunk, order, packed, first_slot, tiles_x, tiles_y, pairs, count, histogram):
    """pairs [slots,2] (tile, mask of blocks) of the Gaussians in chunks [begin, end) of `order`, neighbours in memory.

    count [G] of pairs, which may be less than their slots; histogram [chunks, tiles].
    """
    columns = tiles_x * (TILE // BLOCK)
    for c in range(begin, end):
        for i in range(c * chunk, min((c + 1) * chunk, order.size)):
            g = np.uint64(order[np.uint64(i)])
            prefetch(packed, np.uint64(order[np.uint64(min(i + AHEAD, order.size - 1))]) * np.uint64(ROW))
            row = packed[g]
            slot = first_slot[g]
            top, bottom = span(row[Y], row[REACH_Y], tiles_y)
            for tile_y in range(top, bottom):
                y0 = np.float32(tile_y * TILE)
                first_0, end_0 = band(row, y0, columns)
                first_1, end_1 = band(row, y0 + np.float32(BLOCK), columns)
                first_2, end_2 = band(row, y0 + np.float32(2 * BLOCK), columns)
                first_3, end_3 = band(row, y0 + np.float32(3 * BLOCK), columns)
                left, right = span(row[X], row[REACH_X], tiles_x)
                for tile_x in range(left, right):
                    column = tile_x * (TILE // BLOCK)
                    mask = four_bits(first_0, end_0, column) | four_bits(first_1, end_1, column) << 4
                    mask |= four_bits(first_2, end_2, column) << 8 | four_bits(first_3, end_3, column) << 12
                    if mask:
                        tile = tile_y * tiles_x + tile_x
                        pairs[slot, 0], pairs[slot, 1] = tile, mask
                        histogram[c, tile] += 1
                        slot += 1
            count[g] = slot - first_slot[g]


@kernel
def list_starts(begin, end, histogram, starts):
    """starts [tiles + 1] of the lists; histogram becomes where each chunk's part of each list begins. Serial."""
    at = 0
    for tile in range(histogram.shape[1]):
        starts[tile] = at
        for c in range(histogram.shape[0]):
            here = histogram[c, tile]
            histogram[c, tile] = at
            at += here
    starts[histogram.shape[1]] = at


@kernel
def fill_lists(begin, end, chunk, order, first_slot, count, pairs, cursor, entries):
    """entries [E,3] (Gaussian, slot of the pair, mask of blocks), tile by tile.

    A counting sort: chunks are taken in depth order and so are the Gaussians in one, hence each list is in depth order.
    """
    for c in range(begin, end):
        for i in range(c * chunk, min((c + 1) * chunk, order.size)):
            g = np.uint64(order[np.uint64(i)])
            for slot in range(first_slot[g], first_slot[g] + count[g]):
                tile = pairs[slot, 0]
                at = cursor[c, tile]
                entries[at, 0], entries[at, 1], entries[at, 2] = g, slot, pairs[slot, 1]
                cursor[c, tile] = at + 1
