"""Which splats of a scene are kept: crop, opacity, floaters, a budget. In numpy: a scene is edited without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np

from recon3d.core.known_camera import KnownCamera
from recon3d.core.lens import undistorted
from recon3d.core.splats import Splats

SEEN_BY = 2  # cameras that must see a splat well: what one alone sees may stand at any depth
REACH = 3.0  # standard deviations to which a splat is taken to reach
WIDEST = 0.5  # of a picture's longer side: a splat that spans more hangs before the lens


def within_box(splats: Splats, low: Annotated[np.ndarray, "3"], high: Annotated[np.ndarray, "3"]) -> np.ndarray:
    """bool [G]: centres between two corners."""
    return np.all((splats.means >= low) & (splats.means <= high), axis=1)


def within_ball(splats: Splats, center: Annotated[np.ndarray, "3"], radius: float) -> np.ndarray:
    """bool [G]: centres within `radius` of a point."""
    return np.linalg.norm(splats.means - center, axis=1) <= radius


def seen_well(splats: Splats, cameras: Sequence[KnownCamera]) -> np.ndarray:
    """bool [G]: centre in front and in the picture of two cameras (of one where there is but one), no wider than half of it."""
    posed = [camera for camera in cameras if camera.camera_from_world is not None and camera.lens is not None]
    seen = np.zeros(len(splats), np.int64)
    reach = REACH * splats.scales.max(1)
    for camera in posed:
        assert camera.camera_from_world is not None and camera.lens is not None
        lens, pose = undistorted(camera.lens), camera.camera_from_world
        points = splats.means @ pose[:3, :3].T + pose[:3, 3]
        depth = points[:, 2]
        with np.errstate(divide="ignore", invalid="ignore"):
            pixels = (points @ lens.K.T)[:, :2] / depth[:, None]
            narrow = lens.K[0, 0] * reach / depth < WIDEST * max(lens.width, lens.height)
        inside = ((pixels >= 0) & (pixels <= (lens.width, lens.height))).all(1)
        seen += (depth > 0) & inside & narrow
    return seen >= min(SEEN_BY, len(posed))


def weightiest(splats: Splats, most: int) -> np.ndarray:
    """bool [G]: the `most` splats of the greatest opacity times area, ties by order."""
    if len(splats) <= most:
        return np.ones(len(splats), bool)
    kept = np.zeros(len(splats), bool)
    kept[splats.by_weight()[:most]] = True
    return kept
