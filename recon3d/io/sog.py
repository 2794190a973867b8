"""Splats in SOG, PlayCanvas' form for the web: numbers as bytes of lossless pictures. Reads versions 1 and 2, writes 2.

The axes of the file are our world's; nothing is turned. Source: the format's public specification, version 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from recon3d.core.splats import Mode, Splats
from recon3d.errors import InputError
from recon3d.io import sog_container as container
from recon3d.io.bad_rows import kept_rows, not_finite
from recon3d.io.sog_codebooks import codebook, log_cells, morton_order, nearest, palette, palette_size
from recon3d.io.sog_container import Container, unreadable
from recon3d.version import __version__

MOST_SPLATS = 200_000_000  # 20 bytes each at the worst, in a zip of at most 4 GiB
FREE_SPLATS, SPLATS_A_BYTE = 1 << 16, 16  # a file that declares more than so many for its bytes is no scene but a trap
COEFFICIENTS = {1: 3, 2: 8, 3: 15}  # of a number of bands, each colour's beyond degree 0
ENTRIES_A_ROW = 64  # of the palette's picture
MOST_ENTRIES = 1 << 16  # a label has two bytes
FIRST_ROTATION = 252  # the alpha of a rotation whose w is left out; x, y, z follow
ENDS = ("mins", "maxs")
OWN = "recon3d"  # our key of meta.json: the origin of the positions' frame, which SOG has no word for
ROWS_AT_ONCE = 1 << 16  # bounds what lies in memory beside the splats themselves


def read_sog(path: Path | str, note: Callable[[str], None] | None = None) -> Splats:
    """The splats of a .sog, or of the meta.json of a loose one, float32.

    `note` is told what the file holds that was changed or left out. InputError where the file is none, is cut off, lies
    about its sizes, or holds many splats that cannot be rendered.
    """
    path = Path(path)
    with container.opened(path) as opened:
        meta = container.read_meta(opened)
        version = meta.get("version", 1)
        if isinstance(version, bool) or version not in (1, 2):
            what = f"its meta.json states the version {version!r:.20}, and 1 and 2 are read"
            raise InputError(path, what, "Export it as SOG of version 2, or as PLY")
        count = _count(opened, meta, version)
        means = _means(opened, meta, count)
        quats = _quats(opened, meta, count)
        scales = _scales(opened, meta, count, version)
        sh = _harmonics(opened, meta, count, version)
        opacities = _colors(opened, meta, count, version, sh)
    kept = kept_rows(path, {"means": not_finite(means), "scales": not_finite(scales), "colours": not_finite(sh)}, note)
    own = meta.get(OWN)
    origin = container.numbers(own, "origin", range(3, 4), path, OWN) if isinstance(own, dict) else np.zeros(3)
    splats = Splats(means, quats, scales, opacities, sh, mode=_mode(meta, path, note), origin=origin)
    return splats if kept.all() else splats[kept]


def _count(opened: Container, meta: Mapping[str, Any], version: int) -> int:
    """How many splats the file declares, held against the bytes of its pictures."""
    path = opened.path
    means = container.section(meta, "means", path)
    if version == 1:
        shape = means.get("shape")
        if not isinstance(shape, list) or not shape:
            raise unreadable(path, "its meta.json has no means.shape")
        count = container.whole({"count": shape[0]}, "count", MOST_SPLATS, path)
    else:
        count = container.whole(meta, "count", MOST_SPLATS, path)
    held = sum(opened.size_of(name) for name in container.file_names(means, 2, path, "means"))
    if count > FREE_SPLATS + SPLATS_A_BYTE * held:
        raise unreadable(path, f"it declares {count} splats, and their positions take {held} bytes")
    return count


def _mode(meta: Mapping[str, Any], path: Path, note: Callable[[str], None] | None) -> Mode:
    model = meta.get("model", "default")
    known: dict[Any, Mode] = {"default": "default", "antialiased": "antialiased", "2dgs": "2dgs"}
    if isinstance(model, str) and model in known:
        # `antialias` is Spark's name of it; no writer of it is known.
        return "antialiased" if known[model] == "default" and meta.get("antialias") is True else known[model]
    if note:
        note(f"{path}: its render mode {str(model)[:40]!r} is not known and was taken as default")
    return "default"


def _rows(opened: Container, name: str, count: int) -> Annotated[np.ndarray, "G 4"]:
    """The bytes of each splat in a picture, row by row from the top left."""
    return container.read_picture(opened, name, count).reshape(-1, 4)[:count]


def _means(opened: Container, meta: Mapping[str, Any], count: int) -> Annotated[np.ndarray, "G 3"]:
    part = container.section(meta, "means", opened.path)
    lows, highs = (container.numbers(part, key, range(3, 4), opened.path, "means") for key in ("mins", "maxs"))
    low, high = (_rows(opened, name, count) for name in container.file_names(part, 2, opened.path, "means"))
    steps = np.arange(65536) / 65535
    means = np.empty((count, 3), np.float32)
    for axis in range(3):
        with np.errstate(over="ignore", invalid="ignore"):
            t = lows[axis] + ((highs[axis] - lows[axis]) or 1) * steps
            values = (np.sign(t) * np.expm1(np.abs(t))).astype(np.float32)
        means[:, axis] = values[low[:, axis].astype(np.uint16) | high[:, axis].astype(np.uint16) << 8]
    return means


def _quats(opened: Container, meta: Mapping[str, Any], count: int) -> Annotated[np.ndarray, "G 4"]:
    part = container.section(meta, "quats", opened.path)
    rows = _rows(opened, container.file_names(part, 1, opened.path, "quats")[0], count)
    quats = np.empty((count, 4), np.float32)
    values = (np.arange(256) / 255 * 2 - 1) / math.sqrt(2)
    for start in range(0, count, ROWS_AT_ONCE):
        some = rows[start : start + ROWS_AT_ONCE]
        three = values[some[:, :3]]
        largest = np.sqrt(np.maximum(0, 1 - np.square(three).sum(1)))
        out = np.zeros((len(some), 4))
        out[:, 0] = 1  # another alpha: no rotation
        for left_out in range(4):
            here = some[:, 3] == FIRST_ROTATION + left_out
            out[here] = np.insert(three[here], left_out, largest[here], axis=1)
        # Bytes that no writer makes can have three parts longer than 1 together.
        quats[start : start + ROWS_AT_ONCE] = out / np.linalg.norm(out, axis=1, keepdims=True)
    return quats


def _scales(opened: Container, meta: Mapping[str, Any], count: int, version: int) -> Annotated[np.ndarray, "G 3"]:
    part = container.section(meta, "scales", opened.path)
    rows = _rows(opened, container.file_names(part, 1, opened.path, "scales")[0], count)
    scales = np.empty((count, 3), np.float32)
    for axis, logs in enumerate(_tables(opened, part, "scales", 3, version)):
        with np.errstate(over="ignore", under="ignore"):
            values = np.maximum(np.exp(logs), np.finfo(np.float32).tiny).astype(np.float32)
        scales[:, axis] = _looked_up(opened, values, rows[:, axis], "scales")
    return scales


def _tables(
    opened: Container, part: Mapping[str, Any], place: str, channels: int, version: int
) -> list[Annotated[np.ndarray, "values"]]:
    """What the bytes of each channel stand for: one codebook for all, or in version 1 a line from min to max."""
    if version == 2:
        return [container.numbers(part, "codebook", range(1, 257), opened.path, place)] * channels
    return _lines(*(container.numbers(part, key, range(channels, channels + 1), opened.path, place) for key in ENDS))


def _lines(lows: np.ndarray, highs: np.ndarray) -> list[np.ndarray]:
    return [low + (high - low) * np.arange(256) / 255 for low, high in zip(lows, highs, strict=True)]


def _looked_up(opened: Container, table: np.ndarray, index: np.ndarray, place: str) -> np.ndarray:
    if len(table) < 256 and index.size and int(index.max()) >= len(table):
        raise unreadable(opened.path, f"its {place} use entry {int(index.max())} of a codebook of {len(table)}")
    return table[index]


def _colors(
    opened: Container, meta: Mapping[str, Any], count: int, version: int, sh: Annotated[np.ndarray, "G S 3"]
) -> Annotated[np.ndarray, "G"]:
    """Opacities (0 to 1); the colours of degree 0 are put into `sh`."""
    part = container.section(meta, "sh0", opened.path)
    rows = _rows(opened, container.file_names(part, 1, opened.path, "sh0")[0], count)
    tables = _tables(opened, part, "sh0", 4 if version == 1 else 3, version)
    with np.errstate(over="ignore"):
        for channel in range(3):
            sh[:, 0, channel] = _looked_up(opened, tables[channel].astype(np.float32), rows[:, channel], "sh0")
    opacities = np.arange(256) / 255 if version == 2 else np.exp(-np.logaddexp(0, -tables[3]))
    return opacities.astype(np.float32)[rows[:, 3]]


def _harmonics(opened: Container, meta: Mapping[str, Any], count: int, version: int) -> Annotated[np.ndarray, "G S 3"]:
    """Coefficients of every degree, those of degree 0 still empty."""
    if meta.get("shN") is None:
        return np.empty((count, 1, 3), np.float32)
    part, path = container.section(meta, "shN", opened.path), opened.path
    pixels, labels = container.file_names(part, 2, path, "shN")
    width, height = container.picture_size(opened, pixels)
    k = width // ENTRIES_A_ROW
    if k * ENTRIES_A_ROW != width or k not in COEFFICIENTS.values():
        raise unreadable(path, f"its {pixels} is {width} pixels wide, which fits no number of bands")
    if version == 2:
        bands = container.whole(part, "bands", 3, path, "shN.")
        entries = container.whole(part, "count", MOST_ENTRIES, path, "shN.")
        if COEFFICIENTS[bands] != k:
            raise unreadable(path, f"its {pixels} is {width} pixels wide, which does not fit {bands} bands")
        table = _tables(opened, part, "shN", 1, version)[0]
    else:
        entries = min(height * ENTRIES_A_ROW, MOST_ENTRIES)
        ends = {key: [part.get(key)] for key in ENDS}
        table = _lines(*(container.numbers(ends, key, range(1, 2), path, "shN") for key in ENDS))[0]
    rows = -(-entries // ENTRIES_A_ROW)
    centroids = container.read_picture(opened, pixels, rows * width)[:rows, :, :3].reshape(-1, k, 3)[:entries]
    with np.errstate(over="ignore"):
        values = _looked_up(opened, table.astype(np.float32), centroids, "shN")
    # A label beyond the palette means no harmonics: one more entry, of zeros.
    values = np.concatenate([values, np.zeros((1, k, 3), np.float32)])
    index = _rows(opened, labels, count)
    sh = np.empty((count, 1 + k, 3), np.float32)
    for start in range(0, count, ROWS_AT_ONCE):
        some = index[start : start + ROWS_AT_ONCE].astype(np.int64)
        sh[start : start + ROWS_AT_ONCE, 1:] = values[np.minimum(some[:, 0] | some[:, 1] << 8, entries)]
    return sh


def write_sog(path: Path | str, splats: Splats) -> None:
    """Write a .sog of version 2, along a Z-curve. The bytes depend on the values (and the mode) only.

    Raises ValueError where a value cannot be rendered, InputError where there are none or more than the format holds.
    """
    path = Path(path)
    splats.check(f"writing {path}")
    if not 0 < len(splats) <= MOST_SPLATS:
        what = f"SOG holds 1 to {MOST_SPLATS // 10**6} million splats, and these are {len(splats)}"
        raise InputError(path, what, "Keep fewer splats, or write PLY" if len(splats) else "Keep some splats")
    cells, lows, highs = log_cells(splats.means)
    order = morton_order(cells)
    cells, splats = cells[order], splats[order]
    pictures: dict[str, bytes] = {}

    def add(name: str, rows: Annotated[np.ndarray, "G channels"]) -> list[str]:
        pictures[f"{name}.webp"] = container.packed_picture(_picture(rows))
        return [f"{name}.webp"]

    meta: dict[str, Any] = {"version": 2, "asset": {"generator": f"recon3d {__version__}"}, "count": len(splats)}
    if splats.mode != "default":
        meta["model"] = splats.mode
    if splats.origin.any():
        meta[OWN] = {"origin": splats.origin.tolist()}
    files = add("means_l", (cells & 255).astype(np.uint8)) + add("means_u", (cells >> 8).astype(np.uint8))
    meta["means"] = {"mins": lows.tolist(), "maxs": highs.tolist(), "files": files}
    logs = np.log(splats.scales.astype(np.float64))
    entries = codebook(logs)
    meta["scales"] = {"codebook": entries.tolist(), "files": add("scales", nearest(entries, logs))}
    meta["quats"] = {"files": add("quats", _packed_quats(splats.quats))}
    entries = codebook(splats.sh[:, 0])
    opacities = np.rint(splats.opacities[:, None] * 255).astype(np.uint8)
    colors = np.concatenate([nearest(entries, splats.sh[:, 0]), opacities], 1)
    meta["sh0"] = {"codebook": entries.tolist(), "files": add("sh0", colors)}
    if splats.degree:
        entries, centroids, labels = _packed_harmonics(splats.sh[:, 1:])
        pictures["shN_centroids.webp"] = container.packed_picture(_palette_picture(nearest(entries, centroids)))
        files = ["shN_centroids.webp", *add("shN_labels", labels)]
        count = {"count": len(centroids), "bands": splats.degree}
        meta["shN"] = {**count, "codebook": entries.tolist(), "files": files}
    container.write_container(path, meta, pictures)


def _picture(rows: Annotated[np.ndarray, "G channels"]) -> Annotated[np.ndarray, "H W 4"]:
    """Bytes of splats from the top left on, nearly square, sides multiples of 4; alpha 255 where nothing is stored."""
    width = 4 * math.ceil(math.sqrt(len(rows)) / 4)
    height = 4 * math.ceil(len(rows) / (4 * width))
    pixels = np.zeros((height * width, 4), np.uint8)
    pixels[:, 3] = 255
    pixels[: len(rows), : rows.shape[1]] = rows
    return pixels.reshape(height, width, 4)


def _packed_quats(quats: Annotated[np.ndarray, "G 4"]) -> Annotated[np.ndarray, "G 4"]:
    """The three smaller parts and which one is left out; that one is made positive (q and -q are one rotation)."""
    largest = np.abs(quats).argmax(1)[:, None]
    unit = quats / (np.linalg.norm(quats, axis=1, keepdims=True) * np.sign(np.take_along_axis(quats, largest, 1)))
    three = unit[np.arange(4) != largest].reshape(-1, 3)
    steps = np.clip(np.rint((three.astype(np.float64) * math.sqrt(2) + 1) / 2 * 255), 0, 255)
    return np.concatenate([steps, FIRST_ROTATION + largest], 1).astype(np.uint8)


def _packed_harmonics(
    rest: Annotated[np.ndarray, "G k 3"],
) -> tuple[Annotated[np.ndarray, "256"], Annotated[np.ndarray, "E k 3"], Annotated[np.ndarray, "G 2"]]:
    """The codebook, the palette before its numbers are replaced by entries of it, and two bytes of a label a splat."""
    count, k, _ = rest.shape
    centroids, labels = palette(rest.reshape(count, -1), palette_size(count))
    return codebook(centroids), centroids.reshape(-1, k, 3), np.stack([labels & 255, labels >> 8], 1).astype(np.uint8)


def _palette_picture(index: Annotated[np.ndarray, "E k 3"]) -> Annotated[np.ndarray, "H W 4"]:
    """64 entries a row, k pixels each."""
    count, k, _ = index.shape
    height = math.ceil(count / ENTRIES_A_ROW)
    pixels = np.zeros((height * ENTRIES_A_ROW * k, 4), np.uint8)
    pixels[:, 3] = 255
    pixels[: count * k, :3] = index.reshape(-1, 3)
    return pixels.reshape(height, ENTRIES_A_ROW * k, 4)
