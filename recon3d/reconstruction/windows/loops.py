"""Loops: views far apart in their order that look alike, and whether they truly show one place.

What looks alike is only asked; matches of the photos and a pass of the network over both ends must agree before it is believed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from recon3d.models.pictures import Answer
from recon3d.reconstruction.network_views import sampled
from recon3d.reconstruction.windows.looks import resemblance
from recon3d.sfm.settings import MIN_MATCHES

FAR = 8  # views between two that are asked, and a window at least: nearer ones are tied by those between them
ASKED = 1.0  # candidates for each window: a match of two photos costs far less than a pass
LEAST_MATCHES = MIN_MATCHES  # verified ones; of 187 pairs of photos of different scenes none has more than 9
TOLERANCE = 0.06  # of a picture's longest side, 4° of a phone's: where a match may lie from where the pass puts it
LEAST_AGREEING = 0.3  # of the matches: in a wrong place hardly any is near

# Verified matches of two views: pixels of the photo in the first, and in the second.
Matches = tuple[Annotated[Tensor, "M 2"], Annotated[Tensor, "M 2"]]
Matcher = Callable[[int, int], Matches]


@dataclass(frozen=True)
class Loop:
    """Two views that look alike, and what became of it."""

    views: tuple[int, int]
    matches: int
    agreeing: float | None  # share of the matches that a pass over both ends agrees with; None: no pass was run
    why: str | None  # why it is not closed; None: it is


def candidates(
    looks: Annotated[Tensor, "N C"], order: Sequence[int], apart: int, most: int
) -> list[tuple[int, int]]:
    """Pairs of views at least `apart` in their order, the most alike first; none within half of that of one before."""
    count, along = len(order), torch.tensor(order)
    steps = torch.arange(count)[None] - torch.arange(count)[:, None]
    alike = torch.where(steps >= apart, resemblance(looks)[along][:, along], -torch.inf)
    found, reach = [], max(apart // 2, 1)
    while len(found) < most and bool((alike > -torch.inf).any()):
        i, j = divmod(int(alike.argmax()), count)
        found.append((order[i], order[j]))
        alike[max(i - reach, 0) : i + reach + 1, max(j - reach, 0) : j + reach + 1] = -torch.inf
    return found


def both_ends(order: Sequence[int], pair: tuple[int, int], size: int) -> tuple[int, ...]:
    """A window of `size` views: half of them about each of the pair."""
    counts = (size - size // 2, size // 2)
    found: list[int] = []
    for view, count in zip(pair, counts, strict=True):
        start = min(max(order.index(view) - count // 2, 0), len(order) - count)
        found += order[start : start + count]
    return tuple(dict.fromkeys(found))


def agreement(answer: Answer, places: tuple[int, int], matches: Matches) -> float:
    """The share of matches that lie where depth and cameras of the answer put them: from each view in the other, the worse."""
    (i, j), (xy_i, xy_j) = places, matches
    return min(_agreement(answer, i, j, xy_i, xy_j), _agreement(answer, j, i, xy_j, xy_i))


def _agreement(answer: Answer, i: int, j: int, here: Annotated[Tensor, "M 2"], there: Annotated[Tensor, "M 2"]) -> float:
    known = answer.geometry
    assert known.depth is not None
    at, wanted = in_picture(answer, i, here), in_picture(answer, j, there)
    depth = sampled(known.depth[i], at[None], "nearest")[0].double()
    rays = torch.cat((at, torch.ones_like(at[:, :1])), 1) @ torch.linalg.inv(known.cameras.K[i]).T
    pixels, in_front = known.cameras[[j]].project(known.cameras.in_world(i, rays * depth[:, None]))
    near = (pixels[0] - wanted).norm(dim=1) <= TOLERANCE * max(known.cameras.size(j))
    return float((near & (in_front[0] > 0) & (depth > 0)).double().mean())


def in_picture(answer: Answer, i: int, xy: Annotated[Tensor, "M 2"]) -> Annotated[Tensor, "M 2"]:
    """Pixels of a photo in the network's picture of it."""
    network_from_photo = answer.network_from_photo[i]
    return xy.double() @ network_from_photo[:2, :2].T + network_from_photo[:2, 2]
