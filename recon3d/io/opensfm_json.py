"""OpenSfM's reconstruction.json (WebODM keeps one too): shots with axis-angle poses, lenses in shares of the longest side.

Axes and directions are ours: camera_from_world, x right, y down, z forward. Principal points are offsets from the middle.
Source: OpenSfM's documentation, "Geometric models".
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch

from recon3d.core.known_camera import KnownCamera
from recon3d.core.lens import Lens
from recon3d.core.rotations import rotation_from_vector
from recon3d.errors import InputError
from recon3d.io import json_input
from recon3d.io.json_input import REMEDY

# What stands in `projection_type` -> COLMAP's model, and the distortions that it may have.
MODELS = {
    "perspective": ("RADIAL", ("k1", "k2")),
    "simple_radial": ("OPENCV", ("k1",)),
    "radial": ("OPENCV", ("k1", "k2")),
    "brown": ("FULL_OPENCV", ("k1", "k2", "k3", "p1", "p2")),
    "fisheye": ("RADIAL_FISHEYE", ("k1", "k2")),
    "fisheye_opencv": ("OPENCV_FISHEYE", ("k1", "k2", "k3", "k4")),
}


def read_opensfm(path: Path | str) -> tuple[KnownCamera, ...]:
    """The shots of the file's largest reconstruction (each has a world of its own), in its order. InputError."""
    path = Path(path)
    found = json_input.read_value(path)
    parts = [part for part in found if isinstance(part, dict)] if isinstance(found, list) else []
    parts = [part for part in parts if isinstance(part.get("shots"), dict) and isinstance(part.get("cameras"), dict)]
    largest = max(parts, key=lambda part: len(part["shots"]), default={"shots": {}, "cameras": {}})
    if not largest["shots"]:
        raise InputError(path, "it holds no shots", REMEDY)
    lenses = {key: _lens(camera, path, f"camera {key:.60}") for key, camera in largest["cameras"].items()}
    cameras = []
    for name, shot in largest["shots"].items():
        if not isinstance(shot, dict) or shot.get("camera") not in lenses:
            raise InputError(path, f"{name}: its camera is not in the file", REMEDY)
        pose = np.eye(4)
        rotation = torch.from_numpy(_vector(shot, "rotation", path, name))
        pose[:3, :3] = rotation_from_vector(rotation).numpy()
        pose[:3, 3] = _vector(shot, "translation", path, name)
        cameras.append(KnownCamera(name.replace("\\", "/"), lenses[shot["camera"]], pose))
    return tuple(cameras)


def _vector(shot: Mapping[str, Any], key: str, path: Path, name: str) -> Annotated[np.ndarray, "3"]:
    given = json_input.matrix({key: [shot.get(key)]}, key, [(1, 3)], path, name)
    assert given is not None
    return given[0]


def _lens(camera: Any, path: Path, place: str) -> Lens:
    kind = camera.get("projection_type", "perspective") if isinstance(camera, dict) else None
    if kind not in MODELS:
        remedy = f"Lenses that are read: {', '.join(MODELS)}; undistort the photos first (opensfm undistort)"
        raise InputError(path, f"{place}: its projection_type {kind!r:.40} is not read", remedy)
    height, width = (json_input.side(camera, side, path, place) for side in ("height", "width"))
    if height is None or width is None:
        raise InputError(path, f"{place}: it has no width and height", REMEDY)
    model, names = MODELS[kind]
    known = {name: json_input.number(camera, name, path, place) for name in ("focal", "focal_x", "focal_y", "c_x", "c_y")}
    focal = [known["focal"] if known[name] is None else known[name] for name in ("focal_x", "focal_y")]
    if focal[0] is None or focal[1] is None:
        raise InputError(path, f"{place}: it has no focal length", REMEDY)
    bends = {name: json_input.number(camera, name, path, place) or 0.0 for name in ("k1", "k2", "k3", "k4", "p1", "p2")}
    foreign = [name for name, value in bends.items() if value != 0 and name not in names]
    if foreign:
        raise InputError(path, f"{place}: a {kind} lens with {', '.join(foreign)} is not read", REMEDY)
    longest = max(height, width)
    center = (width / 2 + longest * (known["c_x"] or 0), height / 2 + longest * (known["c_y"] or 0))
    return json_input.lens_of(
        model, (focal[0] * longest, focal[1] * longest), center, bends, (height, width), path, place
    )
