"""The container of GLB: glTF's JSON and one block of numbers, its accessors and nodes. Hostile files end in one InputError.

What its attributes mean stands in glb.py and point_cloud.py. Source: the Khronos glTF 2.0 specification.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from recon3d.atomic import atomic_file
from recon3d.errors import InputError

MAGIC = b"glTF"
HEADER = struct.Struct("<4sII")  # magic, version, length of the file
CHUNK = struct.Struct("<I4s")  # length, kind
MAX_JSON = 64 << 20  # bytes; a scene of one primitive takes 5 kB
MAX_FILE = (1 << 32) - 1  # the header's length has 32 bits
MAX_DEPTH = 1000  # of nodes within nodes
POINTS, TRIANGLES = 0, 4  # modes of a primitive
VERTICES, INDICES = 34962, 34963  # targets of a view
FLOAT = 5126
COMPONENTS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", FLOAT: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}
# What another attribute may be stored in: (component type, whether it is normalised to -1...1 or 0...1).
FLOATS = {(FLOAT, False)}
UNSIGNED = {(5121, True), (5123, True)}
SIGNED = {(5120, True), (5122, True)}
PLAIN = {(5120, False), (5121, False), (5122, False), (5123, False)}


def unreadable(path: Path, what: str) -> InputError:
    """The one error of a GLB that cannot be used."""
    return InputError(path, what, "Export or copy the file again")


@dataclass(frozen=True)
class Document:
    """An open GLB: its JSON, and the bytes of its one buffer."""

    path: Path
    content: dict[str, Any]
    data: Annotated[np.ndarray, "bytes"]  # uint8, in the file


@contextmanager
def lawful(path: Path) -> Iterator[None]:
    """JSON of another shape than the specification's ends in one InputError, wherever it is looked at."""
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise unreadable(
            path, f"its JSON is not that of a glTF file ({type(error).__name__}: {error!s:.60})"
        ) from error


def read_document(path: Path) -> Document:
    """The JSON and the numbers of a GLB; nothing of the numbers is loaded. InputError where it is none."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        head = file.read(HEADER.size + CHUNK.size)
        if len(head) < HEADER.size + CHUNK.size or head[:4] != MAGIC:
            raise unreadable(path, "it is no GLB file")
        _, version, length = HEADER.unpack_from(head)
        held, kind = CHUNK.unpack_from(head, HEADER.size)
        if version != 2 or length != size:
            raise unreadable(path, f"it says to be glTF {version} of {length} bytes, and takes {size}")
        if kind != b"JSON" or held > min(MAX_JSON, size - len(head)):
            raise unreadable(
                path, f"its first part is of {held} bytes, which is no JSON that a file of {size} can hold"
            )
        try:
            content = json.loads(file.read(held))
        except (ValueError, RecursionError) as error:
            raise unreadable(path, f"its JSON cannot be read ({str(error)[:80]})") from error
        start = file.tell() + CHUNK.size
        found, kind = CHUNK.unpack(file.read(CHUNK.size).ljust(CHUNK.size, b"\0"))
    if not isinstance(content, dict):
        raise unreadable(path, "its JSON holds no object")
    if kind != b"BIN\0" or start + found > size:
        raise unreadable(path, "it holds no numbers of its own, or is cut off")
    data = np.memmap(path, np.uint8, "r", start, (found,)) if found else np.zeros(0, np.uint8)
    return Document(path, content, data)


def entry(found: Any, index: Any) -> Any:
    """An entry of one of glTF's lists, by the number that another entry names; negative ones name none."""
    if type(index) is not int or index < 0:
        raise ValueError(f"{index!s:.20} names no entry")
    return found[index]


def viewed(document: Document, index: Any) -> Annotated[np.ndarray, "bytes"]:
    """The bytes of a buffer view, in the file."""
    view = entry(document.content["bufferViews"], index)
    buffer = entry(document.content["buffers"], view["buffer"])
    if view["buffer"] != 0 or "uri" in buffer:
        raise ValueError("its numbers lie in another file")
    start, length = view.get("byteOffset", 0), view["byteLength"]
    _check_sizes(start, length)
    if start + length > len(document.data):
        raise ValueError(f"its part {index} reaches beyond the file")
    return document.data[start : start + length]


