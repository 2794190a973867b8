"""Photos as Depth Anything 3 was trained to see them: longer side 504 pixels, sides multiples of 14, the shape nearly kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

import cv2
import numpy as np
import torch

from recon3d.errors import InputError
from recon3d.models.pictures import NetworkPictures, scaled_and_moved

SIZE = 504  # pixels, of the longer side
Method = Literal["upper_bound_resize", "upper_bound_crop", "lower_bound_resize", "lower_bound_crop"]


@dataclass(frozen=True)
class _Prepared:
    """A resized photo, whose corner lies at `offset` (x, y) of its pixels, and pixels for one of the photo (x, y)."""

    pixels: Annotated[np.ndarray, "h w 3"]
    scale: tuple[float, float]
    offset: tuple[int, int] = (0, 0)


def preprocessed(
    photos: Iterable[Annotated[np.ndarray, "h w 3"]], method: Method = "upper_bound_resize", size: int = SIZE,
    patch: int = 14,
) -> NetworkPictures:  # fmt: skip
    """Upright RGB uint8 photos to pictures of one size, 0 to 1, by OpenCV's filters on 8 bits.

    "upper_bound": the longer side becomes `size`; "lower_bound": the shorter one does. Sides then become multiples of the
    patch, by another "resize" to the nearest or by a centred "crop" to the next below. Photos of several sizes are cropped
    in the middle to the smallest height and the smallest width. Raises InputError for a photo too narrow for one patch.
    """
    prepared = []
    for i, photo in enumerate(photos):
        bounded = _resized(_Prepared(photo, (1, 1)), bounded_size(photo.shape[:2], method, size))
        height, width = whole_patches(bounded.pixels.shape[:2], method, patch)
        if min(height, width) == 0:
            what = f"it is {photo.shape[1]}x{photo.shape[0]}, too narrow: at {size} pixels it has no place for a patch"
            raise InputError(f"photo {i + 1}", what, "Leave it out, or crop it")
        prepared.append((_cropped if method.endswith("crop") else _resized)(bounded, (height, width)))
    height, width = (min(p.pixels.shape[axis] for p in prepared) for axis in (0, 1))
    prepared = [_cropped(p, (height, width)) for p in prepared]
    images = torch.from_numpy(np.stack([p.pixels for p in prepared])).permute(0, 3, 1, 2).float() / 255
    maps = torch.stack([scaled_and_moved(p.scale, p.offset) for p in prepared])
    whole = torch.tensor([0, 0, width, height], dtype=torch.float64)
    return NetworkPictures(images, maps, whole.repeat(len(prepared), 1))


def bounded_size(size: tuple[int, ...], method: Method, bound: int) -> tuple[int, int]:
    """(height, width) with the longer or the shorter side at `bound`. Halves round to even."""
    factor = bound / (max(size) if method.startswith("upper") else min(size))
    height, width = (max(1, round(side * factor)) for side in size)
    return height, width


def whole_patches(size: tuple[int, ...], method: Method, patch: int) -> tuple[int, int]:
    """(height, width) in multiples of the patch: the next below for a crop, else the nearest; the middle of two goes up."""
    more = 0 if method.endswith("crop") else patch // 2
    height, width = ((side + more) // patch * patch for side in size)
    return height, width


def _resized(p: _Prepared, size: tuple[int, int]) -> _Prepared:
    """Cubic where a side grows, the mean over areas where none does: what the networks saw in training."""
    height, width = p.pixels.shape[:2]
    if size == (height, width):
        return p
    grows = size[0] > height or size[1] > width
    pixels = cv2.resize(p.pixels, (size[1], size[0]), interpolation=cv2.INTER_CUBIC if grows else cv2.INTER_AREA)
    return _Prepared(pixels, (p.scale[0] * size[1] / width, p.scale[1] * size[0] / height))


def _cropped(p: _Prepared, size: tuple[int, int]) -> _Prepared:
    """The middle of `size` (height, width)."""
    top, left = (p.pixels.shape[0] - size[0]) // 2, (p.pixels.shape[1] - size[1]) // 2
    pixels = p.pixels[top : top + size[0], left : left + size[1]]
    return _Prepared(pixels, p.scale, (p.offset[0] - left, p.offset[1] - top))
