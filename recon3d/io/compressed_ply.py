"""Splats in PlayCanvas' compressed PLY: 16 bytes a splat between the bounds of its chunk, harmonics a byte each.

The axes of the file are our world's; nothing is turned.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, BinaryIO

import numpy as np

from recon3d.atomic import atomic_file
from recon3d.core.harmonics import C0
from recon3d.core.splats import Splats
from recon3d.errors import InputError
from recon3d.io import ply_table
from recon3d.io.bad_rows import kept_rows, not_finite
from recon3d.io.ply import MODE_COMMENT, MODE_WORDS, mode_of
from recon3d.io.ply_table import unreadable
from recon3d.io.sog_codebooks import log_cells, morton_order

CHUNK = 256  # splats that share bounds
PACKED = ("packed_position", "packed_rotation", "packed_scale", "packed_color")
BOUNDS = {
    "position": ("x", "y", "z"),
    "scale": ("scale_x", "scale_y", "scale_z"),
    "color": ("r", "g", "b"),  # absent from files of the first writers: 0 to 1
}
WIDEST_LOG = 20.0  # scales are written between its exponential and the inverse of that, as the format's own tools do
REST_COUNTS = (0, 9, 24, 45)  # bytes of harmonics a splat, of degrees 0 to 3


def read_compressed_ply(path: Path | str, note: Callable[[str], None] | None = None) -> Splats:
    """The splats of a compressed PLY, float32; `note` is told of those that cannot be rendered and were left out.

    InputError where the file is none, lies about its length, or holds many such splats.
    """
    path = Path(path)
    with ply_table.opened(path) as file:
        header = ply_table.read_header(file, path)
        chunks, vertices, rest = _tables(file, path, header)
    parts = []
    for start in range(0, len(vertices), ply_table.ROWS_AT_ONCE):
        some = slice(start, start + ply_table.ROWS_AT_ONCE)
        parts.append(_physical(vertices[some], chunks[np.arange(len(vertices))[some] // CHUNK]))
    means, quats, scales, opacities, colors = (np.concatenate(column) for column in zip(*parts, strict=True))
    sh = np.concatenate([colors[:, None], _harmonics(rest)], 1)
    kept = kept_rows(path, {"means": not_finite(means), "scales": not_finite(scales), "colours": not_finite(sh)}, note)
    splats = Splats(means, quats, scales, opacities, sh, mode=mode_of(header.comments))
    return splats if kept.all() else splats[kept]


def _tables(file: BinaryIO, path: Path, header: ply_table.Header) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rows of chunks (structured), of splats [G,4] (uint32) and of harmonics [G,n] (uint8), all lengths checked."""
    chunk, vertex, rest = (header.element(name) for name in ("chunk", "vertex", "sh"))
    if (
        not header.order
        or chunk is None
        or vertex is None
        or any(dict(vertex.properties).get(n) != "u4" for n in PACKED)
    ):
        raise InputError(path, "it holds no compressed splats", "Give a compressed PLY of PlayCanvas' tools")
    missing = [n for n in _bounds("position") + _bounds("scale") if n not in chunk.names]
    if missing:
        raise unreadable(path, f"its chunks have no {', '.join(missing[:4])}")
    if vertex.count == 0:
        raise InputError(path, "it holds no splats (a count of 0)", "Give a compressed PLY with splats")
    if chunk.count < math.ceil(vertex.count / CHUNK):
        raise unreadable(path, f"it has {chunk.count} chunks of {CHUNK} splats for {vertex.count}")
    names = [] if rest is None else [f"f_rest_{i}" for i in range(len(rest.names))]
    if rest is not None:
        if len(names) not in REST_COUNTS or dict(rest.properties) != dict.fromkeys(names, "u1"):
            raise unreadable(path, f"its harmonics have {len(names)} properties, which is no whole number of degrees")
        if rest.count != vertex.count:
            raise unreadable(path, f"it has harmonics of {rest.count} splats, and {vertex.count} splats")

    def table(element: ply_table.Element) -> list[np.ndarray]:
        return list(ply_table.rows(file, path, header, element))

    # The largest element comes last in every file, so that one look at its end refuses a file that is cut off.
    bytes_of_rest = (
        [np.stack([part[n] for n in names], 1) for part in table(rest)] if rest is not None and names else []
    )
    packed = [np.stack([part[n].astype(np.uint32) for n in PACKED], 1) for part in table(vertex)]
    harmonics = np.concatenate(bytes_of_rest) if bytes_of_rest else np.zeros((vertex.count, 0), np.uint8)
    return np.concatenate(table(chunk)), np.concatenate(packed), harmonics


