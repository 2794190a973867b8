"""Every kind of splat file: recognised by its first bytes, read and written. Loads no torch."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recon3d.core.splats import Mode, Splats
from recon3d.errors import InputError, check_exists


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
        ".ply", "3DGS, every viewer", "recon3d.io.ply:read_ply", "recon3d.io.ply:write_ply", ("opacity_as_is",), least=80,
        origin="a comment",
    ),
    "compressed ply": Format(".ply", "PlayCanvas", "recon3d.io.compressed_ply:read_compressed_ply"),
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
    raise InputError(path, "it is no splat file that is read here", READABLE)


def read_splats(path: Path, axes: str | None = None, opacity_as_is: bool = False) -> SplatFile:
    """The splats of any file of FORMATS. `axes` ("rdf", "rub", "luf") are those of a file that does not say its own;
    `opacity_as_is` leaves a PLY's opacities as they are read, where they look as if they were stored without the logit.
    Raises InputError.
    """
    kind, notes = format_of(path), []
    row, given = FORMATS[kind], {"axes": axes, "opacity_as_is": opacity_as_is}
    if axes is not None and "axes" not in row.options:
        raise InputError("--axes", f"{path.name} ({kind}) is always x right, y down, z forward", "Leave --axes out")
    found = function(row.read)(path, note=notes.append, **{name: given[name] for name in row.options})
    splats, taken = found if isinstance(found, tuple) else (found, STORED)
    return SplatFile(splats, kind, taken, tuple(notes))


def format_to_write(path: Path) -> str:
    """The key of FORMATS that the name asks for. InputError where there is none."""
    for name, row in FORMATS.items():
        if row.write and path.suffix.lower() == row.suffix:
            return name
    remedy = f"Give one of {known(row.suffix for row in FORMATS.values() if row.write)}"
    raise InputError(path, f"'{path.suffix}' is no kind of splat file that is written here", remedy)


def function(reference: str) -> Any:
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)