def _check_sizes(*numbers: Any) -> None:
    for number in numbers:
        if type(number) is not int or number < 0:
            raise ValueError(f"{number!s:.20} is no size")


def values(
    document: Document, index: Any, kind: str, stored: set[tuple[int, bool]]
) -> Annotated[np.ndarray, "count n"]:
    """Numbers of an accessor as float32 (not copied where they are), of a kind (VEC3) and in one of some storages."""
    content = document.content
    accessor = entry(content["accessors"], index)
    component, normalized = accessor["componentType"], accessor.get("normalized", False)
    if accessor["type"] != kind or (component, normalized) not in stored:
        raise ValueError(f"accessor {index} holds {accessor['type']!s:.10} of type {component!s:.10}")
    if "sparse" in accessor or "bufferView" not in accessor:
        raise ValueError(f"accessor {index} is sparse or without data, which is not read here")
    held = viewed(document, accessor["bufferView"])
    dtype, count = np.dtype(COMPONENTS[component]), accessor["count"]
    width = WIDTHS[kind] * dtype.itemsize
    stride = entry(content["bufferViews"], accessor["bufferView"]).get("byteStride", width)
    offset = accessor.get("byteOffset", 0)
    _check_sizes(count, stride, offset)
    if count < 1 or stride < width:
        raise ValueError(f"accessor {index} has {count} entries {stride} bytes apart")
    if offset + stride * (count - 1) + width > len(held):
        raise ValueError(f"accessor {index} reaches beyond its part of the file")
    raw = np.ndarray((count, WIDTHS[kind]), dtype, held.data, offset, (stride, dtype.itemsize))
    if component == FLOAT:
        return raw
    most = np.iinfo(dtype).max if normalized else 1
    return np.maximum(raw / np.float32(most), -1 if normalized else -np.inf).astype(np.float32)


def placed_primitives(document: Document) -> Iterator[tuple[dict[str, Any], Annotated[np.ndarray, "4 4"]]]:
    """The primitives of the file's scene, each with its world_from_local; of a file without scenes those of all nodes."""
    content = document.content
    nodes = content.get("nodes", [])
    if "scenes" in content:
        roots = entry(content["scenes"], content.get("scene", 0)).get("nodes", [])
    else:
        inner = {child for node in nodes for child in node.get("children", [])}
        roots = [index for index in range(len(nodes)) if index not in inner]
    waiting = [(index, np.eye(4), 0) for index in reversed(roots)]
    visited: set[int] = set()
    while waiting:
        index, world_from_parent, depth = waiting.pop()
        node = entry(nodes, index)
        if index in visited or depth > MAX_DEPTH:
            raise ValueError(f"node {index} stands in two places")
        visited.add(index)
        world_from_node = world_from_parent @ parent_from_node(node)
        if "mesh" in node:
            for primitive in entry(content["meshes"], node["mesh"])["primitives"]:
                yield primitive, world_from_node
        waiting += [(child, world_from_node, depth + 1) for child in reversed(node.get("children", []))]


def parent_from_node(node: Mapping[str, Any]) -> Annotated[np.ndarray, "4 4"]:
    """A node's own transform: its matrix, or translation, rotation (xyzw) and scale."""
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    x, y, z, w = np.array(node.get("rotation", (0, 0, 0, 1)), np.float64)
    rotation = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(rotation) * np.array(node.get("scale", (1, 1, 1)), np.float64).reshape(1, 3)
    matrix[:3, 3] = np.array(node.get("translation", (0, 0, 0)), np.float64).reshape(3)
    return matrix


def write_points(
    path: Path,
    attributes: Mapping[str, Annotated[np.ndarray, "G n"]],
    extensions: Mapping[str, Any],
    extras: Mapping[str, Any],
    translation: Annotated[np.ndarray, "3"] | None = None,
) -> None:
    """Write one primitive of points: floats as they are, uint16 normalised to 0...1. Bytes depend on values only. A
    `translation` of its node keeps double precision.

    Raises InputError where the file would be larger than a GLB can be.
    """
    _write_primitive(path, POINTS, attributes, None, extensions, extras, translation)


