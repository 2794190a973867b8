"""GoPro's GPMF: keys, lengths and values in the packets of a video's telemetry track. Its places are read, nothing else.

Source: "GPMF Introduction", the README of github.com/gopro/gpmf-parser (sections "KLV Design", "Length", "Type",
"Complex structures" and the tables of HERO5 Black with GPS and HERO11 Black). All numbers are big-endian.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import Annotated, NamedTuple

import numpy as np

from recon3d.io.gps import Place, on_earth

# Type characters that numbers have.
NUMBERS = {
    "b": ">i1", "B": ">u1", "s": ">i2", "S": ">u2", "l": ">i4", "L": ">u4", "j": ">i8", "J": ">u8", "f": ">f4", "d": ">f8",
}  # fmt: skip
NESTED = "\0"
COMPLEX = "?"  # the structure is what TYPE says
TYPES = re.compile(r"([A-Za-z])(?:\[(\d{1,3})\])?")  # of TYPE: a character, or one with a count
MOST_FIELDS = 255  # of one sample: its size is one byte
GOOD_DOP = 5.0  # "under 500 is good", of a hundredfold
FIX_2D, FIX_3D = 2, 3  # of GPSF and of GPS9's last field; 0: no lock


class Entry(NamedTuple):
    key: str
    type: str
    size: int  # bytes of one sample
    value: bytes  # without padding


def begins(packet: bytes) -> bool:
    """Every payload begins with a device."""
    return packet[:4] == b"DEVC"


def fixes(payload: bytes) -> dict[str, list[Place | None]]:
    """By key (GPS9 or GPS5), the places of a payload in order, evenly spread over its time; None: no fix, or a poor one.

    Raises ValueError where the payload is malformed.
    """
    found: dict[str, list[Place | None]] = {}
    for device in entries(payload):
        if device.key != "DEVC" or device.type != NESTED:
            raise ValueError(f"{device.key!r} where a device is due")
        for stream in entries(device.value):
            if stream.key == "STRM" and stream.type == NESTED:
                for key, places in of_stream(stream.value).items():
                    found.setdefault(key, places)
    return found


def of_stream(stream: bytes) -> dict[str, list[Place | None]]:
    """The places of one stream. What stands before an entry tells what it means; GPSF and GPSP tell of the whole stream."""
    before: dict[str, Entry] = {}
    found: dict[str, list[Place | None]] = {}
    for entry in entries(stream):
        if entry.key == "GPS5":
            fix, precision = first_of(before.get("GPSF"), FIX_3D), first_of(before.get("GPSP"), 0.0)
            found["GPS5"] = [good(row, fix, precision / 100) for row in scaled(entry, before, columns=5)]
        elif entry.key == "GPS9":
            found["GPS9"] = [good(row, row[8], row[7]) for row in scaled(entry, before, columns=9)]
        before[entry.key] = entry
    return found


def good(row: Annotated[np.ndarray, "C"], fix: float, dop: float) -> Place | None:
    """The place of a sample: latitude, longitude and altitude (WGS 84) stand first. A 2D fix tells no altitude."""
    if not (fix >= FIX_2D and dop < GOOD_DOP):
        return None
    return on_earth(float(row[0]), float(row[1]), float(row[2]) if fix >= FIX_3D else None)


def entries(data: bytes) -> Iterator[Entry]:
    """What stands side by side in `data`. Each begins at a multiple of four bytes. Raises ValueError."""
    at = 0
    while at < len(data):
        if len(data) - at < 8:
            raise ValueError(f"{len(data) - at} bytes are left where a key takes 8")
        key, kind, size, repeat = struct.unpack_from(">4ssBH", data, at)
        if key == bytes(4):  # padding up to the end
            return
        start, length = at + 8, size * repeat
        if length > len(data) - start:
            raise ValueError(f"{key!r} takes {length} bytes where {len(data) - start} are left")
        yield Entry(key.decode("latin-1"), kind.decode("latin-1"), size, data[start : start + length])
        at = start + (length + 3) // 4 * 4


def scaled(entry: Entry, before: dict[str, Entry], columns: int) -> Annotated[np.ndarray, "N C"]:
    """The first `columns` fields of an entry's samples divided by SCAL, float64. Raises ValueError where there are fewer."""
    kinds = field_types(before.get("TYPE")) if entry.type == COMPLEX else entry.type * (entry.size // width(entry.type))
    if len(kinds) < columns or sum(map(width, kinds)) != entry.size:
        raise ValueError(f"{entry.key} has samples of {entry.size} bytes and of types {kinds!r}")
    samples = np.frombuffer(entry.value, np.dtype([(str(i), NUMBERS[kind]) for i, kind in enumerate(kinds)]))
    rows = np.stack([samples[str(i)].astype(np.float64) for i in range(columns)], 1)
    divisor = np.ones(1) if "SCAL" not in before else numbers(before["SCAL"])
    if len(divisor) not in (1, len(kinds)) or not (np.isfinite(divisor).all() and (divisor != 0).all()):
        raise ValueError(f"{entry.key} has {len(kinds)} fields and {len(divisor)} scales")
    with np.errstate(over="ignore"):  # what becomes infinite is nowhere on Earth
        return rows / (divisor if len(divisor) == 1 else divisor[:columns])


def field_types(entry: Entry | None) -> str:
    """The type characters of TYPE one by one: `f[3]L` is `fffL`. Raises ValueError."""
    text = "" if entry is None else entry.value.split(b"\0")[0].decode("latin-1")
    kinds = "".join(kind * int(count or 1) for kind, count in TYPES.findall(text)) if len(text) <= MOST_FIELDS else ""
    if TYPES.sub("", text[:MOST_FIELDS]) or not 0 < len(kinds) <= MOST_FIELDS:
        raise ValueError(f"TYPE is {text[:40]!r}")
    return kinds


def numbers(entry: Entry) -> Annotated[np.ndarray, "C"]:
    """The numbers of an entry of a plain type, float64. Raises ValueError."""
    bytes_each = width(entry.type)
    if len(entry.value) % bytes_each:
        raise ValueError(f"{entry.key} has {len(entry.value)} bytes")
    return np.frombuffer(entry.value, NUMBERS[entry.type]).astype(np.float64)


def first_of(entry: Entry | None, otherwise: float) -> float:
    """The first number of an entry; `otherwise` where it is not there. Raises ValueError."""
    if entry is None:
        return otherwise
    found = numbers(entry)
    if not len(found):
        raise ValueError(f"{entry.key} is empty")
    return float(found[0])


def width(kind: str) -> int:
    """Bytes of a number. Raises ValueError for other types."""
    if kind not in NUMBERS:
        raise ValueError(f"type {kind!r} is no number")
    return np.dtype(NUMBERS[kind]).itemsize
