"""A scene to a mesh: what its cameras see, fused to a surface, written, read back and held against the splats."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import tyro

from recon3d.atomic import atomic_file, make_parents, refuse_existing
from recon3d.core.mesh import Mesh
from recon3d.errors import InputError
from recon3d.io.mesh_files import check_suffix, read_by_trimesh, write_mesh
from recon3d.pipeline.edits import Edits
from recon3d.pipeline.export import Coding, Opened, opened
from recon3d.progress import Progress

if TYPE_CHECKING:
    from recon3d.core.cameras import Cameras
    from recon3d.reconstruction.meshing.seen import SeenView
    from recon3d.reconstruction.meshing.surface import Made

LEAST, MOST = 16, 1024  # of --mesh-resolution
MOST_COARSE = 128  # of it with --collision, whose lattice is not in blocks
RESOLUTION = 256
FINE_ENOUGH = 128  # for a collision mesh of a few thousand triangles
MOST_VIEWS = 200  # more see nothing new, and each takes some megabytes
SMALLEST, LARGEST = 512, 2000  # pixels of the longest side of what is drawn to be fused: two a voxel, within these
NEEDED = ("skimage", "trimesh")


@dataclass(frozen=True)
class Meshing:
    """What is asked of a mesh."""

    mesh: bool = False
    """Write a mesh with colours (.ply or .glb; a name ending in .obj is one without this flag)."""
    mesh_resolution: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Voxels along the longest side of what the mesh is made in, 16 to 1024; without it 256. Details below one are lost."""
    collision: bool = False
    """Write a closed, coarse mesh of at most 6000 triangles, for physics; with --mesh-resolution (16 to 128) of as many as
    that takes.
    """
    cameras: Path | None = None
    """Cameras that look at a splat file, for a mesh of it: cameras.json, transforms.json or a COLMAP model."""

    @property
    def fused(self) -> int:
        """Voxels along the longest side of the volume: of a collision mesh it is the finer one that the skin is laid about."""
        if self.collision:
            return max(FINE_ENOUGH, 2 * (self.mesh_resolution or 0))
        return self.mesh_resolution or RESOLUTION

    def asked(self, out: Path) -> bool:
        return self.mesh or self.collision or out.suffix.lower() == ".obj"

    def check(self, out: Path) -> None:
        """Raise InputError for what cannot be, or cannot be here."""
        given = self.mesh_resolution
        most = MOST_COARSE if self.collision else MOST
        if given is not None and not LEAST <= given <= most:
            raise InputError("--mesh-resolution", f"{given} is not from {LEAST} to {most}", "Give a number in between")
        if not self.asked(out):
            for flag, value in (("--mesh-resolution", given), ("--cameras", self.cameras)):
                if value is not None:
                    raise InputError(flag, f"{out} is no mesh", "Add --mesh, or give a name ending in .obj")
            return
        check_suffix(out)
        missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
        if missing:
            what = f"a mesh needs {' and '.join(missing)}, not installed here"
            raise InputError("recon3d export", what, "pip install 'recon3d-toolkit[mesh]'")


def export_mesh(
    path: Path, out: Path, edits: Edits, coding: Coding, meshing: Meshing, check: bool, overwrite: bool, progress: Progress
) -> dict[str, Any]:
    """Write a mesh of the scene at `path` to `out`; returns what was done and what the check measured. Raises InputError."""
    from recon3d.reconstruction.meshing.collision import closed_about
    from recon3d.reconstruction.meshing.subject import subject_box
    from recon3d.reconstruction.meshing.surface import surface

    meshing.check(out)
    refuse_existing(out, overwrite)
    scene = opened(path, edits, coding, progress, meshing.cameras)
    resolution = meshing.fused
    cameras = cameras_of(path, scene, resolution)
    with progress.stage("depth"):
        views = seen(scene, cameras, progress)
        box = subject_box(views)
    if box is None:
        raise InputError(path, "its cameras see no surface of its splats", "Give the cameras that look at these splats")
    with progress.stage("mesh"):
        made = surface(views, *box, resolution)
        if not len(made.mesh.faces):
            what = "no two of its cameras agree on a surface"
            raise InputError(path, what, "Give a scene that is refined, or more cameras")
        mesh, voxel = made.mesh, made.box.voxel
        if meshing.collision:
            mesh, voxel = closed_about(mesh, meshing.mesh_resolution)
    placed = replace(mesh, vertices=in_world(mesh.vertices, scene.splats.origin))
    make_parents(out)
    with atomic_file(out) as temporary:
        write_mesh(temporary, placed)
        report: dict[str, Any] = {
            "input": str(path), "output": str(out), "format": f"mesh in {out.suffix.lower()[1:]}", "read": scene.read,
            "splats": len(scene.splats), "views": len(views), "voxel": voxel, "islands": made.islands,
            "vertices": len(mesh.vertices), "faces": len(mesh.faces), "closed": mesh.closed(),
            "bytes": temporary.stat().st_size,
        }  # fmt: skip
        if check:
            with progress.stage("check"):
                report["check"] = read_back(temporary, placed) | against_splats(mesh, made, 2 * voxel)
    return report


