"""The container of SOG: meta.json and lossless WebP pictures, in a zip or loose in a folder. Hostile files end in one InputError.

What the numbers mean stands in sog.py. Nothing is unpacked or decoded before its size was held against its limit.
"""

from __future__ import annotations

import io
import json
import math
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, BinaryIO

import numpy as np
from PIL import Image

from recon3d.atomic import atomic_file
from recon3d.errors import InputError

META = "meta.json"
MAX_META = 1 << 20  # bytes; a whole one takes 16 kB, and viewers refuse more than 64 kB
MAX_SIDE = 16383  # pixels, of the WebP format
QUALITY, METHOD = 50, 4  # libwebp's effort: a real scene gets no smaller with more, in up to 200 times the time
SPARE_PIXELS = 1 << 20  # what a picture may hold beyond four times of what is used (sides padded to powers of two)
SPARE_BYTES = 1 << 16  # a lossless WebP takes at most its pixels' 4 bytes, code tables and what else stands in the file
FIXED_DATE = (1980, 1, 1, 0, 0, 0)  # the first that a zip can say: the bytes of a file depend on its content only
BROKEN = (OSError, ValueError, EOFError, RuntimeError, NotImplementedError, KeyError, struct.error, zlib.error)


def unreadable(path: Path, what: str) -> InputError:
    """The one error of a SOG that cannot be used."""
    return InputError(path, what, "Export or copy the file again")


@dataclass(frozen=True)
class Container:
    """An open SOG. `archive` is None where its files lie loose; `folder` is where their names start from."""

    path: Path  # what errors name
    folder: PurePosixPath
    archive: zipfile.ZipFile | None

    def bytes_of(self, name: str, start: int | None = None, most: int = MAX_META) -> bytes:
        """A file of the container, or its first `start` bytes; InputError where it is absent, broken or above `most`."""
        try:
            held, file = self._opened(name)
            with file:
                if start is None and held > most:
                    raise unreadable(
                        self.path, f"its {name} takes {held} bytes, where {most} are the most that make sense"
                    )
                data = file.read(held if start is None else start)
        except (*BROKEN, zipfile.BadZipFile) as error:
            raise unreadable(self.path, f"its {name} cannot be read ({str(error)[:80]})") from error
        if start is None and len(data) != held:
            raise unreadable(self.path, f"its {name} ends early")
        return data

    def size_of(self, name: str) -> int:
        """Bytes that a file takes in the container, packed as it is."""
        if self.archive is not None:
            entry = self._entry(name)
            return min(entry.compress_size, entry.file_size)
        return self._loose(name).stat().st_size

    def _opened(self, name: str) -> tuple[int, Any]:
        if self.archive is not None:
            entry = self._entry(name)
            return entry.file_size, self.archive.open(entry)
        file = self._loose(name)
        return file.stat().st_size, open(file, "rb")

    def _entry(self, name: str) -> zipfile.ZipInfo:
        assert self.archive is not None
        try:
            return self.archive.getinfo(str(self.folder / name))
        except KeyError as error:
            raise unreadable(self.path, f"it lacks the file {name}") from error

    def _loose(self, name: str) -> Path:
        file = Path(self.folder) / name
        if not file.is_file():
            raise InputError(self.path, f"it lacks the file {name} beside it", "Copy all files of the folder")
        return file


@contextmanager
def opened(path: Path) -> Iterator[Container]:
    """The container at `path`: a zip with a meta.json, or a meta.json whose pictures lie beside it."""
    try:
        file = open(path, "rb")  # noqa: SIM115 - the with stands below, so that only opening counts as missing
    except OSError as error:
        remedy = "Give the path of a .sog file, or of the meta.json of a loose one"
        raise InputError(path, f"it cannot be read ({error.strerror})", remedy) from error
    with file:
        start = file.read(64)
        if start.lstrip()[:1] == b"{":
            # The name given is the name read: a folder's meta.json may have been renamed.
            yield Container(path, PurePosixPath(path.parent.as_posix()), None)
            return
        if start[:2] != b"PK":
            raise unreadable(path, "it is no SOG (neither a zip nor a meta.json)")
        with _archive(file, path) as archive:
            yield Container(path, _root(path, archive.namelist()), archive)


