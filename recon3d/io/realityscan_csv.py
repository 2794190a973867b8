"""The CSV of RealityScan, once RealityCapture (Export > Registration), one camera a row under a header of names.

`x, y, alt` is the camera's centre in a world with z up; its turn is `heading, pitch, roll` (clockwise from north, from
straight down) or `omega, phi, kappa` (photogrammetry's), of a camera with x right, y up, z back. Lengths of the lens are
shares of the longest side: f for 36 mm of it, px and py from the middle; k1 to k4, t1 and t2 are Brown's. The photo's size
is not told. Source: "Camera Geometry in RealityScan", and what nerfstudio reads of these files.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Annotated

import numpy as np

from recon3d.core.known_camera import KnownCamera
from recon3d.core.lens import Lens
from recon3d.errors import InputError
from recon3d.io import json_input
from recon3d.io.json_input import REMEDY
from recon3d.io.transforms_json import OPENCV_FROM_OPENGL

ANGLES = (("heading", "pitch", "roll"), ("omega", "phi", "kappa"))
FILM = 36.0  # mm that the longest side stands for
BROWN = ("k1", "k2", "k3", "k4", "t1", "t2")
EXPORT = "Export the cameras with Internal/External camera parameters"
FULL_OPENCV = ("fx", "fy", "cx", "cy", "k1", "k2", "t1", "t2", "k3")  # as ours, which goes on with k4 to k6


def read_realityscan(path: Path | str) -> tuple[KnownCamera, ...]:
    """The cameras of the file, in its order; lenses are in shares of the longest side. InputError where it is none."""
    path = Path(path)
    rows = _rows(path)
    angles = next((names for names in ANGLES if all(name in rows[0] for name in names)), None)
    height = "alt" if "alt" in rows[0] else "z"
    if angles is None or not all(name in rows[0] for name in ("name", "x", "y", height)):
        raise InputError(path, "it lacks columns of name, x, y, alt and three angles", EXPORT)
    cameras: dict[str, KnownCamera] = {}
    for i, row in enumerate(rows, 2):
        name = str(row["name"]).strip().replace("\\", "/")
        if not name or name in cameras:
            raise InputError(path, f"line {i}: it names {name or 'nothing'}{' twice' if name else ''}", REMEDY)
        center = [_number(row, key, path, name) for key in ("x", "y", height)]
        world_from_camera = np.eye(4)
        world_from_camera[:3, :3] = _turn(angles, [_number(row, key, path, name) for key in angles])
        world_from_camera[:3, 3] = center
        pose = json_input.inverse_motion(world_from_camera @ OPENCV_FROM_OPENGL)
        cameras[name] = KnownCamera(name, None, pose, unit_lens=_lens(row, path, name) if "f" in row else None)
    return tuple(cameras.values())


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        if path.stat().st_size > json_input.MAX_BYTES:
            raise InputError(path, f"it is larger than {json_input.MAX_BYTES >> 20} MB", "Give a file of cameras")
        with open(path, encoding="utf-8-sig", errors="replace", newline="") as file:
            lines = [line for line in csv.reader(file) if line]
    except OSError as error:
        raise InputError(path, f"it cannot be read ({error.strerror})", "Give the path of a file of cameras") from error
    except csv.Error as error:
        raise InputError(path, f"it is no CSV ({str(error)[:80]})", EXPORT) from error
    if len(lines) < 2:
        raise InputError(path, "it holds no cameras", EXPORT)
    header = [name.strip().lower().lstrip("#") for name in lines[0]]
    for i, line in enumerate(lines[1:], 2):
        if len(line) != len(header):
            raise InputError(path, f"line {i} has {len(line)} values for {len(header)} columns", REMEDY)
    return [dict(zip(header, line, strict=True)) for line in lines[1:]]


def _number(row: dict[str, str], key: str, path: Path, name: str) -> float:
    try:
        value = float(row[key])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(path, f"{name}: {key} is not a finite number", REMEDY)
    return value


def _turn(names: tuple[str, str, str], angles: list[float]) -> Annotated[np.ndarray, "3 3"]:
    """World from camera, of an OpenGL camera: by the order that the names of the angles stand for."""
    first, second, third = (math.radians(angle) for angle in angles)
    if names == ANGLES[0]:
        return about("z", -first) @ about("x", second) @ about("y", third)
    return about("x", first) @ about("y", second) @ about("z", third)


def about(axis: str, angle: float) -> Annotated[np.ndarray, "3 3"]:
    """The rotation by an angle (radians, right-handed) about an axis."""
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    turn = np.eye(3)
    turn[[i, j], [i, j]] = math.cos(angle)
    turn[j, i], turn[i, j] = math.sin(angle), -math.sin(angle)
    return turn


def _lens(row: dict[str, str], path: Path, name: str) -> Lens:
    """The lens for a photo whose longest side is 1, about its middle."""
    focal = _number(row, "f", path, name) / FILM
    if not 1e-3 < focal < 1e4:
        raise InputError(path, f"{name}: its focal length is {focal * FILM:g} mm, which no lens has", REMEDY)
    values = {key: _number(row, key, path, name) if key in row else 0.0 for key in ("px", "py", *BROWN)}
    bends = [key for key in BROWN if values[key] != 0]
    if "k4" in bends or bends == ["k1"]:
        lens = "a Brown lens with k4" if "k4" in bends else "a lens with k1 alone (a division model, as far as the file tells)"
        raise InputError(path, f"{name}: {lens} is not read", "Align with the distortion model Brown3, and export again")
    if not bends:
        return Lens("PINHOLE", (focal, focal, values["px"], values["py"]), 1, 1)
    values |= {"fx": focal, "fy": focal, "cx": values["px"], "cy": values["py"]}
    return Lens("FULL_OPENCV", (*(values[key] for key in FULL_OPENCV), 0.0, 0.0, 0.0), 1, 1)
