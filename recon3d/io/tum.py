"""Trajectories in the text format of the TUM RGB-D benchmark (Sturm et al. 2012): timestamp tx ty tz qx qy qz qw.

A row is world_from_camera. The camera's axes are OpenCV's, as ours. There are no lenses and no names of photos.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch

from recon3d.core.rotations import matrices_from_quats
from recon3d.core.shapes import check_shapes
from recon3d.errors import InputError
from recon3d.io.json_input import MAX_BYTES

COLUMNS = "timestamp tx ty tz qx qy qz qw"
UNIT = 1e-2  # how far a quaternion's length may be from 1: files with a few decimals are usual
REMEDY = f"Write one camera a line: {COLUMNS}"


@dataclass(frozen=True)
class Trajectory:
    """N cameras in the order of the file, whose timestamps all differ."""

    timestamps: Annotated[np.ndarray, "N"]  # float64
    camera_from_world: Annotated[np.ndarray, "N 4 4"]  # float64, OpenCV axes

    def __post_init__(self) -> None:
        check_shapes(self)


def read_trajectory(path: Path) -> Trajectory:
    """The cameras of a file. InputError where a line is not eight finite numbers, a rotation is none or a timestamp stands
    twice.
    """
    rows = np.array(_rows(path), dtype=np.float64)
    timestamps, centers, xyzw = rows[:, 0], rows[:, 1:4], rows[:, 4:]
    off = np.abs(np.linalg.norm(xyzw, axis=1) - 1)
    if off.max() > UNIT:
        what = f"the quaternion at timestamp {timestamps[off.argmax()]:.15g} has no length of 1 (off by {off.max():.2g})"
        raise InputError(path, what, REMEDY)
    if len(np.unique(timestamps)) < len(timestamps):
        values, counts = np.unique(timestamps, return_counts=True)
        raise InputError(path, f"the timestamp {values[counts > 1][0]:.15g} stands twice", "Leave one line for each photo")
    world_from_camera = matrices_from_quats(torch.from_numpy(xyzw[:, [3, 0, 1, 2]])).numpy()
    camera_from_world = np.tile(np.eye(4), (len(rows), 1, 1))
    camera_from_world[:, :3, :3] = world_from_camera.transpose(0, 2, 1)
    camera_from_world[:, :3, 3] = -np.einsum("nji,nj->ni", world_from_camera, centers)
    return Trajectory(timestamps, camera_from_world)


def _rows(path: Path) -> list[list[float]]:
    """The eight numbers of every line that is neither empty nor a comment (#)."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(path, f"it is larger than {MAX_BYTES >> 20} MB", "Give a trajectory")
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise InputError(path, f"it cannot be read ({error.strerror})", "Check its name and permissions") from error
    rows = []
    for i, line in enumerate(lines, 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        try:
            row = [float(word) for word in words]
        except ValueError:
            row = []
        if len(row) != 8 or not np.isfinite(row).all():
            raise InputError(path, f"line {i} is not eight finite numbers: {line[:60]!r}", REMEDY)
        rows.append(row)
    if not rows:
        raise InputError(path, "it holds no cameras", REMEDY)
    return rows
