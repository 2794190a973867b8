"""OpenEXR pictures of one channel, as depth is kept in: scanlines, uncompressed or ZIP. OpenCV's wheels read no EXR.

Source of the format: "OpenEXR File Layout", openexr.com. Whatever else a file may hold is refused by its name.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Annotated

import numpy as np

from recon3d.errors import InputError
from recon3d.io.photos import check_size

MAGIC = b"v/1\x01"
MAX_HEADER = 1 << 20  # bytes; a preview picture takes most of the larger ones
TYPES = {0: "<u4", 1: "<f2", 2: "<f4"}
COMPRESSIONS = ("none", "RLE", "ZIPS", "ZIP", "PIZ", "PXR24", "B44", "B44A", "DWAA", "DWAB")  # by number
ROWS = {0: 1, 2: 1, 3: 16}  # rows of a block, of the compressions that are read
NOT_SCANLINES = 0x200 | 0x800 | 0x1000  # bits of the version: tiles, deep pixels, several parts
REMEDY = "Save it with one channel, as scanlines with ZIP compression, or convert it to .npz"


def read_exr(path: Path, size: tuple[int, int]) -> Annotated[np.ndarray, "H W"]:
    """The values of the only channel, in the file's type. InputError where (height, width) is not `size`, before the
    pixels are read, where the file is cut, and where it is of another kind.
    """
    try:
        with open(path, "rb") as file:
            # Blocks are never larger than their pixels, so that no file needs more: header, offsets, rows.
            data = file.read(MAX_HEADER + size[0] * (16 + 4 * size[1]))
    except OSError as error:
        raise InputError(path, f"it cannot be read ({error.strerror})", "Check its name and permissions") from error
    try:
        return _decoded(data, path, size)
    except (struct.error, IndexError, ValueError, KeyError, OverflowError, zlib.error) as error:
        raise InputError(path, "it is cut off or damaged", "Copy it again, or save it anew") from error


def _decoded(data: bytes, path: Path, size: tuple[int, int]) -> Annotated[np.ndarray, "H W"]:
    if data[:4] != MAGIC:
        raise InputError(path, "it is no EXR picture", REMEDY)
    if struct.unpack_from("<I", data, 4)[0] & NOT_SCANLINES:
        raise InputError(path, "it holds tiles, deep pixels or several parts", REMEDY)
    attributes, at = _attributes(data)
    kind = np.dtype(TYPES[_only_channel(attributes["channels"], path)])
    compression = attributes["compression"][0]
    if compression not in ROWS:
        raise InputError(path, f"its compression is {COMPRESSIONS[compression]}, which is not read", REMEDY)
    left, top, right, bottom = struct.unpack("<4i", attributes["dataWindow"])
    height, width = bottom - top + 1, right - left + 1
    check_size(path, (height, width), size)
    pixels = np.zeros(size, kind)
    rows = ROWS[compression]
    for offset in struct.unpack_from(f"<{-(-height // rows)}Q", data, at):
        y, held = struct.unpack_from("<ii", data, offset)
        block = pixels[y - top : y - top + rows]
        if not top <= y <= bottom or (y - top) % rows or held < 0:
            raise ValueError("a block that lies outside of the picture")
        stored = data[offset + 8 : offset + 8 + held]
        block[:] = np.frombuffer(_inflated(stored, block.nbytes), kind).reshape(block.shape)
    return pixels


def _attributes(data: bytes) -> tuple[dict[str, bytes], int]:
    """Name -> value of every attribute of the header, and where the table of offsets begins."""
    found, at = {}, 8
    while data[at]:
        name = data[at : data.index(b"\0", at)]
        kind = data.index(b"\0", at + len(name) + 1) + 1
        length = struct.unpack_from("<I", data, kind)[0]
        found[name.decode("latin-1")] = data[kind + 4 : kind + 4 + length]
        at = kind + 4 + length
    return found, at + 1


def _only_channel(channels: bytes, path: Path) -> int:
    """The number of the type of the one channel that is listed."""
    names, at = [], 0
    kind = (0, 1, 1)
    while channels[at]:
        end = channels.index(b"\0", at)
        names.append(channels[at:end].decode("latin-1"))
        kind = struct.unpack_from("<i4x2i", channels, end + 1)
        at = end + 17
    if len(names) != 1 or kind[1:] != (1, 1):
        raise InputError(path, f"it has {len(names)} channels ({', '.join(names)[:40]}), not one for each pixel", REMEDY)
    return kind[0]


def _inflated(stored: bytes, length: int) -> bytes:
    """The bytes of a block. Blocks that compression would not make smaller are stored as they are."""
    if len(stored) == length:
        return stored
    packed = zlib.decompressobj().decompress(stored, length)
    # ZIP of OpenEXR: bytes at even places first, then those at odd ones; each as the difference to the one before, + 128.
    steps = np.frombuffer(packed, np.uint8).astype(np.int64)
    steps[1:] -= 128
    summed = np.cumsum(steps).astype(np.uint8)
    whole = np.empty(length, np.uint8)
    whole[0::2], whole[1::2] = summed[: (length + 1) // 2], summed[(length + 1) // 2 :]
    return whole.tobytes()
