"""What an export changes of a scene: which splats are kept, and which world they stand in. Loads no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro

from recon3d.core.known_camera import KnownCamera
from recon3d.core.outliers import outliers_told, outlying
from recon3d.core.splats import Splats
from recon3d.errors import InputError, check_exists
from recon3d.io.json_input import read_value
from recon3d.progress import Progress
from recon3d.reconstruction.editing import seen_well, weightiest, within_ball, within_box

Crop = Annotated[str | None, tyro.conf.arg(metavar="X0,Y0,Z0,X1,Y1,Z1|X,Y,Z,R")]


@dataclass(frozen=True)
class Edits:
    """What an export changes. Without any, every splat is kept as it is."""

    sh_degree: Literal[0, 1, 2, 3] | None = None
    """Leave out the harmonics above this degree."""
    prune: float | None = None
    """Leave out splats of less opacity than this, e.g. 0.02."""
    crop: Crop = None
    """Keep the splats whose centres lie in a box (two corners) or a ball (centre and radius), in the input's world."""
    floaters: bool = False
    """Leave out what no camera of a run folder sees well, and what lies far away from all else."""
    max_gaussians: int | None = None
    """Keep at most this many, those of the greatest opacity times area."""
    transform: Path | None = None
    """A JSON file with the 4x4 matrix from the input's world to the output's (rotation, one scale, translation)."""
    scale: float = 1.0
    """Multiply all lengths by this, after the transform."""


def edited(
    splats: Splats, cameras: Sequence[KnownCamera], edits: Edits, progress: Progress
) -> tuple[Splats, tuple[KnownCamera, ...]]:
    """The splats that are left, and the cameras of their new world, both about the splats' origin. Raises InputError where
    none are left.
    """
    steps: list[tuple[str, Callable[[Splats], np.ndarray]]] = []
    if edits.prune is not None:
        limit = edits.prune
        steps.append((f"of less opacity than {limit:g}", lambda s: s.opacities >= limit))
    if edits.crop is not None:
        steps.append(("outside of the crop", crop(edits.crop)))
    if edits.floaters:
        if not cameras:
            raise InputError("--floaters", "a splat file alone has no cameras", "Give the folder of a run, or --crop")
        steps.append(("that no camera sees well", lambda s: seen_well(s, cameras) & ~outlying(s.means)))
    if edits.max_gaussians is not None:
        most = edits.max_gaussians
        steps.append((f"beyond the {most} weightiest", lambda s: weightiest(s, most)))
    for what, keep in steps:
        kept = keep(splats)
        if not kept.all():
            progress.note(f"{int((~kept).sum())} of {len(splats)} splats {what} are left out")
        splats = splats[kept]
        if not len(splats):
            raise InputError(
                "export", f"no splat is left once those {what} are left out", "Ask for less to be left out"
            )
    if told := outliers_told(splats.positions):
        progress.note(told)
    if edits.sh_degree is not None and edits.sh_degree < splats.degree:
        splats = splats.with_degree(edits.sh_degree)
    if edits.transform is None and edits.scale == 1.0:
        return splats, tuple(cameras)
    turn, scale, shift = similarity(edits)
    moved = splats.moved(turn, scale, shift)
    local_shift = scale * turn @ splats.origin + shift - moved.origin
    return moved, tuple(moved_camera(c, turn, scale, local_shift) for c in cameras)


def crop(words: str) -> Callable[[Splats], np.ndarray]:
    """The test of `--crop`, from its numbers."""
    try:
        numbers = np.array([float(word) for word in words.split(",")])
    except ValueError:
        numbers = np.zeros(0)
    if len(numbers) == 6 and np.isfinite(numbers).all():
        corners = numbers.reshape(2, 3)
        return lambda s: within_box(s, corners.min(0) - s.origin, corners.max(0) - s.origin)
    if len(numbers) == 4 and np.isfinite(numbers).all() and numbers[3] > 0:
        return lambda s: within_ball(s, numbers[:3] - s.origin, float(numbers[3]))
    raise InputError("--crop", f"'{words:.60}' is neither a box nor a ball", "Give X0,Y0,Z0,X1,Y1,Z1 or X,Y,Z,R")


def similarity(edits: Edits) -> tuple[np.ndarray, float, np.ndarray]:
    """Rotation, scale and translation of `--transform` and `--scale`. Raises InputError for a matrix that is no similarity."""
    if not (np.isfinite(edits.scale) and edits.scale > 0):
        raise InputError("--scale", f"{edits.scale:g} is no scale", "Give a number above 0")
    matrix = np.eye(4)
    if edits.transform is not None:
        check_exists(edits.transform, "Give a JSON file with a 4x4 matrix")
        document = read_value(edits.transform)
        try:
            matrix = np.array(document, np.float64)
        except (ValueError, TypeError):
            matrix = np.zeros(0)
        remedy = "Give [[...], [...], [...], [0, 0, 0, 1]] of a rotation, one scale and a translation"
        if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or not np.allclose(matrix[3], (0, 0, 0, 1)):
            raise InputError(edits.transform, "it holds no 4x4 matrix with a last row of 0, 0, 0, 1", remedy)
        scale = float(np.cbrt(np.linalg.det(matrix[:3, :3])))
        if scale <= 0 or not np.allclose(matrix[:3, :3] @ matrix[:3, :3].T, scale**2 * np.eye(3), atol=1e-4 * scale**2):
            raise InputError(edits.transform, "its matrix shears, mirrors or scales by axes", remedy)
    scale = float(np.cbrt(np.linalg.det(matrix[:3, :3])))
    return matrix[:3, :3] / scale, scale * edits.scale, matrix[:3, 3] * edits.scale


def moved_camera(camera: KnownCamera, turn: np.ndarray, scale: float, shift: np.ndarray) -> KnownCamera:
    """The same camera in the world x -> scale * turn @ x + shift."""
    if camera.camera_from_world is None:
        return camera
    pose = np.eye(4)
    pose[:3, :3] = camera.camera_from_world[:3, :3] @ turn.T
    pose[:3, 3] = scale * camera.camera_from_world[:3, 3] - pose[:3, :3] @ shift
    return replace(camera, camera_from_world=pose)
