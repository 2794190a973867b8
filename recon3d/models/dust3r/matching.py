"""Matches between two pictures: pixels whose descriptors are each other's nearest (MASt3R, Leroy et al. 2024, section 3.3)."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

QUERIES, BLOCK = 512, 256  # products held at a time: half a megabyte, which fits a core's cache


def reciprocal_matches(
    descriptors1: Annotated[Tensor, "H W D"], descriptors2: Annotated[Tensor, "h w D"], step: int, rounds: int = 10
) -> tuple[Annotated[Tensor, "M 2"], Annotated[Tensor, "M 2"]]:
    """(column, row) in both pictures of pixels that are each other's nearest, int64; every pair once.

    Starts at every `step`-th pixel of the first picture and goes to the nearest in the second and back until nothing moves.
    """
    (height, width, _), (_, width2, _) = descriptors1.shape, descriptors2.shape
    flat1, flat2 = descriptors1.flatten(0, 1), descriptors2.flatten(0, 1)
    rows, columns = (torch.arange(step // 2, side, step, device=flat1.device) for side in (height, width))
    here = (rows[:, None] * width + columns).flatten()
    there = torch.full_like(here, -1)
    still = []
    for _ in range(rounds):
        reached = nearest(flat1[here], flat2)
        back = nearest(flat2[reached], flat1)
        stays = (reached == there) | (back == here)
        still.append(torch.stack((back, reached), 1)[stays])
        here, there = back[~stays], reached[~stays]
        if not len(here):
            break
    pixels1, pixels2 = torch.cat(still).unique(dim=0).unbind(1)
    return torch.stack((pixels1 % width, pixels1 // width), 1), torch.stack((pixels2 % width2, pixels2 // width2), 1)


def nearest(queries: Annotated[Tensor, "Q D"], descriptors: Annotated[Tensor, "P D"]) -> Annotated[Tensor, "Q"]:
    """Index of the descriptor with the largest product with each query.

    Block by block, only the largest product of each is kept, and the best block is looked through once more: the scores
    stay in the cache, and torch finds a maximum faster than where it is (6 times on a CPU, 512 queries of 196 608).
    """
    found = []
    for some in queries.split(QUERIES):
        best = torch.stack([(some @ block.T).amax(1) for block in descriptors.split(BLOCK)], 1).argmax(1)
        inside = best[:, None] * BLOCK + torch.arange(BLOCK, device=best.device)
        inside = inside.clamp_max(len(descriptors) - 1)  # the last block may be short
        again = (descriptors[inside] @ some[:, :, None])[..., 0].argmax(1)
        found.append(inside.gather(1, again[:, None])[:, 0])
    return torch.cat(found)


def matches_both_ways(
    descriptors1: Annotated[Tensor, "H W D"], descriptors2: Annotated[Tensor, "h w D"], step: int
) -> Annotated[Tensor, "M 4"]:
    """x, y in the first and x, y in the second picture of matches from grids in either, float32; pixel centres are at +0.5."""
    first, second = reciprocal_matches(descriptors1, descriptors2, step)
    back_second, back_first = reciprocal_matches(descriptors2, descriptors1, step)
    both = torch.cat((torch.cat((first, second), 1), torch.cat((back_first, back_second), 1))).unique(dim=0)
    return both.float() + 0.5
