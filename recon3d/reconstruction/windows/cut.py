"""Which views go through a network together, and which window each view's answer is taken from."""

from __future__ import annotations

from collections.abc import Sequence

SHARE = 0.25  # of a window, that the next one sees again
LEAST_OVERLAP = 2  # views: one tells a similarity, the second whether it is true


def default_overlap(size: int) -> int:
    """Views that neighbouring windows of `size` views share; fewer than they have."""
    return min(max(LEAST_OVERLAP, round(SHARE * size)), size - 1)


def windows(order: Sequence[int], size: int, overlap: int) -> list[tuple[int, ...]]:
    """Views in their order, `size` at a time; neighbours share `overlap` of them, the last ones more, for it is full too."""
    if not 0 < overlap < size:
        raise ValueError(f"windows of {size} views cannot share {overlap}")
    last = max(len(order) - size, 0)
    starts = [*range(0, last, size - overlap), last]
    return [tuple(order[start : start + size]) for start in starts]


def homes(cut: Sequence[tuple[int, ...]]) -> dict[int, int]:
    """For each view the window in which it stands furthest from an end that others go on from; of equals the first."""
    found: dict[int, tuple[int, int]] = {}
    for number, views in enumerate(cut):
        for place, view in enumerate(views):
            before = place if number else len(views)  # nothing comes before the first window, nothing after the last
            after = len(views) - 1 - place if number < len(cut) - 1 else len(views)
            if view not in found or min(before, after) > found[view][0]:
                found[view] = (min(before, after), number)
    return {view: number for view, (_, number) in found.items()}
