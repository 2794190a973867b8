"""Points with colours, for programs that know no splats: PLY and GLB, written and read back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np

from recon3d.atomic import atomic_file
from recon3d.core.harmonics import C0
from recon3d.core.origin import local_origin
from recon3d.core.splats import Splats
from recon3d.errors import InputError
from recon3d.io import gltf, ply_table
from recon3d.io.axes import HALF_TURN

ROW = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("red", "u1"), ("green", "u1"), ("blue", "u1")])
FAR_ROW = np.dtype([(name, "<f8" if name in "xyz" else "u1") for name in ROW.names or ()])
WORDS = {"<f4": "float", "<f8": "double", "|u1": "uchar"}
Points = Annotated[np.ndarray, "P 3"]  # float32, or float64 far from zero; in our world
Colors = Annotated[np.ndarray, "P 3"]  # uint8, as a display shows them


def points_of(splats: Splats) -> tuple[Points, Colors]:
    """The centres of splats and their mean colours."""
    shown = np.clip(0.5 + C0 * splats.sh[:, 0].astype(np.float64), 0, 1)
    return splats.positions if splats.origin.any() else splats.means, np.rint(shown * 255).astype(np.uint8)


def check_suffix(path: Path) -> None:
    """InputError where the name asks for no point cloud that is written here."""
    if path.suffix.lower() not in (".ply", ".glb"):
        raise InputError(path, f"'{path.suffix}' is no kind of point cloud that is written here", "Give .ply or .glb")


def write_points(path: Path | str, points: Points, colors: Colors) -> None:
    """Write a `.ply` (in our axes) or a `.glb` (y up, as glTF has it), by the suffix. InputError where it is another one,
    or where there are no points.
    """
    path = Path(path)
    check_suffix(path)
    if not len(points):
        raise InputError(path, "there are no points to write", "Give a scene with splats")
    if path.suffix.lower() == ".glb":
        origin = local_origin(points) if points.dtype == np.float64 else np.zeros(3)
        turned = ((points - origin) @ HALF_TURN.T).astype("<f4")
        opaque = np.full((len(points), 1), 65535, "<u2")  # three uint16 would not start at multiples of four bytes
        attributes = {"POSITION": turned, "COLOR_0": np.concatenate([gltf.light(colors / 255), opaque], 1)}
        gltf.write_points(path, attributes, {}, {"recon3d": {"axes": "RUB"}}, HALF_TURN @ origin)
    else:
        _write_ply(path, points, colors)


def point_rows(points: Points, colors: Colors) -> tuple[np.ndarray, str]:
    """The rows of a PLY's vertices, and the lines of its header that name their columns."""
    rows = np.empty(len(points), ROW if points.dtype == np.float32 else FAR_ROW)
    for i, name in enumerate("xyz"):
        rows[name] = points[:, i]
    for i, name in enumerate(("red", "green", "blue")):
        rows[name] = colors[:, i]
    return rows, "".join(f"property {WORDS[rows.dtype[name].str]} {name}\n" for name in ROW.names or ())


def _write_ply(path: Path, points: Points, colors: Colors) -> None:
    rows, properties = point_rows(points, colors)
    header = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(rows)}\n{properties}end_header\n"
    with atomic_file(path) as temporary, open(temporary, "wb") as file:
        file.write(header.encode("ascii"))
        file.write(rows.data)


def read_points(path: Path | str) -> tuple[Points, Colors]:
    """Points and colours of a file as `write_points` writes it. InputError where it is none, or is cut off."""
    path = Path(path)
    if path.suffix.lower() == ".glb":
        document = gltf.read_document(path)
        with gltf.lawful(path):
            ((primitive, matrix),) = gltf.placed_primitives(document)
            points = gltf.values(document, primitive["attributes"]["POSITION"], "VEC3", gltf.FLOATS)
            light = gltf.values(document, primitive["attributes"]["COLOR_0"], "VEC4", gltf.UNSIGNED)
        shown = gltf.srgb_from_linear(light[:, :3])
        shift = matrix[:3, 3]
        placed = points.astype(np.float64) + shift if shift.any() else points.astype(np.float32)
        return (placed @ HALF_TURN.astype(placed.dtype)), np.rint(shown * 255).astype(np.uint8)
    with open(path, "rb") as file:
        header = ply_table.read_header(file, path)
        element = header.element("vertex")
        if element is None or not set(ROW.names or ()) <= set(element.names):
            raise InputError(path, "it holds no points with colours", "Give a PLY of points")
        parts = list(ply_table.rows(file, path, header, element))
    rows = np.concatenate(parts)
    return (
        np.stack([rows[name] for name in "xyz"], 1).astype(np.float64 if element.kind("x") == "f8" else np.float32),
        np.stack([rows[name] for name in ("red", "green", "blue")], 1).astype(np.uint8),
    )


def read_positions(path: Path | str) -> Points:
    """The points of a PLY of any writer, with colours or without: a mesh gives its vertices. InputError where it is none,
    is cut off, or where a point is not finite.
    """
    path = Path(path)
    with ply_table.opened(path) as file:
        header = ply_table.read_header(file, path)
        element = header.element("vertex")
        if element is None or not set("xyz") <= set(element.names) or element.count == 0:
            raise InputError(path, "it holds no points", "Give a PLY of points")
        parts = [np.stack([rows[n] for n in "xyz"], 1) for rows in ply_table.rows(file, path, header, element)]
    with np.errstate(over="ignore"):
        points = np.concatenate(parts).astype(np.float64 if element.kind("x") == "f8" else np.float32)
    bad = int((~np.isfinite(points)).any(1).sum())
    if bad:
        raise InputError(path, f"{bad} of its {len(points)} points are not finite", "Leave them out of the file")
    return points
