"""The PLY container: header, elements and their rows, whatever they mean. Hostile files end in one InputError.

Source of the format: Greg Turk, "The PLY Polygon File Format", 1994, with the type names that writers use today.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from recon3d.errors import InputError

TYPES = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4", "double": "f8",
    "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4", "float32": "f4",
    "float64": "f8",
}  # fmt: skip
BYTE_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
MAX_HEADER = 1 << 16  # bytes; a splat of degree 4 needs 3 kB, so this bounds what a file without end_header costs
ROWS_AT_ONCE = 1 << 16  # 16 MB of splats of degree 3: memory stays at the size of the result


@dataclass(frozen=True)
class Element:
    """A table of the file: `count` rows of `properties`, (name, numpy type) each; None where a property is a list."""

    name: str
    count: int
    properties: tuple[tuple[str, str | None], ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.properties)

    def kind(self, name: str) -> str | None:
        """The numpy type of a property."""
        return dict(self.properties)[name]


@dataclass(frozen=True)
class Header:
    """What stands before the data, and at which byte the data starts."""

    order: str  # numpy's sign of the byte order; "" for ASCII
    comments: tuple[str, ...]
    elements: tuple[Element, ...]
    start: int

    def element(self, name: str) -> Element | None:
        return next((e for e in self.elements if e.name == name), None)


def unreadable(path: Path, what: str) -> InputError:
    """The one error of a PLY that cannot be used."""
    return InputError(path, what, "Export or copy the file again")


def opened(path: Path) -> BinaryIO:
    """The file; InputError where it cannot be."""
    try:
        return open(path, "rb")
    except OSError as error:
        raise InputError(path, f"it cannot be read ({error.strerror})", "Give the path of a PLY file") from error


def read_header(file: BinaryIO, path: Path) -> Header:
    """The header of an open PLY; InputError where it is none. Counts are not yet held against the file's length."""
    head = file.read(MAX_HEADER)
    if head[:4] not in (b"ply\n", b"ply\r"):
        raise unreadable(path, "it is not a PLY file (it does not begin with ply)")
    end = head.find(b"\nend_header")
    newline = head.find(b"\n", end + 1)
    if end < 0 or newline < 0:
        raise unreadable(path, "its header has no end")
    order, comments, elements = None, [], []
    for line in head[4:end].decode("latin-1").splitlines():
        words = line.split()
        match words:
            case []:
                pass
            case ["comment" | "obj_info", *_]:
                comments.append(line.strip().partition(" ")[2].strip())
            case ["format", name, _] if name in BYTE_ORDERS:
                order = BYTE_ORDERS[name]
            case ["element", name, count] if count.isascii() and count.isdigit() and len(count) < 19:
                elements.append(Element(name, int(count), ()))
            case ["property", "list", *_, name] if elements:
                elements[-1] = _with_property(elements[-1], name, None)
            case ["property", kind, name] if elements and kind in TYPES:
                elements[-1] = _with_property(elements[-1], name, TYPES[kind])
            case _:
                raise unreadable(path, f"its header has a line that makes no sense: {line.strip()[:80]!r}")
    if order is None:
        raise unreadable(path, "its header names no format")
    for element in elements:
        if len(set(element.names)) < len(element.names):
            raise unreadable(path, f"its element {element.name} has two properties of one name")
    return Header(order, tuple(comments), tuple(elements), newline + 1)


def _with_property(element: Element, name: str, kind: str | None) -> Element:
    return Element(element.name, element.count, (*element.properties, (name, kind)))


def rows(file: BinaryIO, path: Path, header: Header, element: Element) -> Iterator[np.ndarray]:
    """The rows of an element as structured arrays of at most ROWS_AT_ONCE (ASCII: float64 throughout).

    What the header declares is held against the file's length before anything is read; InputError where it lies.
    """
    before = header.elements[: header.elements.index(element)]
    for one in (*before, element):
        if any(kind is None for _, kind in one.properties):
            raise unreadable(path, f"its element {one.name} has a list property before or among the splats")
    file.seek(0, 2)
    held = file.tell() - header.start
    file.seek(header.start)
    if header.order:
        yield from _binary_rows(file, path, header.order, before, element, held)
    else:
        yield from _ascii_rows(file, path, before, element, held)


def _binary_rows(
    file: BinaryIO, path: Path, order: str, before: tuple[Element, ...], element: Element, held: int
) -> Iterator[np.ndarray]:
    kinds = {e.name: np.dtype([(n, order + (k or "")) for n, k in e.properties]) for e in (*before, element)}
    skipped = sum(e.count * kinds[e.name].itemsize for e in before)
    kind = kinds[element.name]
    if skipped + element.count * kind.itemsize > held:
        raise _lying(path, element, skipped + element.count * kind.itemsize, held)
    file.seek(skipped, 1)
    for start in range(0, element.count, ROWS_AT_ONCE):
        wanted = min(ROWS_AT_ONCE, element.count - start) * kind.itemsize
        data = file.read(wanted)
        if len(data) < wanted:
            raise unreadable(path, "it became shorter while it was read")
        yield np.frombuffer(data, kind)


def _ascii_rows(
    file: BinaryIO, path: Path, before: tuple[Element, ...], element: Element, held: int
) -> Iterator[np.ndarray]:
    # A value takes a digit and a separator at least; the last one of the file may do without the latter.
    least = sum(e.count * len(e.properties) * 2 for e in (*before, element)) - 1
    if least > held:
        raise _lying(path, element, least, held)
    lines = (line.decode("latin-1") for line in file if not line.isspace())
    for _ in itertools.islice(lines, sum(e.count for e in before)):
        pass
    kind = np.dtype([(name, "f8") for name in element.names])
    for start in range(0, element.count, ROWS_AT_ONCE):
        wanted = min(ROWS_AT_ONCE, element.count - start)
        some = list(itertools.islice(lines, wanted))
        if len(some) < wanted:
            raise unreadable(path, f"it declares {element.count} rows of {element.name} and ends after {start + len(some)}")
        try:
            values = np.loadtxt(some, dtype=np.float64, comments=None, ndmin=2)
        except ValueError as error:
            raise unreadable(path, f"a row of its element {element.name} is not made of numbers, or too short") from error
        if values.shape[1] != len(element.names):
            raise unreadable(
                path, f"rows of its element {element.name} have {values.shape[1]} values instead of {len(element.names)}"
            )
        yield np.ascontiguousarray(values).view(kind)[:, 0]


def _lying(path: Path, element: Element, wanted: int, held: int) -> InputError:
    return unreadable(
        path,
        f"it declares {element.count} rows of {element.name}, which need {wanted} bytes, and holds {held} after its header",
    )
