"""JSON files of cameras: reading without trust, checking what numbers, matrices and lenses they give, writing them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from recon3d.atomic import atomic_file
from recon3d.core.lens import FISHEYE, MODELS, Lens
from recon3d.errors import InputError
from recon3d.io.limits import FOCAL_LENGTHS, MAX_SIDE

MAX_BYTES = 256 << 20  # 100 000 cameras take 100 MB; parsed, a file takes about ten times its size
EXACT = 1e-12  # how far a rotation may be from orthonormal and still keep its bits: no more than double precision leaves
SINGLE = 5e-7  # likewise where the whole matrix is of single precision, whose translation has no more digits either
MENDABLE = 1e-2  # up to here it was rounded by its writer, and the nearest rotation is meant
REMEDY = "Mend the file, or write it again with the program that made it"


def read_object(path: Path) -> dict[str, Any]:
    """The object that a JSON file holds; InputError where it holds none."""
    document = read_value(path)
    if not isinstance(document, dict):
        raise InputError(path, "it holds no JSON object", REMEDY)
    return document


def read_value(path: Path) -> Any:
    """What a JSON file holds; InputError where it cannot be read."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(path, f"it is larger than {MAX_BYTES >> 20} MB", "Give a file of cameras")
        return json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(path, f"it cannot be read ({error.strerror})", "Give the path of a file of cameras") from error
    except (ValueError, RecursionError) as error:  # JSONDecodeError, UnicodeDecodeError, numbers of too many digits
        raise InputError(path, f"it is not JSON ({str(error)[:80]})", REMEDY) from error


def entries(document: Mapping[str, Any], key: str, path: Path) -> list[dict[str, Any]]:
    """The list of objects under `key`, which must not be empty."""
    found = document.get(key)
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise InputError(path, f"it has no list of objects named {key}", REMEDY)
    if not found:
        raise InputError(path, f"its list {key} is empty", "Give a file with cameras")
    return found


def text(entry: Mapping[str, Any], key: str, path: Path, place: str) -> str:
    found = entry.get(key)
    if not isinstance(found, str) or not found or "\0" in found:
        raise InputError(path, f"{place}: {key} is not a name", REMEDY)
    return found


def number(entry: Mapping[str, Any], key: str, path: Path, place: str) -> float | None:
    """A finite number, or None where the key is absent or null."""
    found = entry.get(key)
    if found is None:
        return None
    value = _finite(found)
    if value is None:
        raise InputError(path, f"{place}: {key} is not a finite number", REMEDY)
    return value


def side(entry: Mapping[str, Any], key: str, path: Path, place: str) -> int | None:
    """A side of a picture in pixels, or None where the key is absent or null."""
    value = number(entry, key, path, place)
    if value is None:
        return None
    if value != int(value) or not 1 <= value <= MAX_SIDE:
        raise InputError(path, f"{place}: {key} is {value:g}, which is no size in pixels", REMEDY)
    return int(value)


def matrix(
    entry: Mapping[str, Any], key: str, shapes: Sequence[tuple[int, int]], path: Path, place: str
) -> Annotated[np.ndarray, "rows columns"] | None:
    """A matrix of finite numbers with one of `shapes`, float64, or None where the key is absent or null."""
    found = entry.get(key)
    if found is None:
        return None
    wanted = " or ".join(f"{rows}×{columns}" for rows, columns in shapes)
    lists = isinstance(found, list) and all(isinstance(row, list) for row in found)
    if not lists or not any(len(found) == r and all(len(row) == c for row in found) for r, c in shapes):
        raise InputError(path, f"{place}: {key} is not a matrix of {wanted}", REMEDY)
    values = [[_finite(value) for value in row] for row in found]
    if any(value is None for row in values for value in row):
        raise InputError(path, f"{place}: {key} holds something that is not a finite number", REMEDY)
    return np.array(values, dtype=np.float64)


