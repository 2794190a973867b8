"""COLMAP's text files, read only. Layout: COLMAP's documentation, "Output Format"."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from recon3d.core.lens import Lens
from recon3d.errors import InputError
from recon3d.io.colmap_records import Image, Points, checked_image, checked_lens, checked_points, unreadable

NO_POINT = np.iinfo(np.uint64).max  # as the binary files say it; the text says -1


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """(line number from 1, line) of a file without its comments; blank lines are kept, they can mean something."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            for i, line in enumerate(file):
                if not line.startswith("#"):
                    yield i + 1, line.strip()
    except OSError as error:
        raise InputError(path, f"it cannot be read ({error.strerror})", "Make the file readable") from error


@contextmanager
def _line(path: Path, number: int) -> Iterator[None]:
    """Whatever fails to be a number inside is that line's fault."""
    try:
        yield
    except (ValueError, OverflowError) as error:
        raise unreadable(path, f"line {number} is not what COLMAP writes there") from error


def read_cameras(path: Path) -> dict[int, Lens]:
    """Lenses by camera number."""
    lenses: dict[int, Lens] = {}
    for number, line in _lines(path):
        if line:
            with _line(path, number):
                camera, model, width, height, *params = line.split()
                values = [float(value) for value in params]
                lenses[int(camera)] = checked_lens(path, int(camera), model, values, int(height), int(width))
    return lenses


def read_images(path: Path) -> list[Image]:
    """Two lines an image: its pose and name, then what it observes. The latter may be blank, and absent at a file's end."""
    images = []
    lines = _lines(path)
    for number, line in lines:
        if not line:
            continue
        with _line(path, number):
            _, *pose, camera, name = line.split(maxsplit=9)
            values = np.array([float(value) for value in pose])
            if len(values) != 7:
                raise ValueError("seven numbers make a pose")
        number, seen = next(lines, (number, ""))
        with _line(path, number):
            table = np.array(seen.split(), dtype=object).reshape(-1, 3)
            xy = table[:, :2].astype(np.float64)
            points = np.array([_point(value) for value in table[:, 2]], np.uint64)
            images.append(checked_image(path, Image(name, int(camera), values[:4], values[4:], xy, points)))
    return images


def _point(word: str) -> int:
    number = int(word)
    if not -1 <= number < NO_POINT:
        raise ValueError("no number of a point")
    return NO_POINT if number == -1 else number


def read_points(path: Path) -> Points:
    """The points; their tracks are left to the images, which tell them with the pixels."""
    ids, xyz, rgb, errors = [], [], [], []
    for number, line in _lines(path):
        if line:
            with _line(path, number):
                words = line.split()
                if len(words) < 8 or len(words) % 2:
                    raise ValueError("a point has eight words and a track of pairs")
                ids.append(_point(words[0]))
                xyz.append([float(value) for value in words[1:4]])
                rgb.append(np.array([int(value) for value in words[4:7]], np.uint8))
                errors.append(float(words[7]))
    if not ids:
        return Points.none()
    return checked_points(path, Points(np.array(ids, np.uint64), np.array(xyz), np.array(rgb), np.array(errors)))
