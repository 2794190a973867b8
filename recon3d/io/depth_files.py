"""Depth of one photo from a file of another program: .npy, .npz, .exr or a 16-bit .png; and to one of ours. Loads no torch.

Whatever the file, what comes out is z-depth, float32, 0 where it is unknown (docs/predictions.md).
"""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Annotated, BinaryIO

import cv2
import numpy as np

from recon3d.errors import InputError
from recon3d.io.exr import read_exr
from recon3d.io.photos import check_size, opened
from recon3d.io.pictures import write_picture

SUFFIXES = (".npy", ".npz", ".exr", ".png")
NUMBERS = "fiu"  # kinds of numpy's types: floats and integers
NAMED = "depth"  # the array of an .npz that holds several
NO_HEADER = (ValueError, SyntaxError, TokenError)  # numpy reads a header as a Python literal
REMEDY = "Write it again, as numpy.save does for an array [height, width] of numbers"
COPY = "Copy it again, or write it anew"
OR_WITHOUT = "Copy the run's folder again, or remove its folder depth to start from its points"
DAMAGED = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError)
WRITTEN = ("depth", "confidence", "K")  # the arrays of our own files
LARGEST = 1 << 15  # pixels that a side of a working picture has at most
SHOWN = (0.02, 0.98)  # quantiles of inverse depth that a picture spans


def read_depth(path: Path, size: tuple[int, int], scale: float = 1.0) -> Annotated[np.ndarray, "H W"]:
    """z-depth of a photo of (height, width) `size`. `scale` is one step of a PNG's integers in world units.

    What is not finite or not positive is unknown. InputError where the file is damaged or holds something else, depth of
    another size, or no depth at all.
    """
    suffix = path.suffix.lower()
    if suffix == ".png":
        depth = _read_png(path, size).astype(np.float64) * scale
    else:
        depth = {".npy": _read_npy, ".npz": _read_npz, ".exr": read_exr}[suffix](path, size)
    with np.errstate(over="ignore"):
        depth = depth.astype(np.float32)
    depth[~(np.isfinite(depth) & (depth > 0))] = 0
    if not depth.any():
        raise InputError(path, "no pixel of it has a depth", "Leave the file out where nothing is known of a photo")
    return depth


def read_scale(path: Path) -> float:
    """The number in a scale.txt: one step of the integers of PNG files, in world units."""
    try:
        with open(path, encoding="utf-8") as file:
            scale = float(file.read(100))
    except (OSError, ValueError):
        scale = math.nan
    if not (math.isfinite(scale) and scale > 0):
        raise InputError(path, "it is not one positive number", "Write one step of the PNG files in world units, as 0.001")
    return scale