def _finite(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def rigid(given: np.ndarray, path: Path, place: str) -> Annotated[np.ndarray, "4 4"]:
    """A rigid motion given as 3×4 or 4×4, unchanged where it is one to its precision, else with the nearest rotation and the
    same translation; InputError where it is none.
    """
    motion = np.eye(4)
    motion[: len(given)] = given
    rotation = motion[:3, :3]
    with np.errstate(over="ignore", invalid="ignore"):
        off = np.abs(rotation @ rotation.T - np.eye(3)).max()
    if (motion[3] != [0, 0, 0, 1]).any():
        raise InputError(path, f"{place}: the last row of its matrix is not 0 0 0 1", REMEDY)
    if not off <= MENDABLE or np.linalg.det(rotation) < 0:
        what = "mirrors" if off <= MENDABLE else f"is not orthonormal (off by {off:.2g})"
        raise InputError(path, f"{place}: the rotation of its matrix {what}", REMEDY)
    with np.errstate(over="ignore"):
        exact = SINGLE if (motion.astype(np.float32) == motion).all() else EXACT
    if off > exact:
        u, _, vt = np.linalg.svd(rotation)
        motion[:3, :3] = u @ vt
    return motion


def rigid_about_center(given: np.ndarray, path: Path, place: str) -> Annotated[np.ndarray, "4 4"]:
    """The same of a motion into a camera: what it takes to zero, the camera's centre, is kept, not the translation.

    The translation is -R C. With the digits that a file leaves out of R (1e-6), and a C of 5 000 km (UTM), another R with
    the same translation stands metres away.
    """
    motion, rotation = rigid(given, path, place), given[:3, :3]
    if (motion[:3, :3] != rotation).any():
        with np.errstate(over="ignore", invalid="ignore"):
            motion[:3, 3] = motion[:3, :3] @ np.linalg.solve(rotation, given[:3, 3])
        if not np.isfinite(motion).all():
            raise InputError(path, f"{place}: its matrix leaves the range of numbers", REMEDY)
    return motion


def inverse_motion(motion: Annotated[np.ndarray, "4 4"]) -> Annotated[np.ndarray, "4 4"]:
    """The inverse of a rigid motion, by transposing its rotation. Of world_from_camera: `inverse_about_center` undoes it."""
    inverse = np.eye(4)
    inverse[:3, :3] = motion[:3, :3].T
    inverse[:3, 3] = -motion[:3, :3].T @ motion[:3, 3]
    return inverse


def inverse_about_center(camera_from_world: Annotated[np.ndarray, "4 4"]) -> Annotated[np.ndarray, "4 4"]:
    """world_from_camera: the rotation transposed, and the very point that goes to zero, though the rotation be exact to
    fewer digits (of single precision, or to EXACT) than the way to a far world's zero has.
    """
    inverse = np.eye(4)
    inverse[:3, :3] = camera_from_world[:3, :3].T
    inverse[:3, 3] = -np.linalg.solve(camera_from_world[:3, :3], camera_from_world[:3, 3])
    return inverse


def lens_of(
    model: str,
    focal: tuple[float, float],
    center: tuple[float, float],
    bends: Mapping[str, float],
    size: tuple[int, int],
    path: Path,
    place: str,
) -> Lens:
    """A lens from focal lengths, principal point and named distortions of a COLMAP model.

    Models with one focal length become the like model with two where the two given ones differ. No distortion at all
    (unless of a fisheye) is a pinhole. InputError where the focal lengths are impossible.
    """
    for value in focal:
        if not FOCAL_LENGTHS[0] <= value <= FOCAL_LENGTHS[1]:
            raise InputError(path, f"{place}: its focal length is {value:g} pixels, which no lens has", REMEDY)
    if model not in FISHEYE and not any(bends.values()):
        model = "PINHOLE"
    elif "f" in MODELS[model][1] and focal[0] != focal[1]:
        model = "OPENCV_FISHEYE" if model in FISHEYE else "OPENCV"
    values = {"f": focal[0], "fx": focal[0], "fy": focal[1], "cx": center[0], "cy": center[1], **bends}
    return Lens(model, tuple(float(values.get(name, 0.0)) for name in MODELS[model][1]), *size)


def write_document(path: Path | str, document: Mapping[str, Any], rows: str) -> None:
    """Write JSON with each entry of the list `rows` on a line of its own; numbers in full, so that they read back exactly.

    ASCII throughout (names escaped), because the names of files may be no valid Unicode.
    """
    lines = ",\n".join("  " + json.dumps(row, allow_nan=False) for row in document[rows])
    head = [
        f" {json.dumps(key)}: {json.dumps(value, allow_nan=False)}"
        for key, value in document.items()
        if key != rows
    ]
    body = ",\n".join([*head, f" {json.dumps(rows)}: [\n{lines}\n ]"])
    with atomic_file(path) as temporary:
        temporary.write_text("{\n" + body + "\n}\n", encoding="utf-8")
