"""What SOG's bytes point at: codebooks of numbers, a palette of harmonics, and the order of the splats. Nothing of files here.

All of it is deterministic: the same values give the same entries.
"""

from __future__ import annotations

import heapq
from typing import Annotated

import numpy as np

ENTRIES = 256  # of a codebook: an index is a byte
MOST_ROUNDS = 300  # of Lloyd's; they take less time than sorting
BLOCK = 2048  # rows clustered together at most; more cost time and, begun at random, gain nothing (measured to 4096)
PALETTE_ROUNDS = 8  # of Lloyd's; 4 leave 2 % more error
SAMPLE, POWER_ROUNDS = 2048, 12  # rows that tell the direction in which a block is widest, and rounds to find it


def codebook(values: Annotated[np.ndarray, "n"]) -> Annotated[np.ndarray, "256"]:
    """256 ascending numbers (float64) that stand for `values` with little squared error; exact for up to 256 distinct.

    Source: Lloyd, "Least squares quantization in PCM", 1982.
    """
    ordered = np.sort(np.asarray(values, np.float64).ravel())
    distinct = np.unique(ordered)
    if len(distinct) <= ENTRIES:
        return np.concatenate([distinct, np.full(ENTRIES - len(distinct), distinct[-1])])
    entries = _first_entries(ordered)
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    for _ in range(MOST_ROUNDS):
        bounds = np.concatenate([[0], np.searchsorted(ordered, (entries[1:] + entries[:-1]) / 2), [len(ordered)]])
        counts = np.diff(bounds)
        means = np.diff(sums[bounds]) / np.maximum(counts, 1)
        # An entry that nothing is nearest to stays; sums of many values round, so order is kept by hand.
        moved = np.maximum.accumulate(np.where(counts > 0, means, entries))
        if np.array_equal(moved, entries):
            break
        entries = moved
    return entries


def _first_entries(ordered: Annotated[np.ndarray, "n"]) -> Annotated[np.ndarray, "256"]:
    """Means of cells that were cut in two at their mean, the one of the largest squared error first.

    In the best codebook all cells have about the same error; and unlike any histogram this finds far and lone values.
    """
    apart = ordered - ordered.mean()
    sums, squares = (np.concatenate([[0.0], np.cumsum(powers)]) for powers in (apart, apart * apart))

    def cell(start: int, end: int) -> tuple[float, int, int]:
        if ordered[start] == ordered[end - 1]:
            return 0.0, start, end
        return (sums[end] - sums[start]) ** 2 / (end - start) - (squares[end] - squares[start]), start, end

    cells = [cell(0, len(ordered))]  # a heap by the negative of the error
    while len(cells) < ENTRIES:
        _, start, end = cells[0]
        part = ordered[start:end]
        cut = min(np.searchsorted(part, part.mean()), np.searchsorted(part, part[-1]))
        cut = start + max(int(cut), 1)
        heapq.heapreplace(cells, cell(start, cut))
        heapq.heappush(cells, cell(cut, end))
    return np.sort([ordered[start:end].mean() for _, start, end in cells])


def nearest(entries: Annotated[np.ndarray, "256"], values: np.ndarray) -> np.ndarray:
    """The index (uint8) of the entry nearest to each value; `entries` ascend."""
    return np.searchsorted((entries[1:] + entries[:-1]) / 2, values).astype(np.uint8)


def log_cells(
    means: Annotated[np.ndarray, "G 3"],
) -> tuple[Annotated[np.ndarray, "G 3"], Annotated[np.ndarray, "3"], Annotated[np.ndarray, "3"]]:
    """sign(x) ln(1 + |x|) in 65536 steps between its ends, so that what is far leaves room for what is near; and the ends."""
    means = means.astype(np.float64)
    means = np.sign(means) * np.log1p(np.abs(means))
    lows, highs = means.min(0), means.max(0)
    return np.rint((means - lows) / np.where(highs > lows, highs - lows, 1) * 65535).astype(np.uint16), lows, highs


def morton_order(cells: Annotated[np.ndarray, "G 3"]) -> Annotated[np.ndarray, "G"]:
    """The order of cells (integers below 2^16 each) along a Z-curve: neighbours in space become neighbours in the file."""
    code = np.zeros(len(cells), np.uint64)
    for axis in range(3):
        bits = cells[:, axis].astype(np.uint64)
        for shift, mask in SPREAD:
            bits = (bits | bits << np.uint64(shift)) & np.uint64(mask)
        code |= bits << np.uint64(axis)
    return np.argsort(code, kind="stable")


# Moving 16 bits apart so that two zeros lie between any two of them.
SPREAD = ((32, 0xFFFF00000000FFFF), (16, 0x00FF0000FF0000FF), (8, 0xF00F00F00F00F00F), (4, 0x30C30C30C30C30C3),
          (2, 0x9249249249249249))  # fmt: skip


def palette_size(count: int) -> int:
    """Entries of the palette for `count` splats: the largest power of two that is no more, at most 65536."""
    return min(1 << (count.bit_length() - 1), 1 << 16)