def _bounds(kind: str) -> list[str]:
    return [f"{end}_{name}" for end in ("min", "max") for name in BOUNDS[kind]]


def _physical(packed: Annotated[np.ndarray, "G 4"], chunks: np.ndarray) -> tuple[np.ndarray, ...]:
    """means, quats, scales, opacities and f_dc (float32) of splats, each with its chunk."""

    def between(fractions: np.ndarray, kind: str) -> np.ndarray:
        if any(name not in (chunks.dtype.names or ()) for name in _bounds(kind)):
            return fractions
        ends = np.stack([chunks[name].astype(np.float64) for name in _bounds(kind)], 1)
        return ends[:, :3] + (ends[:, 3:] - ends[:, :3]) * fractions

    rgba = packed[:, 3:] >> np.array([24, 16, 8, 0], np.uint32) & 255
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        means = between(_fractions(packed[:, 0]), "position").astype(np.float32)
        logs = between(_fractions(packed[:, 2]), "scale")
        scales = np.maximum(np.exp(logs), np.finfo(np.float32).tiny).astype(np.float32)
        colors = ((between(rgba[:, :3] / 255, "color") - 0.5) / C0).astype(np.float32)
    return means, _quats(packed[:, 1]), scales, (rgba[:, 3] / 255).astype(np.float32), colors


def _fractions(packed: Annotated[np.ndarray, "G"]) -> Annotated[np.ndarray, "G 3"]:
    """Three numbers from 0 to 1, of 11, 10 and 11 bits from the highest."""
    return np.stack([(packed >> 21) / 2047, (packed >> 11 & 1023) / 1023, (packed & 2047) / 2047], 1)


def _quats(packed: Annotated[np.ndarray, "G"]) -> Annotated[np.ndarray, "G 4"]:
    """Two bits name the largest component (w, x, y, z), which is left out; the others follow in 10 bits each."""
    bits = packed[:, None] >> np.array([20, 10, 0], np.uint32) & 1023
    three = (bits / 1023 - 0.5) * math.sqrt(2)
    largest = np.sqrt(np.maximum(0, 1 - np.square(three).sum(1)))
    quats = np.empty((len(packed), 4))
    for left_out in range(4):
        here = packed >> 30 == left_out
        quats[here] = np.insert(three[here], left_out, largest[here], axis=1)
    # Bits that no writer makes can have three parts longer than 1 together.
    return (quats / np.linalg.norm(quats, axis=1, keepdims=True)).astype(np.float32)


def _harmonics(rest: Annotated[np.ndarray, "G n"]) -> Annotated[np.ndarray, "G k 3"]:
    """Coefficients beyond degree 0; the bytes are channel-major, centres of 256 cells but for the two ends."""
    values = (np.arange(256) + 0.5) / 256
    values[[0, 255]] = 0, 1
    return ((values - 0.5) * 8).astype(np.float32)[rest].reshape(len(rest), 3, -1).transpose(0, 2, 1)


