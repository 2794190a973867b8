"""A zip that holds one splat file, as Luma hands them out. A zip with SOG's meta.json is a SOG, and not opened here."""

from __future__ import annotations

import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from recon3d.errors import InputError
from recon3d.io.sog_container import META

SUFFIXES = (".ply", ".spz", ".glb", ".splat", ".sog")
BLOCK = 1 << 20
# Splats of real scenes shrink by a half at most, columns of zeros among them to a few percent; deflate goes to a 1032nd.
MOST_TIMES, FREE_BYTES = 100, 1 << 24
BROKEN = (OSError, ValueError, EOFError, RuntimeError, NotImplementedError, zlib.error, zipfile.BadZipFile)


def splat_file_in(path: Path) -> str | None:
    """The name of the one splat file in a zip; None where it is a SOG, or no zip that can be opened. InputError where there
    are several."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.startswith("__MACOSX/")]
    except BROKEN:
        return None
    if any(PurePosixPath(name).name == META for name in names):
        return None
    found = [name for name in names if name.lower().endswith(SUFFIXES)]
    if len(found) == 1:
        return found[0]
    what = f"its zip holds {len(found)} splat files" if found else "its zip holds no splat file"
    raise InputError(path, what, "Give one of its files" if found else f"Give a zip with one of {', '.join(SUFFIXES)}")


@contextmanager
def unpacked(path: Path, name: str) -> Iterator[Path]:
    """A file of a zip as a file of its own, while the block runs. InputError where it is damaged, or grows out of measure."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / f"a{PurePosixPath(name).suffix.lower()}"
        try:
            with zipfile.ZipFile(path) as archive:
                entry = archive.getinfo(name)
                most = MOST_TIMES * entry.compress_size + FREE_BYTES
                with archive.open(entry) as packed, open(out, "wb") as file:
                    while block := packed.read(BLOCK):
                        if file.tell() + len(block) > most:
                            raise InputError(path, f"its {name} unpacks to over {most} bytes", "Unpack it and give the file")
                        file.write(block)
        except BROKEN as error:
            raise InputError(path, f"its {name} cannot be unpacked ({str(error)[:80]})", "Copy it again") from error
        yield out