def write_triangles(
    path: Path,
    attributes: Mapping[str, Annotated[np.ndarray, "V n"]],
    faces: Annotated[np.ndarray, "F 3"],
    extras: Mapping[str, Any],
    translation: Annotated[np.ndarray, "3"] | None = None,
) -> None:
    """The same of triangles, whose corners are uint32 indices of vertices."""
    _write_primitive(path, TRIANGLES, attributes, faces, {}, extras, translation)


def _write_primitive(
    path: Path,
    mode: int,
    attributes: Mapping[str, np.ndarray],
    faces: np.ndarray | None,
    extensions: Mapping[str, Any],
    extras: Mapping[str, Any],
    translation: np.ndarray | None,
) -> None:
    arrays = [(name, array, VERTICES) for name, array in attributes.items()]
    if faces is not None:
        arrays.append(("indices", faces.reshape(-1, 1), INDICES))
    accessors, views, offset = [], [], 0
    for name, array, target in arrays:
        count, width = array.shape
        kind = next(kind for kind, n in WIDTHS.items() if n == width)
        code = next(code for code, word in COMPONENTS.items() if np.dtype(word) == array.dtype)
        accessor: dict[str, Any] = {"bufferView": len(views), "componentType": code, "count": count, "type": kind}
        if code != FLOAT and target == VERTICES:
            accessor["normalized"] = True
        if name == "POSITION":
            accessor |= {"min": array.min(0).tolist(), "max": array.max(0).tolist()}
        accessors.append(accessor)
        size = count * width * array.dtype.itemsize
        views.append({"buffer": 0, "byteOffset": offset, "byteLength": size, "target": target})
        offset += size
    primitive: dict[str, Any] = {"mode": mode, "attributes": {name: i for i, name in enumerate(attributes)}}
    if faces is not None:
        primitive["indices"] = len(attributes)
    content: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "recon3d", "extras": dict(extras)},
        "scene": 0, "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0}], "meshes": [{"primitives": [primitive]}],
        "accessors": accessors, "bufferViews": views, "buffers": [{"byteLength": offset}],
    }  # fmt: skip
    if translation is not None and translation.any():
        content["nodes"][0]["translation"] = translation.tolist()
    if extensions:
        primitive["extensions"] = dict(extensions)
        content["extensionsUsed"] = list(extensions)
    _write(path, content, [array for _, array, _ in arrays], offset)


def _write(path: Path, content: Mapping[str, Any], arrays: Sequence[np.ndarray], size: int) -> None:
    text = json.dumps(content, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    length = HEADER.size + 2 * CHUNK.size + len(text) + size
    if length > MAX_FILE:
        raise InputError(
            path, f"it would take {length / 1e9:.1f} GB, and GLB holds 4", "Give --max-gaussians or another format"
        )
    with atomic_file(path) as temporary, open(temporary, "wb") as file:
        file.write(HEADER.pack(MAGIC, 2, length) + CHUNK.pack(len(text), b"JSON") + text + CHUNK.pack(size, b"BIN\0"))
        for array in arrays:
            file.write(np.ascontiguousarray(array).data)


def light(colors: np.ndarray) -> Annotated[np.ndarray, "G 3"]:
    """Display colours, 0 to 1 -> amounts of light in uint16 (IEC 61966-2-1): how glTF keeps the colours of points."""
    shown = np.clip(colors, 0, 1)
    return unsigned(np.where(shown <= 0.04045, shown / 12.92, ((shown + 0.055) / 1.055) ** 2.4))


def unsigned(fractions: np.ndarray) -> np.ndarray:
    """0 to 1 -> uint16, as `write_points` marks them."""
    return np.rint(fractions * 65535.0).astype("<u2")


def srgb_from_linear(colors: np.ndarray) -> np.ndarray:
    """Amounts of light -> display colours; negative amounts stay on the line through 0."""
    return np.where(colors <= 0.0031308, colors * 12.92, 1.055 * np.maximum(colors, 0) ** (1 / 2.4) - 0.055)
