"""COLMAP's binary files (little-endian), both ways. Layout: COLMAP's documentation, "Output Format"."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from recon3d.atomic import atomic_file
from recon3d.core.lens import MODELS, Lens
from recon3d.errors import InputError
from recon3d.io.colmap_records import (
    MODEL_NAMES,
    OTHER_MODELS,
    Image,
    Points,
    checked_image,
    checked_lens,
    checked_points,
    unreadable,
)

CAMERA = struct.Struct("<IiQQ")  # number, model, width, height; then the parameters
POSE = struct.Struct("<I7dI")  # number, quaternion wxyz, translation, camera; then the name, a zero byte, observations
POINT = struct.Struct("<Q3d3BdQ")  # number, position, colour, error, length of the track; then the track
OBSERVATION = np.dtype([("xy", "<f8", 2), ("point", "<u8")])
TRACK_STEP = np.dtype([("image", "<u4"), ("place", "<u4")])


class _Bytes:
    """The bytes of a file, taken from its front; InputError where it ends too early."""

    def __init__(self, path: Path) -> None:
        self.path, self.at = path, 0
        try:
            self.data = path.read_bytes()
        except OSError as error:
            raise InputError(path, f"it cannot be read ({error.strerror})", "Make the file readable") from error

    def claim(self, count: int, each: int) -> int:
        """Where `count` items of at least `each` bytes begin, held against what is left before anything is allocated."""
        if count * each > len(self.data) - self.at:
            raise unreadable(self.path, f"it ends too early: {count} items are declared and {self._left()} bytes left")
        return self.at

    def unpack(self, layout: struct.Struct) -> tuple[Any, ...]:
        start = self.claim(1, layout.size)
        self.at += layout.size
        return layout.unpack_from(self.data, start)

    def array(self, kind: np.dtype, count: int) -> np.ndarray:
        start = self.claim(count, kind.itemsize)
        self.at += count * kind.itemsize
        return np.frombuffer(self.data, kind, count, start)

    def count(self, each: int) -> int:
        """A number of items that follow, of at least `each` bytes."""
        (count,) = self.unpack(struct.Struct("<Q"))
        self.claim(count, each)
        return count

    def text(self) -> str:
        end = self.data.find(b"\0", self.at)
        if end < 0:
            raise unreadable(self.path, "it ends within the name of an image")
        found = self.data[self.at : end].decode("utf-8", "surrogateescape")
        self.at = end + 1
        return found

    def _left(self) -> int:
        return len(self.data) - self.at


def read_cameras(path: Path) -> dict[int, Lens]:
    """Lenses by camera number."""
    file = _Bytes(path)
    lenses: dict[int, Lens] = {}
    for _ in range(file.count(CAMERA.size)):
        camera, model, width, height = file.unpack(CAMERA)
        name = MODEL_NAMES.get(model) or OTHER_MODELS.get(model, f"number {model}")
        # The parameters of a model that is not read cannot be skipped, and need not be: it is refused.
        params = file.array(np.dtype("<f8"), len(MODELS[name][1]) if name in MODELS else 0)
        lenses[camera] = checked_lens(path, camera, name, params.tolist(), height, width)
    return lenses


def read_images(path: Path) -> list[Image]:
    file = _Bytes(path)
    images = []
    for _ in range(file.count(POSE.size + 1 + 8)):
        _, *pose, camera = file.unpack(POSE)
        name = file.text()
        seen = file.array(OBSERVATION, file.count(OBSERVATION.itemsize))
        image = Image(name, camera, np.array(pose[:4]), np.array(pose[4:]), seen["xy"], seen["point"])
        images.append(checked_image(path, image))
    return images


def read_points(path: Path) -> Points:
    """The points; their tracks are stepped over, because the images tell them too, with the pixels."""
    file = _Bytes(path)
    count = file.count(POINT.size)
    ids, errors = np.empty(count, np.uint64), np.empty(count)
    xyz, rgb = np.empty((count, 3)), np.empty((count, 3), np.uint8)
    for i in range(count):
        ids[i], *values, errors[i], length = file.unpack(POINT)
        xyz[i], rgb[i] = values[:3], values[3:]
        file.array(TRACK_STEP, length)
    return checked_points(path, Points(ids, xyz, rgb, errors))


def write_cameras(path: Path, lenses: Sequence[Lens]) -> None:
    """Lens i becomes camera i + 1."""
    with atomic_file(path) as temporary, open(temporary, "wb") as file:
        file.write(struct.pack("<Q", len(lenses)))
        for i, lens in enumerate(lenses):
            file.write(CAMERA.pack(i + 1, MODELS[lens.model][0], lens.width, lens.height))
            file.write(struct.pack(f"<{len(lens.params)}d", *lens.params))


def write_images(path: Path, images: Sequence[Image]) -> None:
    """Image i gets the number i + 1."""
    with atomic_file(path) as temporary, open(temporary, "wb") as file:
        file.write(struct.pack("<Q", len(images)))
        for i, image in enumerate(images):
            seen = np.zeros(len(image.xy), OBSERVATION)
            seen["xy"], seen["point"] = image.xy, image.points
            file.write(POSE.pack(i + 1, *image.quat, *image.translation, image.camera))
            file.write(image.name.encode("utf-8", "surrogateescape") + b"\0")
            file.write(struct.pack("<Q", len(seen)) + seen.tobytes())


def write_points(
    path: Path,
    points: Points,
    track_point: Annotated[np.ndarray, "M"],
    track_image: Annotated[np.ndarray, "M"],
    track_place: Annotated[np.ndarray, "M"],
) -> None:
    """Points with their tracks: observation m is of row track_point[m], in image number track_image[m], at its place there."""
    order = np.argsort(track_point, kind="stable")
    steps = np.zeros(len(order), TRACK_STEP)
    steps["image"], steps["place"] = track_image[order], track_place[order]
    ends = np.cumsum(np.bincount(track_point, minlength=len(points.ids)))
    start = 0
    with atomic_file(path) as temporary, open(temporary, "wb") as file:
        file.write(struct.pack("<Q", len(points.ids)))
        for i, end in enumerate(ends.tolist()):
            head = (int(points.ids[i]), *points.xyz[i].tolist(), *points.rgb[i].tolist(), float(points.errors[i]))
            file.write(POINT.pack(*head, end - start) + steps[start:end].tobytes())
            start = end
