"""Every kind of splat file: recognised by its first bytes, read and written. Loads no torch."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from recon3d.core.splats import Mode, Splats
from recon3d.errors import InputError, check_exists
from recon3d.io.axes import SYSTEMS, Z_UP, given_system, rdf_from
from recon3d.io.ply_table import read_header
from recon3d.io.zipped import splat_file_in, unpacked


@dataclass(frozen=True)
class Format:
    """A row of FORMATS; functions are `module:name`, resolved when they are needed."""

    suffix: str
    about: str
    read: str
    write: str | None = None
    options: tuple[str, ...] = ()  # of the reader, by name
    degree: int = 3  # of the harmonics that it holds
    least: float = 0.0  # dB that an export of a real scene keeps against the scene in memory
    modes: tuple[Mode, ...] = ("default", "antialiased", "2dgs")  # of training, that it can say
    origin: str | None = None  # how it tells where in the world its positions stand


FORMATS = {
    "ply": Format(
        ".ply", "3DGS, every viewer", "recon3d.io.ply:read_ply", "recon3d.io.ply:write_ply",
        ("opacity_as_is", "scales_as_is"), least=80, origin="a comment",
    ),
    "compressed ply": Format(
        ".compressed.ply", "PlayCanvas", "recon3d.io.compressed_ply:read_compressed_ply",
        "recon3d.io.compressed_ply:write_compressed_ply", least=35,
    ),
    "sog": Format(
        ".sog", "the web", "recon3d.io.sog:read_sog", "recon3d.io.sog:write_sog", least=35, origin="a key of meta.json"
    ),
    "spz": Format(
        ".spz", "phones, Niantic", "recon3d.io.spz:read_spz", "recon3d.io.spz:write_spz", ("axes",), least=45,
        modes=("default", "antialiased"), origin="a record",
    ),
    "glb": Format(
        ".glb", "engines, maps", "recon3d.io.glb:read_glb", "recon3d.io.glb:write_glb", ("axes",), least=55,
        origin="its node",
    ),
    "splat": Format(
        ".splat", "early web viewers", "recon3d.io.splat:read_splat", "recon3d.io.splat:write_splat", degree=0, least=40,
        modes=("default",),
    ),
}  # fmt: skip
LEAST_OF_5_BITS = 33.0  # dB, of an SPZ whose harmonics have 5 and 4 bits
STORED = "as stored: x right, y down, z forward"


def known(suffixes: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(suffixes))


READABLE = f"Give one of {known(row.suffix for row in FORMATS.values())}"


@dataclass(frozen=True)
class SplatFile:
    """What a file holds, in the axes of our world."""

    splats: Splats
    format: str  # a key of FORMATS
    axes: str  # which axes were taken, and why
    notes: tuple[str, ...]  # what was mended or cut


def file_in(folder: Path) -> Path | None:
    """The splat file of a folder: a run's scene.ply, or the meta.json of a SOG whose pictures lie loose."""
    return next((folder / name for name in ("scene.ply", "meta.json") if (folder / name).is_file()), None)


def format_of(path: Path) -> str:
    """The key of FORMATS by the first bytes of the file. InputError where it is none."""
    check_exists(path, READABLE)
    if path.is_dir():
        raise InputError(path, "it is a folder, not a splat file", READABLE)
    with open(path, "rb") as file:
        head = file.read(1 << 12)
    if head[:3] == b"ply":
        return "compressed ply" if b"packed_position" in head else "ply"
    if head[:4] == b"NGSP" or head[:2] == b"\x1f\x8b":
        return "spz"
    if head[:2] == b"PK" or path.name == "meta.json":
        return "sog"
    if head[:4] == b"glTF":
        return "glb"
    if path.suffix.lower() == ".splat":  # nothing in the file tells it
        return "splat"
    if path.suffix.lower() == ".ksplat":
        what = "it is a .ksplat, the form of one viewer (GaussianSplats3D), which is not read here"
        raise InputError(path, what, "Give the file that it was made of, or convert it to .ply with PlayCanvas' splat-transform")
    raise InputError(path, "it is no splat file that is read here", READABLE)


def read_splats(
    path: Path, axes: str | None = None, opacity_as_is: bool = False, scales_as_is: bool = False
) -> SplatFile:
    """The splats of any file of FORMATS, of a zip with one, or of a folder with a SOG's pictures.

    `axes` (a key of `axes.GIVEN`) are those of a file that does not say its own; `opacity_as_is` and `scales_as_is` leave a
    PLY's numbers as they are read, where they look as if they were stored without their logit or logarithm. Raises InputError.
    """
    options = {"axes": axes, "opacity_as_is": opacity_as_is, "scales_as_is": scales_as_is}
    if path.is_dir():
        path = file_in(path) or path
    if format_of(path) != "sog" or path.suffix == ".json" or (name := splat_file_in(path)) is None:
        return _read(path, options)
    inside = f"{path}: {name}"
    with unpacked(path, name) as file:
        try:
            found = _read(file, options)
        except InputError as error:
            raise InputError(error.where.replace(str(file), inside), error.what, error.remedy) from error
    notes = tuple(note.replace(str(file), inside) for note in found.notes)
    return replace(found, notes=(f"{path}: {name} was read out of the zip", *notes))


def _read(path: Path, options: Mapping[str, Any]) -> SplatFile:
    kind, notes = format_of(path), []
    row = FORMATS[kind]
    found = function(row.read)(path, note=notes.append, **{name: options[name] for name in row.options})
    splats, taken = found if isinstance(found, tuple) else _turned(path, kind, found, options["axes"])
    return SplatFile(splats, kind, taken, tuple(notes))


def _turned(path: Path, kind: str, splats: Splats, axes: str | None) -> tuple[Splats, str]:
    """Splats of a format whose axes are our world's, unless a comment of the file or `axes` says otherwise."""
    system = None if axes is None else given_system(axes)
    if system is not None:
        why = f"{SYSTEMS[system][0]}, as --axes says"
    elif "ply" in kind and (system := system_in_comments(path)) is not None:
        why = f"{SYSTEMS[system][0]} (z up), as a comment of the file says. If it is turned: --axes rdf"
    else:
        return splats, STORED
    return splats.moved(rdf_from(system)), why


def system_in_comments(path: Path) -> int | None:
    """RFU where a PLY's comments say that z is up, as nerfstudio's do; None where they do not.

    A vertical axis y says nothing here: writers (Brush) mean by it the y that points down.
    """
    with open(path, "rb") as file:
        comments = read_header(file, path).comments
    said = [" ".join(comment.lower().split()) for comment in comments]
    return Z_UP if "vertical axis: z" in said else None


def format_to_write(path: Path) -> str:
    """The key of FORMATS that the name asks for. InputError where there is none."""
    fitting = [name for name, row in FORMATS.items() if row.write and path.name.lower().endswith(row.suffix)]
    if fitting:
        return max(fitting, key=lambda name: len(FORMATS[name].suffix))
    remedy = f"Give one of {known(row.suffix for row in FORMATS.values() if row.write)}"
    raise InputError(path, f"'{path.suffix}' is no kind of splat file that is written here", remedy)


def function(reference: str) -> Any:
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)
