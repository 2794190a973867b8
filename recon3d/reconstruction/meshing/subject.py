"""The box that a mesh is made in: what views see near by, without the backdrop that stands far behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np

from recon3d.core.origin import center_of
from recon3d.reconstruction.meshing.seen import SeenView

SAMPLE = 4000  # pixels of each view that are looked at
CLEAR = 0.1  # of its depth: the light of a pixel that is looked at is taken within this
GAP = 1.5  # a shell from some distance to so many times it that is nearly empty parts what is near from what is behind
NEARLY_EMPTY = 0.02  # of the points within the shell
FEWEST = 0.2  # of all points lie within the shell
BEHIND = 0.01  # of all points lie beyond it where there is something behind
OUTLIERS = 1.0  # percent of the points left out at each end of each axis
MARGIN = 0.02  # of the longest side, on each side


def subject_box(views: Sequence[SeenView]) -> tuple[Annotated[np.ndarray, "3"], Annotated[np.ndarray, "3"]] | None:
    """Two corners in the world, float64; None where no view sees a surface."""
    rng = np.random.default_rng(0)
    found = []
    for view in views:
        points = view.sharp(CLEAR * view.depth).points()
        found.append(points[rng.permutation(len(points))[:SAMPLE]])
    points = np.concatenate(found)
    if len(points) < 2:
        return None
    center = np.mean([center_of(view.camera_from_world) for view in views], 0)
    away = np.linalg.norm(points - center, axis=1)
    near = points[away <= end_of_the_near(np.sort(away))]
    low, high = np.percentile(near, (OUTLIERS, 100 - OUTLIERS), axis=0)
    margin = MARGIN * (high - low).max()
    return (low - margin, high + margin) if margin > 0 else None


def end_of_the_near(away: Annotated[np.ndarray, "P"]) -> float:
    """Of ascending distances from the cameras' middle the one beyond which the emptiest shell begins; the last one of all
    where no shell is nearly empty.
    """
    count = len(away)
    within = np.arange(1, count + 1)
    beyond = np.searchsorted(away, GAP * away, side="right")
    share = (beyond - within) / within
    candidates = np.flatnonzero((within >= FEWEST * count) & (count - beyond >= BEHIND * count) & (share <= NEARLY_EMPTY))
    return float(away[candidates[share[candidates].argmin()]] if len(candidates) else away[-1])
