"""Splats far away from all others, which coarsen every number of a format that spans the whole scene."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

MOST_OF = 99  # percent of the splats, whose distance from the middle is the measure
FAR = 100.0  # times that distance; the backdrop of an outdoor scene ends at about 10


def outlying(means: Annotated[np.ndarray, "G 3"]) -> Annotated[np.ndarray, "G"]:
    """bool [G]: farther from the middle than 100 times what holds 99 % of the splats."""
    if not len(means):
        return np.zeros(0, bool)
    distances = np.linalg.norm(means - np.median(means, axis=0), axis=1)
    measure = float(np.percentile(distances, MOST_OF, method="lower"))
    return (distances > FAR * measure) & (measure > 0)


def outliers_told(means: Annotated[np.ndarray, "G 3"]) -> str | None:
    """A clause that names the farthest outlier, and the crop that leaves all of them out; None where there are none."""
    far = outlying(means)
    if not far.any():
        return None
    middle = np.median(means, axis=0)
    distances = np.linalg.norm(means - middle, axis=1)
    worst, reach = int(distances.argmax()), float(distances[~far].max())
    digits = max(0, 1 - math.floor(math.log10(reach)))  # two of the radius count
    ball = ",".join(f"{round(x, digits) + 0.0:.{digits}f}" for x in (*middle.tolist(), 1.1 * reach + 10.0**-digits))
    at = ", ".join(f"{x:.4g}" for x in means[worst])
    return (
        f"{int(far.sum())} of {len(means)} splats lie far away from all others, which coarsens SPZ and SOG: splat {worst} at "
        f"({at}), where the rest lies within {reach:.3g} of the middle. --crop={ball} leaves them out"
    )
