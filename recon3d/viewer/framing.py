"""Which part of a scene is its subject: what the first view is framed on, and how far back one may step from it."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from recon3d.viewer.messages import FrameMessage

OUTLIERS = 0.5  # percent left out at each end of a range
NEIGHBOURS = (
    24  # more than the few into which a large splat of the backdrop was split, which lie as close as any surface's
)
SPARSE = 4.0  # times the spacing of the densest quarter, from which points are backdrop or floaters
GAP = 1.5  # a shell from some radius to so many times it that is nearly empty parts what is within from what is behind
NEARLY_EMPTY = 0.01  # of the points within the shell, where only those of surfaces are counted
LITTLE = 0.05  # of them, where floaters are counted too
BACKDROP = 0.02  # of all points lie at least beyond the gap where there is a backdrop
BITS = 20  # of a coordinate in a Morton code; three fit into 64


def framed(points: Annotated[np.ndarray, "P 3"]) -> FrameMessage:
    """The dense part of some points (the centres of opaque splats), within a box, and what lies behind it."""
    if not len(points):
        low, high = (-1.0, -1.0, -1.0), (1.0, 1.0, 1.0)
        return FrameMessage((0.0, 0.0, 0.0), 1.0, low, high, low, high, None)
    subject = dense(points)
    low, high = np.percentile(points[subject], [OUTLIERS, 100 - OUTLIERS], axis=0)
    center, radius = (low + high) / 2, float(np.linalg.norm(high - low)) / 2 or 1.0
    low, high = np.minimum(low, center - 1e-3 * radius), np.maximum(high, center + 1e-3 * radius)
    least, most = np.percentile(points, [OUTLIERS, 100 - OUTLIERS], axis=0)
    return FrameMessage(
        center=_triple(center),
        radius=radius,
        low=_triple(low),
        high=_triple(high),
        least=_triple(np.minimum(low, least)),
        most=_triple(np.maximum(high, most)),
        reach=reach(np.linalg.norm(points - center, axis=1)),
    )


def dense(points: Annotated[np.ndarray, "P 3"]) -> Annotated[np.ndarray, "P"]:
    """Which points lie as close together as a surface's, and within the first gap around their middle."""
    apart = spacing(points)
    close = apart <= SPARSE * np.percentile(apart, 25)
    away = np.linalg.norm(points - np.median(points[close], 0), axis=1)
    return close & (away <= end_of_subject(np.sort(away[close]), NEARLY_EMPTY))


def reach(away: Annotated[np.ndarray, "P"]) -> float | None:
    """From which distance on a backdrop begins; None where nothing stands apart."""
    behind = away[away > GAP * end_of_subject(np.sort(away), LITTLE)]
    return float(np.percentile(behind, 5)) if len(behind) > BACKDROP * len(away) else None


def end_of_subject(away: Annotated[np.ndarray, "P"], empty: float) -> float:
    """The least of some ascending distances, half of all at least, beyond which there is a gap."""
    within = np.arange(1, len(away) + 1)
    beyond = np.searchsorted(away, GAP * away, side="right") - within
    ends = np.flatnonzero((beyond <= empty * within) & (2 * within >= len(away)))
    return float(away[ends[0]])


def spacing(points: Annotated[np.ndarray, "P 3"]) -> Annotated[np.ndarray, "P"]:
    """About the distance to the NEIGHBOURS-th neighbour, at most: neighbours are looked for along a Morton curve.

    Exact neighbours need a tree (scipy), which takes longer to import than this takes for 100 000 points.
    """
    order = np.argsort(morton(points))
    along = points[order]
    apart = np.full((2 * NEIGHBOURS, len(points)), np.inf)
    for step in range(1, min(NEIGHBOURS, len(points) - 1) + 1):
        distance = np.linalg.norm(along[step:] - along[:-step], axis=1)
        apart[2 * step - 2, step:] = apart[2 * step - 1, :-step] = distance
    least = min(NEIGHBOURS, len(points) - 1)
    found = np.empty(len(points))
    found[order] = np.partition(apart, max(0, least - 1), axis=0)[max(0, least - 1)] if least else 0.0
    return found


def morton(points: Annotated[np.ndarray, "P 3"]) -> Annotated[np.ndarray, "P"]:
    """A number for each point, close for points that are close: the bits of its coordinates in turn (Morton 1966)."""
    low, high = np.percentile(points, [OUTLIERS, 100 - OUTLIERS], axis=0)
    part = np.clip((points - low) / max(float((high - low).max()), 1e-300), 0, 1)
    cells = (part * ((1 << BITS) - 1)).astype(np.uint64)
    code = np.zeros(len(points), np.uint64)
    for bit in range(BITS):
        for axis in range(3):
            code |= ((cells[:, axis] >> np.uint64(bit)) & np.uint64(1)) << np.uint64(3 * bit + axis)
    return code


def _triple(values: np.ndarray) -> tuple[float, float, float]:
    x, y, z = values.tolist()
    return x, y, z