def cameras_of(path: Path, scene: Opened, resolution: int) -> Cameras:
    """The scene's cameras, at most MOST_VIEWS evenly spread, for pictures of two pixels a voxel. InputError without any."""
    from recon3d.pipeline.parity import pinholes
    from recon3d.reconstruction.meshing.seen import fitted

    posed = [camera for camera in scene.cameras if camera.camera_from_world is not None and camera.lens is not None]
    if not posed:
        what = f"{path} has no cameras, and a mesh is made of what cameras see"
        raise InputError("--cameras", what, "Give the folder of a run, or name a cameras.json")
    chosen = sorted({round(x) for x in np.linspace(0, len(posed) - 1, min(len(posed), MOST_VIEWS)).tolist()})
    return fitted(pinholes([posed[i] for i in chosen]), min(max(2 * resolution, SMALLEST), LARGEST))


def seen(scene: Opened, cameras: Cameras, progress: Progress) -> list[SeenView]:
    from recon3d.core.gaussians import Gaussians
    from recon3d.reconstruction.meshing.seen import seen_by

    gaussians = Gaussians.of(scene.splats)
    views = []
    for i in range(len(cameras)):
        views.append(seen_by(gaussians, cameras, i))
        progress.advance(i + 1, len(cameras), "views")
    return views


def in_world(vertices: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """float32 about zero; float64 where the scene stands far from it."""
    return vertices + origin if origin.any() else vertices.astype(np.float32)


def read_back(path: Path, mesh: Mesh) -> dict[str, Any]:
    """What trimesh reads of the file, against what was written."""
    found = read_by_trimesh(path)
    same = len(found.vertices) == len(mesh.vertices) and len(found.faces) == len(mesh.faces)
    size = float(np.ptp(mesh.vertices, 0).max())
    moved = float(np.abs(found.vertices - mesh.vertices).max()) / size if same else None
    return {"read_vertices": len(found.vertices), "read_faces": len(found.faces), "moved": moved,
            "ok": same and moved is not None and moved < 1e-6}  # fmt: skip


def against_splats(mesh: Mesh, made: Made, near: float) -> dict[str, Any]:
    """The mesh's depth beside the splats' in the pictures that it was made of, where these show a surface within the box:
    the share of such pixels at which both differ by `near` at most, and the median difference, in world units.
    """
    from recon3d.rendering.cpu.triangles import draw_triangles

    off = []
    for view in made.views:
        depth, _ = draw_triangles(mesh.vertices, mesh.faces, view.camera_from_world, view.lens, view.depth.shape)
        inside = made.box.holds(view.points())
        splats, drawn = view.depth[view.depth > 0][inside], depth[view.depth > 0][inside]
        off.append(np.where(drawn > 0, np.abs(drawn - splats), np.inf))
    apart = np.concatenate(off)
    both = apart[np.isfinite(apart)]
    return {
        "cameras": len(made.views), "covered": round(float(np.isfinite(apart).mean()), 4),
        "within_two_voxels": round(float((apart <= near).mean()), 4),
        "median_depth_difference": float(np.median(both)) if len(both) else None,
    }  # fmt: skip
