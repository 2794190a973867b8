"""Meshes to files: PLY and OBJ in our axes, GLB with y up, as glTF has it. Colours stand at vertices; no materials.

OBJ has no colours by its specification; six numbers at a `v` line (x y z r g b, 0 to 1) are what MeshLab, Blender, Open3D and
trimesh read. The check of an export reads files back by trimesh, not by code of ours.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recon3d.atomic import atomic_file
from recon3d.core.mesh import Mesh
from recon3d.core.origin import local_origin
from recon3d.errors import InputError
from recon3d.io import gltf
from recon3d.io.axes import HALF_TURN
from recon3d.io.point_cloud import point_rows

SUFFIXES = (".ply", ".obj", ".glb")
FACE = np.dtype([("count", "u1"), ("corners", "<i4", 3)])
ROWS = 100_000  # lines of an OBJ that are made at once


def check_suffix(path: Path) -> None:
    """InputError where the name asks for no mesh that is written here."""
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(path, f"'{path.suffix}' is no kind of mesh that is written here", "Give .obj, .ply or .glb")


def write_mesh(path: Path, mesh: Mesh) -> None:
    """Write a mesh by the suffix of `path`; positions far from zero keep double precision."""
    check_suffix(path)
    {".ply": write_ply, ".obj": write_obj, ".glb": write_glb}[path.suffix.lower()](path, mesh)


def write_ply(path: Path, mesh: Mesh) -> None:
    rows, properties = point_rows(mesh.vertices, mesh.colors)
    faces = np.empty(len(mesh.faces), FACE)
    faces["count"], faces["corners"] = 3, mesh.faces
    header = (
        f"ply\nformat binary_little_endian 1.0\nelement vertex {len(rows)}\n{properties}"
        f"element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    with atomic_file(path) as temporary, open(temporary, "wb") as file:
        file.write(header.encode("ascii"))
        file.write(rows.data)
        file.write(faces.data)


def write_obj(path: Path, mesh: Mesh) -> None:
    digits = 17 if mesh.vertices.dtype == np.float64 else 9  # as many as bring the same number back
    with atomic_file(path) as temporary, open(temporary, "w", encoding="ascii", newline="\n") as file:
        file.write("# recon3d: y down; v x y z red green blue, sRGB from 0 to 1\n")
        line = f"v %.{digits}g %.{digits}g %.{digits}g %.4f %.4f %.4f\n"
        for start in range(0, len(mesh.vertices), ROWS):
            part = slice(start, start + ROWS)
            rows = np.concatenate([mesh.vertices[part].astype(np.float64), mesh.colors[part] / 255], 1)
            file.write(line * len(rows) % tuple(rows.ravel().tolist()))
        for start in range(0, len(mesh.faces), ROWS):
            rows = mesh.faces[start : start + ROWS] + 1
            file.write("f %d %d %d\n" * len(rows) % tuple(rows.ravel().tolist()))


def write_glb(path: Path, mesh: Mesh) -> None:
    origin = local_origin(mesh.vertices) if mesh.vertices.dtype == np.float64 else np.zeros(3)
    turned = ((mesh.vertices - origin) @ HALF_TURN.T).astype("<f4")
    light = gltf.light(mesh.colors / 255) / np.float32(65535)  # as floats: trimesh takes uint16 for uint8
    attributes = {"POSITION": turned, "COLOR_0": light.astype("<f4")}
    extras = {"recon3d": {"axes": "RUB"}}
    gltf.write_triangles(path, attributes, mesh.faces.astype("<u4"), extras, HALF_TURN @ origin)


def read_by_trimesh(path: Path) -> Mesh:
    """The file as trimesh reads it: one mesh, in our axes and in the world, of float64. The colours of a GLB are light."""
    import trimesh

    found = trimesh.load_mesh(path, process=False)
    vertices = np.asarray(found.vertices, np.float64)
    if path.suffix.lower() == ".glb":
        vertices = vertices @ HALF_TURN
    colors = np.asarray(found.visual.vertex_colors, np.uint8)[:, :3]  # type: ignore[union-attr]
    return Mesh(vertices, np.asarray(found.faces, np.int32), colors)