def write_depth(
    path: Path, depth: Annotated[np.ndarray, "H W"], confidence: Annotated[np.ndarray, "H W"], K: Annotated[np.ndarray, "3 3"]
) -> None:
    """An .npz with `depth` (float32 z-depth in world units, 0 unknown), `confidence` (float32, 0 to 1; 0: masked or sky) and
    the `K` (float64, pixels) of a camera for these pixels; and a .png of the same name to look at."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {"depth": depth.astype(np.float32), "confidence": confidence.astype(np.float32), "K": K.astype(np.float64)}
    np.savez_compressed(path, **arrays)
    write_picture(path.with_suffix(".png"), depth_picture(depth))


@dataclass(frozen=True)
class WrittenDepth:
    """What write_depth wrote of one photo."""

    depth: Annotated[np.ndarray, "H W"]  # float32, z-depth in world units, 0 unknown
    confidence: Annotated[np.ndarray, "H W"]  # float32, 0 to 1
    K: Annotated[np.ndarray, "3 3"]  # float64, pixels of these arrays


def read_written(path: Path, photo: tuple[int, int]) -> WrittenDepth:
    """What write_depth wrote of a photo of (height, width) `photo`, at whatever working size; may be unknown everywhere.

    What is not finite or not positive is unknown, and confidence keeps to 0 to 1. InputError where the file is damaged,
    holds something else, or pictures of another shape than the photo's.
    """
    try:
        with zipfile.ZipFile(path) as held:
            missing = [name for name in WRITTEN if f"{name}.npy" not in held.namelist()]
            if missing:
                raise InputError(path, f"it holds no {missing[0]}: recon3d did not write it", OR_WITHOUT)
            with held.open("depth.npy") as file:
                depth = _array(file, path, photo, _check_working)  # type: ignore[arg-type]
            with held.open("confidence.npy") as file:
                confidence = _array(file, path, depth.shape)  # type: ignore[arg-type]
            with held.open("K.npy") as file:
                K = _array(file, path, (3, 3))  # type: ignore[arg-type]
    except DAMAGED as error:
        raise InputError(path, f"it is no .npz, or damaged ({str(error)[:60]})", OR_WITHOUT) from error
    with np.errstate(over="ignore", invalid="ignore"):
        depth, confidence = depth.astype(np.float32), confidence.astype(np.float32)
    depth[~(np.isfinite(depth) & (depth > 0))] = 0
    confidence[~np.isfinite(confidence)] = 0
    return WrittenDepth(depth, confidence.clip(0, 1), K.astype(np.float64))


def _check_working(path: Path, sides: tuple[int, ...], photo: tuple[int, int]) -> None:
    """A working picture is at most as large as its photo and has its shape, to the pixel that rounding makes."""
    height, width = sides
    shrunk = (max(sides) or 1) / max(photo)
    alike = all(abs(side - shrunk * of_photo) <= 1 for side, of_photo in zip(sides, photo, strict=True))
    if min(sides) < 1 or max(sides) > min(max(photo), LARGEST) or not alike:
        what = f"it is {width}x{height}, which no picture of a photo of {photo[1]}x{photo[0]} pixels is"
        raise InputError(path, what, OR_WITHOUT)


def depth_picture(depth: Annotated[np.ndarray, "H W"]) -> Annotated[np.ndarray, "H W 3"]:
    """Inverse depth in colours, red is near; the range is that of nearly all pixels, black is unknown."""
    known = depth > 0
    inverse = np.divide(1, depth, out=np.zeros(depth.shape, np.float64), where=known)
    low, high = np.quantile(inverse[known], SHOWN) if known.any() else (0.0, 0.0)
    share = ((inverse - low) / max(high - low, 1e-12)).clip(0, 1)
    colors = cv2.applyColorMap((255 * share).round().astype(np.uint8), cv2.COLORMAP_TURBO)[..., ::-1]
    return np.where(known[..., None], colors, np.uint8(0))


def _read_png(path: Path, size: tuple[int, int]) -> Annotated[np.ndarray, "H W"]:
    with opened(path) as (image, _):
        if image.format != "PNG" or not image.mode.startswith("I"):
            what = f"it is no PNG of one channel with 16 bits ({image.format}, {image.mode})"
            raise InputError(path, what, "Write depth as 16-bit integers, or as .npy")
        check_size(path, image.size[::-1], size)
        image.load()
        return np.asarray(image)


def _read_npy(path: Path, size: tuple[int, int]) -> Annotated[np.ndarray, "H W"]:
    try:
        with open(path, "rb") as file:
            return _array(file, path, size)
    except OSError as error:
        raise InputError(path, f"it cannot be read ({error.strerror})", COPY) from error


def npz_size(path: Path) -> tuple[int, int]:
    """(height, width) of the depth in an .npz. Raises InputError as `read_depth` does."""
    with _in_npz(path) as file:
        return _header(file, path)[0]


def _read_npz(path: Path, size: tuple[int, int]) -> Annotated[np.ndarray, "H W"]:
    with _in_npz(path) as file:
        return _array(file, path, size)


@contextmanager
def _in_npz(path: Path) -> Iterator[BinaryIO]:
    """The only array of the file, or the one that is named depth."""
    try:
        with zipfile.ZipFile(path) as held:
            names = [name.removesuffix(".npy") for name in held.namelist()]
            if len(names) != 1 and NAMED not in names:
                what = f"it holds {len(names)} arrays ({', '.join(names)[:60]}), none of them named {NAMED}"
                raise InputError(path, what, f"Name the array {NAMED}: numpy.savez(file, {NAMED}=...)")
            with held.open(held.infolist()[names.index(NAMED) if NAMED in names else 0]) as file:
                yield file  # type: ignore[misc]
    except DAMAGED as error:
        raise InputError(path, f"it is no .npz, or damaged ({str(error)[:60]})", COPY) from error


def _header(file: BinaryIO, path: Path) -> tuple[tuple[int, int], bool, np.dtype]:
    """Of an array in numpy's format 1.0 (NEP 1): (height, width), whether it goes by columns, and the type of its values."""
    try:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("another version of the format")
        shape, by_columns, kind = np.lib.format.read_array_header_1_0(file)
    except NO_HEADER as error:
        raise InputError(path, f"it holds no array of numpy ({str(error)[:60]})", REMEDY) from error
    if kind.kind not in NUMBERS:
        raise InputError(path, f"its values are of the type {kind}, not numbers", REMEDY)
    sides = tuple(side for side in shape if side != 1) if len(shape) == 3 else shape
    if len(sides) != 2:
        raise InputError(path, f"its array has the shape {[*shape]}, not [height, width]", REMEDY)
    return (sides[0], sides[1]), by_columns, kind


def _array(
    file: BinaryIO, path: Path, size: tuple[int, ...], fits: Callable[[Path, tuple[int, ...], tuple[int, int]], None] = check_size
) -> Annotated[np.ndarray, "H W"]:  # fmt: skip
    """The array. Its shape is held against the photo's size before its values are read."""
    sides, by_columns, kind = _header(file, path)
    fits(path, sides, (size[0], size[1]))
    wanted = sides[0] * sides[1] * kind.itemsize
    data = file.read(wanted + 1)  # one more, so that the end is seen and a zip's checksum is held against its bytes
    if len(data) != wanted:
        raise InputError(path, f"its array needs {wanted} bytes, and the file does not hold just these", COPY)
    return np.frombuffer(data, kind).reshape(sides, order="F" if by_columns else "C")
