"""One splat file to another: read, edited, written, and checked by rendering what was written beside what was meant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from recon3d.atomic import atomic_file, make_parents, refuse_existing
from recon3d.core.known_camera import KnownCamera
from recon3d.core.origin import in_words
from recon3d.core.splats import Splats
from recon3d.errors import InputError, check_exists
from recon3d.io.cameras_json import read_cameras
from recon3d.io.point_cloud import check_suffix, points_of, read_points, write_points
from recon3d.io.splat_files import (
    FORMATS,
    LEAST_OF_5_BITS,
    SplatFile,
    file_in,
    format_to_write,
    function,
    read_splats,
)
from recon3d.pipeline.edits import Edits, edited
from recon3d.progress import Progress

REMEDY = "Give a splat file or the folder of a run"


@dataclass(frozen=True)
class Coding:
    """How files are read and written where their formats leave a choice."""

    axes: Literal["rdf", "rub", "luf", "rfu"] | None = None
    """Axes of an input that does not say them: y down (rdf), y up (rub, luf) or z up (rfu)."""
    spz_axes: Literal["rdf", "rub"] = "rdf"
    """Axes of a written SPZ: ours, which version 4 says, or rub, the letter of the specification."""
    spz_version: Literal[3, 4] = 4
    """Version of a written SPZ. No version opens everywhere: 4 in PlayCanvas and Babylon, 3 in Spark."""
    spz_sh_bits: Literal[5, 8] = 8
    """Bits of the harmonics of a written SPZ: 8, or the usual 5 (4 above degree 1)."""
    opacity: Literal["mend", "as-is"] = "mend"
    """mend: opacities that a PLY holds without the logit (all within 0 to 1) are recognised; as-is keeps them as read."""
    scales: Literal["mend", "as-is"] = "mend"
    """mend: scales that a PLY holds without the logarithm (as such they are fog) are recognised; as-is keeps them as read."""

    def check(self, out: Path) -> None:
        """Raise InputError for what is asked of an SPZ where `out` is none."""
        if out.suffix.lower() == ".spz":
            return
        usual = Coding()
        for flag in ("spz_axes", "spz_version", "spz_sh_bits"):
            if getattr(self, flag) != getattr(usual, flag):
                raise InputError(f"--{flag.replace('_', '-')}", f"{out} is no SPZ", "Leave it out, or give a name ending in .spz")

    def read(self, path: Path) -> SplatFile:
        """The splats at `path`. Raises InputError."""
        return read_splats(path, self.axes, self.opacity == "as-is", self.scales == "as-is")


def splat_file(path: Path) -> Path:
    """The splat file that was named, itself or by the folder of its run. Raises InputError where nothing lies there."""
    check_exists(path, REMEDY)
    if not path.is_dir():
        return path
    found = file_in(path)
    if found is None:
        raise InputError(path, "neither scene.ply nor a SOG's meta.json lies in this folder", REMEDY)
    return found


def cameras_beside(path: Path) -> tuple[KnownCamera, ...]:
    """The cameras of the folder of a run; none of a splat file, nor of a folder that lacks them. Raises InputError."""
    cameras = path / "cameras.json"
    return read_cameras(cameras) if path.is_dir() and cameras.is_file() else ()


@dataclass(frozen=True)
class Opened:
    """A scene that was read and edited."""

    read: int  # splats in the file
    splats: Splats
    cameras: tuple[KnownCamera, ...]  # of the folder of a run, about the origin of the splats


def opened(path: Path, edits: Edits, coding: Coding, progress: Progress, cameras_at: Path | None = None) -> Opened:
    """Read and edit the scene at `path`, with its own cameras or those of the file `cameras_at`; what was mended or left
    out is noted. Raises InputError.
    """
    from recon3d.io.given_cameras import read_given

    file = coding.read(splat_file(path))
    cameras = cameras_beside(path) if cameras_at is None else read_given(cameras_at)
    for note in file.notes:
        progress.note(note)
    local = [camera.moved(-file.splats.origin) for camera in cameras]
    return Opened(len(file.splats), *edited(file.splats, local, edits, progress))


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


def export_points(
    path: Path, out: Path, edits: Edits, coding: Coding, check: bool, overwrite: bool, progress: Progress
) -> dict[str, Any]:
    """Write the centres and colours of the scene at `path` as a point cloud; the check reads it back. Raises InputError."""
    check_suffix(out)
    refuse_existing(out, overwrite)
    scene = opened(path, edits, coding, progress)
    points, colors = points_of(scene.splats)
    make_parents(out)
    with atomic_file(out) as temporary:
        write_points(temporary, points, colors)
        report: dict[str, Any] = {
            "input": str(path), "output": str(out), "format": f"points in {out.suffix.lower()[1:]}", "read": scene.read,
            "written": len(points), "bytes": temporary.stat().st_size,
        }  # fmt: skip
        if check:
            read = read_points(temporary)
            moved = float(np.abs(read[0] - points).max())
            least = np.finfo(np.float32).eps * np.ptp(points, 0).max() if points.dtype == np.float64 else 0.0
            report["check"] = {"moved": moved, "ok": moved <= least and bool((read[1] == colors).all())}
    return report


def written_and_checked(
    path: Path, kind: str, scene: Opened, coding: Coding, check: bool, progress: Progress, name: str
) -> dict[str, Any]:
    """Write a splat file and compare it with what was meant; notes speak of it by `name`."""
    splats = scene.splats
    try:
        written = write(path, kind, splats, coding, lambda text: progress.note(text.replace(str(path), name)))
    except InputError as error:
        raise InputError(error.where.replace(str(path), name), error.what, error.remedy) from error
    report: dict[str, Any] = {
        "format": kind, "read": scene.read, "written": len(splats), "degree": written.degree, "mode": splats.mode,
        "bytes": path.stat().st_size,
    }  # fmt: skip
    if check:
        with progress.stage("check"):
            found = report["check"] = compared(path, kind, splats, scene.cameras, coding)
        if not found["ok"]:
            progress.note(
                f"{name}: {found['psnr']:.1f} dB against the scene in memory, less than the {found['least']:g} dB that "
                f"{FORMATS[kind].suffix} keeps of real scenes"
            )
    if splats.origin.any() and holds_origin(kind, coding):
        progress.note(f"{name}: its splats stand about the origin {in_words(splats.origin)}, told by {FORMATS[kind].origin}")
    elif splats.origin.any():
        off, place = np.linalg.norm(splats.origin), in_words(splats.origin)
        progress.note(f"{name}: it has no place for the origin {place}: its positions are off by {off:.4g} units")
        report["off_by"] = float(off)
    if splats.mode not in FORMATS[kind].modes:
        progress.note(f"{name}: {FORMATS[kind].suffix} does not say that the splats are {splats.mode}")
    return report


def holds_origin(kind: str, coding: Coding) -> bool:
    return FORMATS[kind].origin is not None and not (kind == "spz" and coding.spz_version == 3)  # which has no records


def write(path: Path, kind: str, splats: Splats, coding: Coding, note: Callable[[str], None] | None) -> Splats:
    """Write the file; returns the splats without the harmonics that the format cannot hold."""
    row = FORMATS[kind]
    fitting = splats.with_degree(min(splats.degree, row.degree))
    options = {}
    if kind == "spz":
        options = {
            "version": coding.spz_version,
            "sh_bits": coding.spz_sh_bits,
            "axes": coding.spz_axes,
            "note": note,
        }
    function(str(row.write))(path, fitting, **options)
    return fitting


def compared(
    path: Path, kind: str, splats: Splats, cameras: Sequence[KnownCamera], coding: Coding
) -> dict[str, float | int | bool]:
    """The written file read back and rendered beside the splats in memory, from the cameras or from a ring about them.

    A format without harmonics is held against the scene without them; `psnr_of_full` tells the loss against all of it.
    """
    from recon3d.pipeline.parity import psnr_between, ring, small_cameras

    row = FORMATS[kind]
    back = read_splats(path, coding.spz_axes if kind == "spz" else None).splats
    if holds_origin(kind, coding):  # what was given, not what both became: a wrong origin shows
        back = replace(back, means=(back.positions - splats.origin).astype(np.float32))
    fitting = splats.with_degree(min(splats.degree, row.degree))
    at = small_cameras(cameras) if cameras else ring(splats)
    least = LEAST_OF_5_BITS if kind == "spz" and coding.spz_sh_bits == 5 else row.least
    found = round(psnr_between(fitting, back, at), 2)
    result: dict[str, float | int | bool] = {"psnr": found, "least": least, "ok": found >= least, "cameras": len(at)}
    if fitting.degree < splats.degree:
        result["psnr_of_full"] = round(psnr_between(splats, back, at), 2)
    return result