def palette(
    rows: Annotated[np.ndarray, "G D"], size: int
) -> tuple[Annotated[np.ndarray, "E D"], Annotated[np.ndarray, "G"]]:
    """At most `size` rows (float32) that stand for `rows` with little squared error, and which of them each row takes.

    Exact where no more than `size` rows are distinct. Else the distinct ones are halved into blocks of alike ones, and
    each block is clustered by Lloyd's algorithm: the work grows with the rows, not with rows times entries.
    """
    distinct, weights, which = _distinct(np.ascontiguousarray(rows, np.float32))
    if len(distinct) <= size:
        return distinct, which
    # At least 8 entries for a block, so that there are enough for all blocks of very many rows.
    blocks = _halved(distinct, np.arange(len(distinct)), max(BLOCK, 16 * len(distinct) // size))
    labels = np.empty(len(distinct), np.int64)
    entries = np.empty((0, rows.shape[1]), np.float32)
    for block, share in zip(blocks, _shares(distinct, weights, blocks, size), strict=True):
        centers, index = _clustered(distinct[block], weights[block], share)
        labels[block] = index + len(entries)
        entries = np.concatenate([entries, centers])
    return entries, labels[which]


def _distinct(
    rows: Annotated[np.ndarray, "G D"],
) -> tuple[Annotated[np.ndarray, "U D"], Annotated[np.ndarray, "U"], Annotated[np.ndarray, "G"]]:
    """Distinct rows, how often each occurs, and which of them every row is."""
    rows = rows + np.float32(0)  # one zero, not two of opposite sign
    # Sorting one hash a row takes a hundredth of the time of sorting rows.
    factors = np.random.default_rng(0).integers(1 << 63, size=rows.shape[1], dtype=np.uint64) | np.uint64(1)
    hashes = np.zeros(len(rows), np.uint64)
    for column, factor in enumerate(factors):
        hashes ^= (rows[:, column].view(np.uint32).astype(np.uint64) + factor) * factor
        hashes *= np.uint64(0x9E3779B97F4A7C15)
    _, first, which, counts = np.unique(hashes, return_index=True, return_inverse=True, return_counts=True)
    distinct = rows[first]
    if not all(np.array_equal(distinct[which[s : s + 65536]], rows[s : s + 65536]) for s in range(0, len(rows), 65536)):
        return rows, np.ones(len(rows)), np.arange(len(rows))  # two rows of one hash: all are kept apart
    return distinct, counts.astype(np.float64), which


def _halved(
    rows: Annotated[np.ndarray, "U D"], index: Annotated[np.ndarray, "n"], most: int
) -> list[Annotated[np.ndarray, "n"]]:
    """Indices of blocks of at most `most` rows: each is cut at the median of the direction in which it is widest."""
    if len(index) <= most:
        return [index]
    widest = _widest(rows[index[:: max(1, len(index) // SAMPLE)]])
    middle = len(index) // 2
    along = np.einsum("gd,d->g", rows[index], widest)
    order = np.argpartition(along, middle)
    return _halved(rows, index[order[:middle]], most) + _halved(rows, index[order[middle:]], most)


def _widest(rows: Annotated[np.ndarray, "n D"]) -> Annotated[np.ndarray, "D"]:
    """About the direction in which the rows spread most, by power iteration.

    All sums are einsum's: in an order that no number of threads changes, and no thread to wait for on so few rows.
    """
    apart = rows - rows.mean(0)
    direction = apart[np.einsum("nd,nd->n", apart, apart).argmax()]
    for _ in range(POWER_ROUNDS):
        direction = np.einsum("nd,n->d", apart, np.einsum("nd,d->n", apart, direction))
        direction = direction / max(float(np.abs(direction).max()), np.finfo(np.float32).tiny)
    return direction


def _shares(
    rows: Annotated[np.ndarray, "U D"], weights: Annotated[np.ndarray, "U"], blocks: list[np.ndarray], size: int
) -> list[int]:
    """How many of `size` entries each block gets: at least one, no more than it has rows.

    In D dimensions k entries leave an error of about spread * k^(-2/D): least in sum where k goes as spread^(D/(D+2)).
    """
    power = rows.shape[1] / (rows.shape[1] + 2)
    most = np.array([len(block) for block in blocks])
    wish = np.empty(len(blocks))
    for i, block in enumerate(blocks):
        part = rows[block].astype(np.float64)
        part -= np.average(part, axis=0, weights=weights[block])
        wish[i] = np.sum(weights[block] * np.square(part).sum(1)) ** power
    wish = np.maximum(wish, max(wish.max() * 1e-9, 1e-300))
    low, high = 0.0, size / wish.min()
    for _ in range(100):
        middle = (low + high) / 2
        if np.clip(np.floor(middle * wish), 1, most).sum() > size:
            high = middle
        else:
            low = middle
    return np.clip(np.floor(low * wish), 1, most).astype(int).tolist()


def _clustered(
    rows: Annotated[np.ndarray, "n D"], weights: Annotated[np.ndarray, "n"], count: int
) -> tuple[Annotated[np.ndarray, "count D"], Annotated[np.ndarray, "n"]]:
    """`count` means of the rows nearest to each of them, and which of them each row takes (Lloyd 1982)."""
    if count == len(rows):
        return rows, np.arange(count)
    middle = rows.mean(0)
    rows = rows - middle  # float32 tells small distances near zero only
    centers = rows[np.random.default_rng(0).permutation(len(rows))[:count]]
    index = np.zeros(len(rows), np.int64)
    for _ in range(PALETTE_ROUNDS):
        # |row - center|^2 without |row|^2, which is the same for all centers
        index = (np.square(centers).sum(1) - 2 * (rows @ centers.T)).argmin(1)
        held = np.bincount(index, weights, count)
        sums = np.stack([np.bincount(index, weights * column, count) for column in rows.T], 1)
        filled = held > 0
        centers[filled] = sums[filled] / held[filled, None]
    return centers + middle, index
