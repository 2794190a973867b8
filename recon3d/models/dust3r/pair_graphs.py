"""Which pictures of a scene are seen together: pairs for a network of two."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated

import torch
from torch import Tensor

from recon3d.errors import InputError

GRAPHS = "complete, swin-K, logwin-K, oneref-R (-noncyclic after the windows: ends are not joined)"
FILTERS = "seqD or cycD"
WINDOW = 3  # of swin and logwin where no number is given


def pairs_of(
    count: int, graph: str = "complete", prefilter: str | None = None, symmetrize: bool = True
) -> Annotated[Tensor, "E 2"]:
    """Ordered pairs (i, j) of `count` pictures, int64. Raises InputError for names that are none.

    "complete": all. "swin-K": each picture with the K after it. "logwin-K": with those 1, 2, 4 ... 2^(K-1) before and after.
    "oneref-R": picture R with all others. `symmetrize` appends (j, i) for every (i, j). `prefilter` "seqD" keeps pairs at
    most D apart, "cycD" the same where the last picture comes before the first.
    """
    found = list(_one_way(count, graph))
    if symmetrize:
        found += [(j, i) for i, j in found]
    if prefilter is not None:
        found = _near(found, prefilter)
    return torch.tensor(found, dtype=torch.int64).reshape(-1, 2)


def _one_way(count: int, graph: str) -> Iterable[tuple[int, int]]:
    parts = re.fullmatch(r"(complete|oneref(?:-(\d{1,9}))?|(swin|logwin)(?:-(\d{1,2}))?(-noncyclic)?)", graph)
    if parts is None:
        raise InputError(graph, "this is no pair graph", f"Give {GRAPHS}")
    if graph == "complete":
        return [(i, j) for i in range(count) for j in range(i)]
    if parts[3] is None:
        reference = int(parts[2] or 0)
        if reference >= count:
            raise InputError(graph, f"there is no picture {reference}", f"The last one is {count - 1}")
        return [(reference, j) for j in range(count) if j != reference]
    window = int(parts[4] or WINDOW)
    ahead = [k + 1 for k in range(window)] if parts[3] == "swin" else [2**k for k in range(window)]
    offsets = ahead if parts[3] == "swin" else [sign * k for k in ahead for sign in (1, -1)]
    neighbours = {(i, i + k) for i in range(count) for k in offsets}
    if parts[5]:
        neighbours = {(i, j) for i, j in neighbours if 0 <= j < count}
    ordered = {(min(i, j % count), max(i, j % count)) for i, j in neighbours}
    return sorted((i, j) for i, j in ordered if i != j)


def _near(pairs: list[tuple[int, int]], prefilter: str) -> list[tuple[int, int]]:
    parts = re.fullmatch(r"(seq|cyc)(\d{1,9})", prefilter)
    if parts is None:
        raise InputError(prefilter, "this is no filter of pairs", f"Give {FILTERS}")
    most, count = int(parts[2]), 1 + max((max(pair) for pair in pairs), default=0)
    around = (0, count, -count) if parts[1] == "cyc" else (0,)
    return [(i, j) for i, j in pairs if min(abs(i - j + turn) for turn in around) <= most]
