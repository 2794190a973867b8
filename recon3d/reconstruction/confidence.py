"""Which pixels of depth maps are believed: by their share of the scene's, so that no scale of confidence empties a scene."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor

from recon3d.core.geometry import Geometry

ASKED = 1_000_000  # pixels whose confidence tells what most have


def least_confidence(geometry: Geometry, views: Sequence[int], share: float) -> float:
    """The confidence that all but a `share` of the known pixels of these views reach; infinity where none is known.

    A confidence of 0 is no confidence at all (masked, sky), and counts as unknown.
    """
    assert geometry.depth is not None and geometry.confidence is not None
    pixels = sum(geometry.depth[i].numel() for i in views)
    every = max(1, pixels // ASKED)
    found = [torch.zeros(0)]
    for i in views:
        of_view = geometry.confidence[i].flatten()[::every]
        found.append(of_view[(geometry.depth[i].flatten()[::every] > 0) & (of_view > 0)].float())
    known = torch.cat(found)
    if not len(known):
        return math.inf
    return float(known.kthvalue(min(int(share * len(known)), len(known) - 1) + 1).values)


def believed(geometry: Geometry, i: int, least: float) -> Annotated[Tensor, "H W"]:
    """bool: pixels of view i with a depth, and a confidence above 0 that is `least` or more."""
    assert geometry.depth is not None and geometry.confidence is not None
    confidence = geometry.confidence[i].float()
    return (geometry.depth[i] > 0) & (confidence > 0) & (confidence >= least)
