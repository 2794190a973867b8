"""The bytes of SPZ: header, records and the arrays of bytes of its splats, in gzip (versions 1 to 3) or zstd (version 4).

What the arrays mean stands in spz.py. Sizes are held against the file's length, and against the number of splats, before
anything is unpacked; hostile files end in one InputError. Source: the format's public description (Niantic, MIT).
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, BinaryIO

import numpy as np
import zstandard

from recon3d.atomic import atomic_file
from recon3d.errors import InputError

MAGIC = b"NGSP"
LEGACY = struct.Struct("<4sIIBBBx")  # magic, version, count, degree, fractional bits, flags
HEADER = struct.Struct("<4sIIBBBBI12x")  # the same, number of streams, offset of their table
SIZES = struct.Struct("<QQ")  # of a stream: compressed, uncompressed
RECORD = struct.Struct("<II")  # type, length
ANTIALIASED, RECORDS, LEVELS_OF_DETAIL = 0x01, 0x02, 0x80  # flags
LEGACY_VERSIONS = (1, 2, 3)
COORDINATES, SAFE_ORBIT = 0xADBE0003, 0xADBE0002  # types of records
ORIGIN_RECORD, ORIGIN = 0x33440001, struct.Struct("<3d")  # our own: where the positions' frame stands, in the file's axes
NAMES = ("positions", "alphas", "colors", "scales", "rotations", "harmonics")
COEFFICIENTS = {0: 0, 1: 3, 2: 8, 3: 15, 4: 24}  # of a degree, each colour's beyond degree 0
MOST_FRACTIONAL_BITS = 31  # the positions have 23 bits and a sign
EXPANSION = 1032  # bytes out of one: the most of deflate; zstd of real splats stays far below
FREE_SPLATS = 1 << 16  # so many are allowed whatever the file's length: 6 MB
MOST_RECORD_BYTES = 1 << 20  # in a gzip stream, which does not tell its length
GZIP_LEVEL, ZSTD_LEVEL = 6, 12  # beyond these, a percent smaller takes several times as long
MAX_WINDOW = 1 << 27  # bytes; what zstd's own tools allow unless asked for more


def unreadable(path: Path, what: str) -> InputError:
    """The one error of an SPZ that cannot be used."""
    return InputError(path, what, "Export or copy the file again")


@dataclass(frozen=True)
class Layout:
    """An SPZ before its numbers are understood. `arrays` holds [count, width] uint8 for each of NAMES."""

    version: int
    count: int
    degree: int
    fractional_bits: int
    flags: int
    arrays: Mapping[str, Annotated[np.ndarray, "G width"]] = field(default_factory=dict)
    records: tuple[tuple[int, bytes], ...] = ()  # type and payload

    @property
    def widths(self) -> dict[str, int]:
        """Bytes a splat takes in each array."""
        return {
            "positions": 6 if self.version == 1 else 9,
            "alphas": 1,
            "colors": 3,
            "scales": 3,
            "rotations": 3 if self.version < 3 else 4,
            "harmonics": 3 * COEFFICIENTS[self.degree],
        }


def read_layout(path: Path) -> Layout:
    """What an SPZ of any version holds; InputError where it is none, ends early, goes on too long or lies about its sizes."""
    try:
        file = open(path, "rb")  # noqa: SIM115 - the with stands below, so that only opening counts as missing
    except OSError as error:
        raise InputError(path, f"it cannot be read ({error.strerror})", "Give the path of an SPZ file") from error
    with file:
        return layout_of(file, path)


def layout_of(file: BinaryIO, path: Path) -> Layout:
    """What an open SPZ holds, which may lie within the file at `path`."""
    held = file.seek(0, 2)
    file.seek(0)
    head = file.read(HEADER.size)
    file.seek(0)
    if head[:2] == b"\x1f\x8b":
        with gzip.GzipFile(fileobj=file) as unpacked:
            return _read_legacy(unpacked, path, held)
    if head[:4] != MAGIC:
        raise unreadable(path, "it is not an SPZ file (it begins neither with gzip nor with NGSP)")
    if len(head) >= LEGACY.size and LEGACY.unpack_from(head)[1] in LEGACY_VERSIONS:
        return _read_legacy(file, path, held)
    return _read_streams(file, path, head, held)


def _checked(layout: Layout, path: Path, versions: tuple[int, ...], held: int) -> Layout:
    """The header, if it makes sense in a file of `held` bytes."""
    if layout.version == 4 and versions == LEGACY_VERSIONS:
        raise InputError(path, "it is SPZ of version 4 within gzip, which that version does without", "Unpack it by gunzip")
    if layout.version not in versions:
        what = f"it states the version {layout.version} of SPZ, and 1 to 4 are read"
        raise InputError(path, what, "Export it as SPZ of version 3 or 4")
    if layout.flags & LEVELS_OF_DETAIL:
        raise InputError(path, "it holds Spark's levels of detail, which are not read", "Export it without them")
    if layout.degree > (4 if layout.version == 4 else 3):
        raise unreadable(path, f"it declares harmonics of degree {layout.degree}")
    if layout.fractional_bits > MOST_FRACTIONAL_BITS:
        raise unreadable(path, f"it declares positions of {layout.fractional_bits} fractional bits")
    if layout.count == 0:
        raise unreadable(path, "it holds no splats (a count of 0)")
    needed = layout.count * sum(layout.widths.values())
    if layout.count > FREE_SPLATS and needed > EXPANSION * held:
        raise unreadable(path, f"it declares {layout.count} splats, which cannot lie in its {held} bytes")
    return layout


def _read_legacy(file: BinaryIO | gzip.GzipFile, path: Path, held: int) -> Layout:
    """Versions 1 to 3, unpacked: one header, then array after array. What follows as zeros is padding."""

    def take(most: int) -> bytes:
        try:
            return file.read(most)
        except gzip.BadGzipFile as error:
            raise unreadable(path, f"its gzip stream is damaged, or followed by more ({str(error)[:80]})") from error
        except (zlib.error, EOFError) as error:
            raise unreadable(path, f"its gzip stream is damaged or cut off ({str(error)[:80]})") from error

    head = take(LEGACY.size)
    if len(head) < LEGACY.size or head[:4] != MAGIC:
        raise unreadable(path, "its gzip stream is not that of an SPZ file")
    layout = _checked(Layout(*LEGACY.unpack(head)[1:]), path, LEGACY_VERSIONS, held)
    arrays = {}
    for name, width in layout.widths.items():
        size = layout.count * width
        data = take(size) if size else b""
        if len(data) < size:
            raise unreadable(path, f"it ends within its {name}: {layout.count} splats need {size} bytes of them")
        arrays[name] = _rows(data, layout.count, width)
    rest = take(MOST_RECORD_BYTES + 1).rstrip(b"\0")
    if len(rest) > MOST_RECORD_BYTES or (rest and not layout.flags & RECORDS):
        raise unreadable(path, "more follows after its last splat")
    return replace(layout, arrays=arrays, records=_records(rest, path) if layout.flags & RECORDS else ())


def _read_streams(file: BinaryIO, path: Path, head: bytes, held: int) -> Layout:
    if len(head) < HEADER.size:
        raise unreadable(path, "it ends within its header")
    *fields, streams, start = HEADER.unpack(head)[1:]
    layout = _checked(Layout(*fields), path, (4,), held)
    expected = {name: layout.count * width for name, width in layout.widths.items() if width}
    if streams != len(expected):
        raise unreadable(path, f"it has {streams} streams, where its degree {layout.degree} takes {len(expected)}")
    if not HEADER.size <= start <= held - SIZES.size * streams:
        raise unreadable(path, f"its table of streams is said to lie at byte {start} of {held}")
    file.seek(HEADER.size)
    between = file.read(start - HEADER.size)
    records = _records(between, path) if layout.flags & RECORDS else ()
    table = file.read(SIZES.size * streams)
    if len(between) + len(table) < start - HEADER.size + SIZES.size * streams:
        raise unreadable(path, "it became shorter while it was read")
    sizes = list(SIZES.iter_unpack(table))
    if start + len(table) + sum(packed for packed, _ in sizes) != held:
        raise unreadable(path, "the sizes of its streams do not add up to its length")
    arrays = {name: np.empty((layout.count, 0), np.uint8) for name in NAMES}
    for (name, size), (packed, unpacked) in zip(expected.items(), sizes, strict=True):
        if unpacked != size:
            raise unreadable(path, f"its {name} take {unpacked} bytes, where its {layout.count} splats need {size}")
        arrays[name] = _rows(_unpacked(file.read(packed), size, name, path), layout.count, layout.widths[name])
    return replace(layout, arrays=arrays, records=records)


def _unpacked(data: bytes, size: int, name: str, path: Path) -> bytes:
    """The `size` bytes of a zstd frame. Its own idea of its size is compared first: the unpacker would allocate it."""
    try:
        said = zstandard.get_frame_parameters(data).content_size
        if said not in (size, zstandard.CONTENTSIZE_UNKNOWN):
            raise unreadable(path, f"its {name} unpack to {said} bytes instead of {size}")
        unpacker = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW)
        unpacked = unpacker.decompress(data, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise unreadable(path, f"its {name} are damaged ({str(error)[:80]})") from error
    if len(unpacked) != size:
        raise unreadable(path, f"its {name} unpack to {len(unpacked)} bytes instead of {size}")
    return unpacked


def _records(data: bytes, path: Path) -> tuple[tuple[int, bytes], ...]:
    records, at = [], 0
    while at < len(data):
        if len(data) - at < RECORD.size:
            raise unreadable(path, "its records end within one")
        kind, length = RECORD.unpack_from(data, at)
        at += RECORD.size
        if length > len(data) - at:
            raise unreadable(path, f"a record of it is said to take {length} bytes, where {len(data) - at} are left")
        records.append((kind, data[at : at + length]))
        at += length
    return tuple(records)


def _rows(data: bytes, count: int, width: int) -> Annotated[np.ndarray, "G width"]:
    return np.frombuffer(data, np.uint8).reshape(count, width)


def write_layout(path: Path, layout: Layout) -> None:
    """Write version 3 or 4. The bytes depend on the layout only. Records are written in version 4, which readers expect."""
    flags = layout.flags | (RECORDS if layout.records else 0)
    head = (layout.version, layout.count, layout.degree, layout.fractional_bits, flags)
    with atomic_file(path) as temporary, open(temporary, "wb") as file:
        if layout.version == 3:
            deflate = zlib.compressobj(GZIP_LEVEL, wbits=31)
            file.write(deflate.compress(LEGACY.pack(MAGIC, *head)))
            for name in NAMES:
                file.write(deflate.compress(layout.arrays[name].reshape(-1).data))
            file.write(deflate.flush())
            return
        packer = zstandard.ZstdCompressor(level=ZSTD_LEVEL)
        unpacked = [layout.arrays[name].reshape(-1).data for name in NAMES if layout.widths[name]]
        packed = [packer.compress(data) for data in unpacked]
        records = b"".join(RECORD.pack(kind, len(payload)) + payload for kind, payload in layout.records)
        file.write(HEADER.pack(MAGIC, *head, len(packed), HEADER.size + len(records)))
        file.write(records)
        for small, large in zip(packed, unpacked, strict=True):
            file.write(SIZES.pack(len(small), len(large)))
        file.writelines(packed)
