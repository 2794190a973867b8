"""One splat file to another: read, edited, written, and checked by rendering what was written beside what was meant."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro

from recon3d.atomic import atomic_file, make_parents, refuse_existing
from recon3d.core.harmonics import C0
from recon3d.core.known_camera import KnownCamera
from recon3d.core.splats import Splats
from recon3d.errors import InputError, check_exists
from recon3d.io import json_input
from recon3d.io.cameras_json import read_cameras
from recon3d.io.splat_files import FORMATS, LEAST_OF_5_BITS, format_of, format_to_write, function, read_splats
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
    """Leave out what no camera of a run folder sees well."""
    max_gaussians: int | None = None
    """Keep at most this many, those of the greatest opacity times area."""
    transform: Path | None = None
    """A JSON file with the 4x4 matrix from the input's world to the output's (rotation, one scale, translation)."""
    scale: float = 1.0
    """Multiply all lengths by this, after the transform."""


@dataclass(frozen=True)
class Coding:
    """How files are read and written where their formats leave a choice."""

    axes: Literal["rdf", "rub"] | None = None
    """Axes of an SPZ: those of the input where it does not say them, and those to write (rub: the specification's letter)."""
    spz_version: Literal[3, 4] = 4
    """Version of a written SPZ. No version opens everywhere: 4 in PlayCanvas and Babylon, 3 in Spark."""
    spz_sh_bits: Literal[5, 8] = 8
    """Bits of the harmonics of a written SPZ: 8, or the usual 5 (4 above degree 1)."""
    opacity: Literal["mend", "as-is"] = "mend"
    """mend: opacities that a PLY holds without the logit (all within 0 to 1) are recognised; as-is keeps them as read."""


def source_of(path: Path) -> tuple[Path, tuple[KnownCamera, ...]]:
    """The splat file and the cameras of what was named: a splat file, or the folder of a run. Raises InputError."""
    check_exists(path, "Give a splat file or the folder of a run")
    if not path.is_dir():
        return path, ()
    if not (path / "scene.ply").is_file():
        raise InputError(path, "no scene.ply lies in this folder", "Give a splat file or the folder of a run")
    cameras = path / "cameras.json"
    return path / "scene.ply", read_cameras(cameras) if cameras.is_file() else ()


@dataclass(frozen=True)
class Opened:
    """A scene that was read and edited."""

    read: int  # splats in the file
    splats: Splats
    cameras: tuple[KnownCamera, ...]  # of the folder of a run, in the world of the splats


def opened(path: Path, edits: Edits, coding: Coding, progress: Progress) -> Opened:
    """Read and edit the scene at `path`; what was mended or left out is noted. Raises InputError."""
    source, cameras = source_of(path)
    file = read_splats(source, axes_to_read(source, coding), coding.opacity == "as-is")
    for note in file.notes:
        progress.note(note)
    return Opened(len(file.splats), *edited(file.splats, cameras, edits, progress))


def export(
    path: Path, out: Path, edits: Edits, coding: Coding, check: bool, overwrite: bool, progress: Progress
) -> dict[str, Any]:
    """Write the scene at `path` to `out`; returns what was done, and what the check measured. Raises InputError."""
    kind = format_to_write(out)
    refuse_existing(out, overwrite)
    scene = opened(path, edits, coding, progress)
    make_parents(out)
    with atomic_file(out) as temporary:
        report = written_and_checked(temporary, kind, scene, coding, check, progress, str(out))
    return {"input": str(path), "output": str(out), **report}


def written_and_checked(
    path: Path, kind: str, scene: Opened, coding: Coding, check: bool, progress: Progress, name: str
) -> dict[str, Any]:
    """Write a splat file and compare it with what was meant; notes speak of it by `name`."""
    splats = scene.splats
    written = write(path, kind, splats, coding, lambda text: progress.note(text.replace(str(path), name)))
    report: dict[str, Any] = {
        "format": kind, "read": scene.read, "written": len(splats), "degree": written.degree, "mode": splats.mode,
        "bytes": path.stat().st_size,
    }  # fmt: skip
    if check:
        with progress.stage("check"):
            report["check"] = compared(path, kind, splats, scene.cameras, coding)
    if splats.mode != "default" and not FORMATS[kind].keeps_mode:
        progress.note(f"{name}: {FORMATS[kind].suffix} does not say that the splats are {splats.mode}")
    return report


def axes_to_read(source: Path, coding: Coding) -> str | None:
    """`--axes` speaks of the input only where its format leaves them open."""
    return coding.axes if "axes" in FORMATS[format_of(source)].options else None


def edited(
    splats: Splats, cameras: Sequence[KnownCamera], edits: Edits, progress: Progress
) -> tuple[Splats, tuple[KnownCamera, ...]]:
    """The splats that are left, and the cameras of their new world. Raises InputError where none are left."""
    steps: list[tuple[str, Callable[[Splats], np.ndarray]]] = []
    if edits.prune is not None:
        limit = edits.prune
        steps.append((f"of less opacity than {limit:g}", lambda s: s.opacities >= limit))
    if edits.crop is not None:
        steps.append(("outside of the crop", crop(edits.crop)))
    if edits.floaters:
        if not cameras:
            raise InputError("--floaters", "a splat file alone has no cameras", "Give the folder of a run")
        steps.append(("that no camera sees well", lambda s: seen_well(s, cameras)))
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
    if edits.sh_degree is not None and edits.sh_degree < splats.degree:
        splats = splats.with_degree(edits.sh_degree)
    if edits.transform is None and edits.scale == 1.0:
        return splats, tuple(cameras)
    turn, scale, shift = similarity(edits)
    return splats.moved(turn, scale, shift), tuple(moved_camera(c, turn, scale, shift) for c in cameras)


def crop(words: str) -> Callable[[Splats], np.ndarray]:
    """The test of `--crop`, from its numbers."""
    try:
        numbers = np.array([float(word) for word in words.split(",")])
    except ValueError:
        numbers = np.zeros(0)
    if len(numbers) == 6 and np.isfinite(numbers).all():
        corners = numbers.reshape(2, 3)
        return lambda s: within_box(s, corners.min(0), corners.max(0))
    if len(numbers) == 4 and np.isfinite(numbers).all() and numbers[3] > 0:
        return lambda s: within_ball(s, numbers[:3], float(numbers[3]))
    raise InputError("--crop", f"'{words:.60}' is neither a box nor a ball", "Give X0,Y0,Z0,X1,Y1,Z1 or X,Y,Z,R")


def similarity(edits: Edits) -> tuple[np.ndarray, float, np.ndarray]:
    """Rotation, scale and translation of `--transform` and `--scale`. Raises InputError for a matrix that is no similarity."""
    if not (np.isfinite(edits.scale) and edits.scale > 0):
        raise InputError("--scale", f"{edits.scale:g} is no scale", "Give a number above 0")
    matrix = np.eye(4)
    if edits.transform is not None:
        check_exists(edits.transform, "Give a JSON file with a 4x4 matrix")
        document = json_input.read_value(edits.transform)
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


def write(path: Path, kind: str, splats: Splats, coding: Coding, note: Callable[[str], None]) -> Splats:
    """Write the file; returns the splats without the harmonics that the format cannot hold."""
    row = FORMATS[kind]
    fitting = splats.with_degree(min(splats.degree, row.degree))
    options = {}
    if kind == "spz":
        options = {
            "version": coding.spz_version,
            "sh_bits": coding.spz_sh_bits,
            "axes": written_axes(coding),
            "note": note,
        }
    function(str(row.write))(path, fitting, **options)
    return fitting


def written_axes(coding: Coding) -> str:
    return coding.axes or "rdf"


def compared(
    path: Path, kind: str, splats: Splats, cameras: Sequence[KnownCamera], coding: Coding
) -> dict[str, float | int | bool]:
    """The written file read back and rendered beside the splats in memory, from the cameras or from a ring about them.

    A format without harmonics is held against the scene without them; `psnr_of_full` tells the loss against all of it.
    """
    from recon3d.pipeline.parity import psnr_between, ring, small_cameras

    row = FORMATS[kind]
    back = read_splats(path, written_axes(coding) if "axes" in row.options else None).splats
    fitting = splats.with_degree(min(splats.degree, row.degree))
    at = small_cameras(cameras) if cameras else ring(splats)
    least = LEAST_OF_5_BITS if kind == "spz" and coding.spz_sh_bits == 5 else row.least
    found = round(psnr_between(fitting, back, at), 2)
    result: dict[str, float | int | bool] = {"psnr": found, "least": least, "ok": found >= least, "cameras": len(at)}
    if fitting.degree < splats.degree:
        result["psnr_of_full"] = round(psnr_between(splats, back, at), 2)
    return result


def info(path: Path, coding: Coding) -> dict[str, Any]:
    """What a splat file holds: format, counts, bounds, mode, size, and whether its values are sane. Raises InputError."""
    source, cameras = source_of(path)
    read = read_splats(source, axes_to_read(source, coding), coding.opacity == "as-is")
    splats = read.splats
    dense = splats.means[splats.opacities >= 0.1] if (splats.opacities >= 0.1).any() else splats.means
    low, high = np.percentile(dense, (1, 99), axis=0)
    color = np.clip(0.5 + C0 * splats.sh[:, 0], 0, 1)
    return {
        "file": str(source), "format": read.format, "bytes": source.stat().st_size, "splats": len(splats),
        "degree": splats.degree, "mode": splats.mode, "axes": read.axes,
        "low": splats.means.min(0).tolist(), "high": splats.means.max(0).tolist(),
        "low_of_98_percent": low.tolist(), "high_of_98_percent": high.tolist(),
        "median_scale": float(np.median(splats.scales)), "median_opacity": float(np.median(splats.opacities)),
        "mean_color": [round(float(c), 4) for c in color.mean(0)], "cameras": len(cameras), "notes": list(read.notes),
    }  # fmt: skip


def as_json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
