"""Every kind of splat file: recognised by its first bytes, read and written. Loads no torch."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recon3d.core.splats import Splats
from recon3d.errors import InputError, check_exists

Note = Callable[[str], None]


@dataclass(frozen=True)
class Format:
    """A row of FORMATS; functions are `module:name`, resolved when they are needed."""

    suffix: str
    about: str
    read: str
    write: str | None = None
    least: float = 0.0  # dB that an export of a real scene keeps against the scene in memory


FORMATS = {
    "ply": Format(".ply", "3DGS, every viewer", "recon3d.io.ply:read_ply", "recon3d.io.ply:write_ply", least=80),
    "sog": Format(".sog", "the web", "recon3d.io.sog:read_sog", "recon3d.io.sog:write_sog", least=35),
}
READABLE = "Give a .ply or a .sog"


@dataclass(frozen=True)
class SplatFile:
    """What a file holds, in the axes of our world."""

    splats: Splats
    format: str  # a key of FORMATS
    notes: tuple[str, ...]  # what was mended or cut


def format_of(path: Path) -> str:
    """The key of FORMATS by the first bytes of the file. InputError where it is none."""
    check_exists(path, READABLE)
    if path.is_dir():
        raise InputError(path, "it is a folder, not a splat file", READABLE)
    with open(path, "rb") as file:
        head = file.read(1 << 12)
    if head[:3] == b"ply":
        return "ply"
    if head[:2] == b"PK" or path.name == "meta.json":
        return "sog"
    raise InputError(path, "it is no splat file that is read here", READABLE)


def read_splats(path: Path, opacity_as_is: bool = False) -> SplatFile:
    """The splats of any file of FORMATS. `opacity_as_is` leaves a PLY's opacities as they are read, where they look as if
    they were stored without the logit. Raises InputError.
    """
    kind, notes = format_of(path), []
    read = function(FORMATS[kind].read)
    splats = read(path, note=notes.append, **({"opacity_as_is": opacity_as_is} if kind == "ply" else {}))
    return SplatFile(splats, kind, tuple(notes))


def format_to_write(path: Path) -> str:
    """The key of FORMATS that the name asks for. InputError where there is none."""
    for name, row in FORMATS.items():
        if row.write and path.suffix.lower() == row.suffix:
            return name
    known = ", ".join(row.suffix for row in FORMATS.values() if row.write)
    raise InputError(path, f"'{path.suffix}' is no kind of splat file that is written here", f"Give one of {known}")


def function(reference: str) -> Any:
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)