def _archive(file: BinaryIO, path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except (*BROKEN, zipfile.BadZipFile) as error:
        raise unreadable(path, f"its zip directory is broken or cut off ({str(error)[:80]})") from error


def _root(path: Path, names: Sequence[str]) -> PurePosixPath:
    """The folder in the zip that holds meta.json: its root, or where someone packed a whole folder, that one."""
    if META in names:
        return PurePosixPath()
    inner = [name for name in names if PurePosixPath(name).name == META]
    if len(inner) != 1:
        raise unreadable(path, "its zip holds no meta.json" if not inner else "its zip holds several scenes")
    return PurePosixPath(inner[0]).parent


def read_meta(container: Container) -> dict[str, Any]:
    """The object that meta.json holds; InputError where it holds none."""
    path = container.path
    name = META if container.archive else path.name
    data = container.bytes_of(name)
    try:
        meta = json.loads(data)
    except (ValueError, RecursionError) as error:  # also UnicodeDecodeError, and numbers of too many digits
        raise unreadable(path, f"its meta.json is not JSON ({str(error)[:80]})") from error
    if not isinstance(meta, dict):
        raise unreadable(path, "its meta.json holds no object")
    return meta


def section(meta: Mapping[str, Any], key: str, path: Path) -> dict[str, Any]:
    found = meta.get(key)
    if not isinstance(found, dict):
        raise unreadable(path, f"its meta.json has no object {key}")
    return found


def whole(entry: Mapping[str, Any], key: str, most: int, path: Path, place: str = "") -> int:
    """A whole number from 1 to `most`."""
    found = entry.get(key)
    if isinstance(found, bool) or not isinstance(found, int) or not 1 <= found <= most:
        raise unreadable(path, f"its {place}{key} is {str(found)[:40]}, no whole number from 1 to {most}")
    return found


def numbers(
    entry: Mapping[str, Any], key: str, counts: range, path: Path, place: str
) -> Annotated[np.ndarray, "values"]:
    """A list of finite numbers, as many as `counts` allows, float64."""
    found = entry.get(key)
    if isinstance(found, list) and len(found) in counts:
        try:
            values = np.array([float(v) for v in found if isinstance(v, int | float) and not isinstance(v, bool)])
        except OverflowError:
            values = np.array([math.inf])
        if len(values) == len(found) and np.isfinite(values).all():
            return values
    wanted = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    raise unreadable(path, f"its {place}.{key} is not a list of {wanted} finite numbers")


def file_names(entry: Mapping[str, Any], count: int, path: Path, place: str) -> list[str]:
    """The names of `count` pictures, none of which leads out of the container."""
    found = entry.get("files")
    if not isinstance(found, list) or len(found) != count or not all(isinstance(name, str) for name in found):
        raise unreadable(path, f"its {place}.files is not a list of {count} names")
    for name in found:
        parts = PurePosixPath(name).parts
        if not parts or ".." in parts or name.startswith("/") or any(c in name for c in "\\:\0") or len(name) > 255:
            raise unreadable(path, f"its {place}.files holds {name[:60]!r}, which is no name of a picture beside it")
    return found


def picture_size(container: Container, name: str) -> tuple[int, int]:
    """(width, height) of a picture by its first bytes; InputError where it is no lossless WebP.

    Source: RFC 9649. A lossless one is the chunk VP8L, plain or after VP8X; a lossy one (VP8) would give other numbers.
    """
    head = container.bytes_of(name, start=4096)
    if head[:4] != b"RIFF" or head[8:12] != b"WEBP":
        raise unreadable(container.path, f"its {name} is no WebP picture")
    at, canvas = 12, None
    while len(head) >= at + 13:
        kind, length = head[at : at + 4], int.from_bytes(head[at + 4 : at + 8], "little")
        body = head[at + 8 : at + 18]
        if kind == b"VP8L":
            bits = int.from_bytes(body[1:5], "little")
            size = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
            if body[0] != 0x2F or canvas not in (None, size):
                break
            return size
        if kind in (b"VP8 ", b"ALPH", b"ANIM", b"ANMF"):
            what = "moving" if kind[:2] == b"AN" else "lossy"
            raise unreadable(container.path, f"its {name} is a {what} WebP picture, which changes the numbers it holds")
        if kind == b"VP8X":
            canvas = int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
        at += 8 + length + length % 2
    raise unreadable(container.path, f"its {name} is no WebP picture that can be read")


def read_picture(container: Container, name: str, least: int) -> Annotated[np.ndarray, "H W 4"]:
    """The bytes of a lossless picture of at least `least` pixels; InputError where it has fewer, far more, or is broken."""
    width, height = picture_size(container, name)
    pixels = width * height
    if not least <= pixels <= 4 * least + SPARE_PIXELS:
        raise unreadable(container.path, f"its {name} has {width}×{height} pixels, for {least} that are needed")
    data = container.bytes_of(name, most=4 * pixels + SPARE_BYTES)
    try:
        with Image.open(io.BytesIO(data), formats=["WEBP"]) as image:
            if image.size != (width, height):
                raise unreadable(container.path, f"its {name} states two sizes")
            return np.asarray(image.convert("RGBA"))
    except BROKEN as error:
        raise unreadable(container.path, f"its {name} is broken ({str(error)[:80]})") from error


def packed_picture(pixels: Annotated[np.ndarray, "H W 4"]) -> bytes:
    """A lossless WebP, RGBA; `exact` keeps the colours of pixels whose alpha is 0."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", lossless=True, exact=True, quality=QUALITY, method=METHOD)
    return file.getvalue()


def write_container(path: Path, meta: Mapping[str, Any], pictures: Mapping[str, bytes]) -> None:
    """A zip of stored entries, meta.json first, whose bytes depend on the content only."""
    text = json.dumps(meta, allow_nan=False, separators=(",", ":")).encode("utf-8")
    with atomic_file(path) as temporary, zipfile.ZipFile(temporary, "w", allowZip64=False) as archive:
        for name, data in {META: text, **pictures}.items():
            archive.writestr(zipfile.ZipInfo(name, FIXED_DATE), data)
