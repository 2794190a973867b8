"""How wide splats are beside the distances of their neighbours: what tells scales from their logarithms."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from recon3d.io.bad_rows import MOST

FEWEST = 32  # splats that tell anything
# Of trained scenes: the median scale beside the distance between neighbours (0.3 where points are sparse, 1 to 5 in ours, whose
# seeds are dense), and half of what lies between the 16th and the 84th percentile of the scales' logarithms (0.5 to 1.7).
USUAL_WIDTH, USUAL_SPREAD = 0.8, 0.9
LEAST_SPREAD = 0.01  # below it splats are of one size, whose spread is rounding
MARGIN = 0.5  # how much better, as a natural logarithm, the reading that is not the format's has to fit
SAMPLED = 2048  # splats whose nearest neighbour tells that distance


def linear_scales(values: Annotated[np.ndarray, "G n"], means: Annotated[np.ndarray, "G 3"]) -> bool:
    """Whether scales stand where their logarithms should: all of 32 and more splats positive, and as logarithms far from what
    scales are beside the distances of neighbours: most often far too large, and all of one size."""
    if len(values) < FEWEST or not values.min() > 0:
        return False
    apart = distance(means)
    return misfit(values, apart) > misfit(np.log(values), apart) + MARGIN


def logarithmic(values: Annotated[np.ndarray, "G 3"], means: Annotated[np.ndarray, "G 3"]) -> bool:
    """Whether logarithms stand where scales should: negative ones say so, but for a few among scales that fit as they stand."""
    negative = (values < 0).any(1)
    if not negative.any():
        return False
    if negative.mean() > MOST or len(values) < FEWEST:
        return bool(negative.mean() > MOST)
    apart = distance(means)
    return misfit(np.log(values[~negative]), apart) > misfit(values, apart) + MARGIN


def misfit(logs: Annotated[np.ndarray, "G n"], apart: float) -> float:
    """How far the logarithms of scales are from those of a trained scene whose splats are `apart` from each other."""
    low, middle, high = (float(q) for q in np.percentile(logs, (16, 50, 84)))
    spread = max((high - low) / 2, LEAST_SPREAD)
    return abs(middle - np.log(apart * USUAL_WIDTH)) + abs(np.log(spread / USUAL_SPREAD))


def distance(means: Annotated[np.ndarray, "G 3"]) -> float:
    """The median distance of some splats from the nearest other one, above 0."""
    from scipy.spatial import KDTree  # a tenth of a second, which most files need not

    tree = KDTree(means, balanced_tree=False, compact_nodes=False)
    some = means[:: max(1, len(means) // SAMPLED)]
    return max(float(np.median(tree.query(some, 2)[0][:, 1])), 1e-300)
