"""What COLMAP's files hold, whichever way they are written, and the checks that both ways share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

from recon3d.core.lens import MODELS, Lens
from recon3d.errors import InputError
from recon3d.io.limits import FOCAL_LENGTHS, MAX_SIDE

# Models that recon3d does not read, by COLMAP's number, so that a message can name them.
OTHER_MODELS = {
    7: "FOV", 10: "THIN_PRISM_FISHEYE", 11: "RAD_TAN_THIN_PRISM_FISHEYE", 12: "SIMPLE_DIVISION", 13: "DIVISION",
    14: "SIMPLE_FISHEYE", 15: "FISHEYE", 16: "EUCM", 17: "EQUIRECTANGULAR",
}  # fmt: skip
MODEL_NAMES = {number: name for name, (number, _) in MODELS.items()}


@dataclass(frozen=True)
class Image:
    """A photo of the model: its pose and what it observes."""

    name: str
    camera: int
    quat: Annotated[np.ndarray, "4"]  # wxyz of camera_from_world
    translation: Annotated[np.ndarray, "3"]
    xy: Annotated[np.ndarray, "M 2"]
    points: Annotated[np.ndarray, "M"]  # numbers of points; what no point has is no observation


@dataclass(frozen=True)
class Points:
    """The points of the model, by number."""

    ids: Annotated[np.ndarray, "P"]
    xyz: Annotated[np.ndarray, "P 3"]
    rgb: Annotated[np.ndarray, "P 3"]
    errors: Annotated[np.ndarray, "P"]

    @staticmethod
    def none() -> Points:
        return Points(np.zeros(0, np.uint64), np.zeros((0, 3)), np.zeros((0, 3), np.uint8), np.zeros(0))


def unreadable(path: Path, what: str) -> InputError:
    """The one error of a model that cannot be used."""
    return InputError(path, what, "Export the model again with COLMAP")


def checked_lens(path: Path, camera: int, model: str, params: Sequence[float], height: int, width: int) -> Lens:
    """The lens of a camera; InputError where its model is not read or its numbers are impossible."""
    if model not in MODELS:
        remedy = f"Undistort the photos with COLMAP first; models that are read: {', '.join(MODELS)}"
        raise InputError(path, f"camera {camera} has the model {model}, which is not read", remedy)
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        raise unreadable(path, f"camera {camera} has a size of {width}×{height} pixels")
    if len(params) != len(MODELS[model][1]):
        raise unreadable(path, f"camera {camera} has {len(params)} parameters, {model} has {len(MODELS[model][1])}")
    lens = Lens(model, tuple(float(value) for value in params), height, width)
    possible = all(FOCAL_LENGTHS[0] <= lens.param(name) <= FOCAL_LENGTHS[1] for name in ("fx", "fy"))
    if not np.isfinite(lens.params).all() or not possible:
        raise unreadable(path, f"camera {camera} has parameters that no lens has")
    return lens


def checked_image(path: Path, image: Image) -> Image:
    """InputError where an image's pose is none."""
    length = np.linalg.norm(image.quat)
    if not image.name:
        raise unreadable(path, "an image has no name")
    if not np.isfinite(image.translation).all() or not (np.isfinite(length) and length > 1e-6):
        raise unreadable(path, f"the pose of {image.name} is made of impossible numbers")
    return image


def checked_points(path: Path, points: Points) -> Points:
    """InputError where a point lies nowhere."""
    bad = int((~np.isfinite(points.xyz).all(1)).sum())
    if bad:
        raise unreadable(path, f"{bad} of its {len(points.ids)} points are not finite")
    return points
