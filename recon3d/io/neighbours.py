"""How wide splats are beside the distances of their neighbours: what tells scales from their logarithms."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from scipy.spatial import cKDTree

from recon3d.io.bad_rows import MOST

FEWEST = 32  # splats that tell anything
# Scales of trained scenes have a median of 0.2 to 0.7 of the distance between neighbours; far above it they are fog.
USUAL, TOO_WIDE = 0.4, 2.0
SAMPLED = 2048  # splats whose nearest neighbour tells that distance


def linear_scales(values: Annotated[np.ndarray, "G n"], means: Annotated[np.ndarray, "G 3"]) -> bool:
    """Whether scales stand where their logarithms should: all of 32 and more splats positive, as logarithms far too large
    beside the distances of neighbours, and a better fit as they stand."""
    if len(values) < FEWEST or not values.min() > 0:
        return False
    apart = distance(means)
    return _exp_of_median(values) > TOO_WIDE * apart and fit_as_they_stand(values, apart)


def logarithmic(values: Annotated[np.ndarray, "G 3"], means: Annotated[np.ndarray, "G 3"]) -> bool:
    """Whether logarithms stand where scales should: negative ones say so, but for a few among scales that fit as they stand."""
    negative = (values < 0).any(1)
    if not negative.any():
        return False
    return negative.mean() > MOST or (len(values) >= FEWEST and not fit_as_they_stand(values, distance(means)))


def fit_as_they_stand(values: Annotated[np.ndarray, "G n"], apart: float) -> bool:
    """Whether numbers are nearer to what scales of splats `apart` from each other usually are than their exponentials."""
    plain, as_logs = (abs(np.log(max(size, 1e-300) / USUAL / apart)) for size in (np.median(values), _exp_of_median(values)))
    return bool(plain < as_logs)


def _exp_of_median(values: np.ndarray) -> float:
    return float(np.exp(np.clip(np.median(values), -700, 700).astype(np.float64)))


def distance(means: Annotated[np.ndarray, "G 3"]) -> float:
    """The median distance of some splats from the nearest other one, above 0."""
    tree = cKDTree(means, balanced_tree=False, compact_nodes=False)
    some = means[:: max(1, len(means) // SAMPLED)]
    return max(float(np.median(tree.query(some, 2)[0][:, 1])), 1e-300)