def write_compressed_ply(path: Path | str, splats: Splats) -> None:
    """Write splats along a Z-curve, so that the 256 of a chunk lie together. The bytes depend on the values (and the mode) only.

    Raises ValueError where a value cannot be rendered, InputError where there are no splats.
    """
    path = Path(path)
    splats.check(f"writing {path}")
    if not len(splats):
        raise InputError(path, "there are no splats to write", "Give a scene with splats")
    splats = splats[morton_order(log_cells(splats.means)[0])]
    scales = np.log(splats.scales.astype(np.float64)).clip(-WIDEST_LOG, WIDEST_LOG)
    colors = 0.5 + C0 * splats.sh[:, 0].astype(np.float64)
    bounds, fractions = zip(*(_within_chunks(values) for values in (splats.means, scales, colors)), strict=True)
    rgba = np.concatenate([fractions[2], splats.opacities[:, None]], 1)
    packed = [
        _packed(fractions[0], (11, 10, 11)), _packed_quats(splats.quats), _packed(fractions[1], (11, 10, 11)),
        _packed(rgba, (8, 8, 8, 8)),
    ]  # fmt: skip
    rest = splats.sh[:, 1:].transpose(0, 2, 1).reshape(len(splats), -1)
    header = _header(splats, -(-len(splats) // CHUNK), rest.shape[1])
    with atomic_file(path) as temporary, open(temporary, "wb") as file:
        file.write(header.encode("ascii"))
        file.write(np.concatenate(bounds, 1).astype("<f4").tobytes())
        file.write(np.stack(packed, 1).astype("<u4").tobytes())
        # 256 cells of 1/32 from -4 to 4
        file.write((rest.astype(np.float64) * 32 + 128).clip(0, 255).astype(np.uint8).tobytes())


def _header(splats: Splats, chunks: int, rest: int) -> str:
    lines = ["ply", "format binary_little_endian 1.0"]
    if splats.mode != "default":
        lines.append(f"comment {MODE_COMMENT} {MODE_WORDS[splats.mode]}")
    lines.append(f"element chunk {chunks}")
    lines += [f"property float {name}" for kind in BOUNDS for name in _bounds(kind)]
    lines.append(f"element vertex {len(splats)}")
    lines += [f"property uint {name}" for name in PACKED]
    if rest:
        lines.append(f"element sh {len(splats)}")
        lines += [f"property uchar f_rest_{i}" for i in range(rest)]
    return "\n".join([*lines, "end_header", ""])


def _within_chunks(values: Annotated[np.ndarray, "G 3"]) -> tuple[Annotated[np.ndarray, "C 6"], Annotated[np.ndarray, "G 3"]]:
    """The least and the greatest of each chunk (float32), and where between them each value lies."""
    values = values.astype(np.float32)
    starts = np.arange(0, len(values), CHUNK)
    ends = [end.reduceat(values, starts, axis=0) for end in (np.minimum, np.maximum)]
    low, high = (end.astype(np.float64)[np.arange(len(values)) // CHUNK] for end in ends)
    return np.concatenate(ends, 1), (values - low) / np.where(high > low, high - low, 1)


def _packed(fractions: Annotated[np.ndarray, "G n"], bits: tuple[int, ...]) -> Annotated[np.ndarray, "G"]:
    """Numbers from 0 to 1 in so many bits each, from the highest on."""
    word = np.zeros(len(fractions), np.uint32)
    for column, width in zip(fractions.T, bits, strict=True):
        most = (1 << width) - 1
        word = word << np.uint32(width) | np.rint(column.clip(0, 1) * most).astype(np.uint32)
    return word


def _packed_quats(quats: Annotated[np.ndarray, "G 4"]) -> Annotated[np.ndarray, "G"]:
    largest = np.abs(quats).argmax(1)[:, None]
    unit = quats.astype(np.float64) / np.linalg.norm(quats, axis=1, keepdims=True)
    unit *= np.where(np.take_along_axis(unit, largest, 1) < 0, -1, 1)
    three = unit[np.arange(4) != largest].reshape(-1, 3)
    return _packed(three / math.sqrt(2) + 0.5, (10, 10, 10)) | largest[:, 0].astype(np.uint32) << np.uint32(30)
