"""Scenes far from the origin (UTM, geocentric): float32 keeps half a unit at 4 650 000, so they are held about a place near.

World coordinates are local ones plus the origin, which stays in double precision.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

# Times their spread that points are away from zero before an origin is kept: float32's step is then 6e-6 of the spread, a
# hundredth of a pixel.
FAR = 100.0


def local_origin(points: Annotated[np.ndarray, "P 3"]) -> Annotated[np.ndarray, "3"]:
    """Where the zero of a frame near these points is, a round number; (0, 0, 0) where they are near zero already."""
    if not len(points):
        return np.zeros(3)
    middle = np.median(points, 0)
    spread = float(np.median(np.linalg.norm(points - middle, axis=1)))
    if spread == 0 or not np.linalg.norm(middle) > FAR * spread:
        return np.zeros(3)
    step = 10.0 ** np.floor(np.log10(spread))
    return np.round(middle / step) * step + 0.0  # no -0.0, which would be printed


def center_of(camera_from_world: Annotated[np.ndarray, "4 4"]) -> Annotated[np.ndarray, "3"]:
    """Where a camera stands in the world."""
    return -camera_from_world[:3, :3].T @ camera_from_world[:3, 3]


def moved_pose(
    camera_from_world: Annotated[np.ndarray, "... 4 4"], shift: Annotated[np.ndarray, "3"]
) -> Annotated[np.ndarray, "... 4 4"]:
    """The same cameras in a world whose points are moved by `shift`. In float64: t is of the size of the way to zero."""
    moved = np.array(camera_from_world, np.float64)
    moved[..., :3, 3] -= moved[..., :3, :3] @ np.asarray(shift, np.float64)
    return moved


def in_words(origin: Annotated[np.ndarray, "3"]) -> str:
    return "(" + ", ".join(f"{float(x):.15g}" for x in origin) + ")"
