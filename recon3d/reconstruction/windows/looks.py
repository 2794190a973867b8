"""How much views look alike, by what a network's features say of each alone; and views in an order in which neighbours do.

Each view is asked in a pass of its own: in one with others its features tell of these as well. The nearest view by
recon3d-small's features is then a neighbour of the capture for 56 to 100 % of the views of six scenes, among others for 32 to
91 % (`street`, `kitchen`, `lund`, `banana`, `beach-drone`, `fountain-P11`).
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

# Of the way from chance to the order found: as given, six captures reach 0.40 to 1.0; of 25 shuffles of the five with 16
# photos and more, one does. Of few photos (11) more do, which matters less.
AS_GIVEN = 0.25


def look(features: Annotated[Tensor, "C h w"]) -> Annotated[Tensor, "C"]:
    """A view's features as one vector: the mean over its cells."""
    return features.float().mean((1, 2)).cpu()


def resemblance(looks: Annotated[Tensor, "N C"]) -> Annotated[Tensor, "N N"]:
    """-1 to 1: products of unit vectors, beyond what all views have in common."""
    unit = torch.nn.functional.normalize(looks - looks.mean(0), dim=1)
    return unit @ unit.T


def in_order(looks: Annotated[Tensor, "N C"]) -> tuple[int, ...] | None:
    """Views so that neighbours look alike; None where as given they do already (AS_GIVEN)."""
    alike, count = resemblance(looks), len(looks)
    chance = float(alike.sum() - alike.trace()) / (count * (count - 1))
    found = path(alike)
    given, best = (float(alike[order[:-1], order[1:]].mean()) for order in (torch.arange(count), torch.tensor(found)))
    return None if given - chance >= AS_GIVEN * (best - chance) else tuple(found)


def path(alike: Annotated[Tensor, "N N"]) -> list[int]:
    """From view to the most alike that is left; of the paths from all views the one whose neighbours are most alike."""
    count = len(alike)
    here, lines = torch.arange(count), torch.arange(count)
    gone = torch.eye(count, dtype=torch.bool)
    total, steps = torch.zeros(count), [here]
    for _ in range(count - 1):
        most, here = alike[here].masked_fill(gone, -torch.inf).max(1)
        total += most
        gone[lines, here] = True
        steps.append(here)
    return torch.stack(steps, 1)[total.argmax()].tolist()
