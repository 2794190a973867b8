"""Photos as VGGT and the networks after it were trained to see them: 518 pixels wide, sides multiples of 14."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from PIL import Image

from recon3d.models.pictures import NetworkPictures, scaled_and_moved

Mode = Literal["crop", "pad", "square"]


@dataclass(frozen=True)
class _Placed:
    """Resized pixels, where they go in a picture of `size` (height, width), and where the photo in them is."""

    pixels: Annotated[np.ndarray, "h w 3"]
    at: tuple[int, int]  # x, y of the first pixel; negative where the photo is cropped
    scale: tuple[float, float]  # x, y: pixels of the picture for one of the photo
    offset: tuple[float, float]  # x, y of the photo's corner
    size: tuple[int, int]


def preprocessed(
    photos: Iterable[Annotated[np.ndarray, "h w 3"]], mode: Mode = "crop", target: int = 518, patch: int = 14
) -> NetworkPictures:
    """Upright RGB uint8 photos to pictures of one size, 0 to 1, by Pillow's bicubic filter on 8 bits.

    "crop": the width becomes `target`, a height above it is cropped. "pad": the longer side becomes `target`, white fills
    the square. "square": the photo in a black square, resized to `target`. Photos of several sizes are padded with white to
    the largest.
    """
    prepare = {"crop": _cropped, "pad": _padded, "square": _squared}[mode]
    placed, photo_sizes = [], []
    for photo in photos:
        placed.append(prepare(photo, target, patch))
        photo_sizes.append(photo.shape[:2])
    size = (max(p.size[0] for p in placed), max(p.size[1] for p in placed))
    images, maps, rects = [], [], []
    for p, (height, width) in zip(placed, photo_sizes, strict=True):
        left, top = (size[1] - p.size[1]) // 2, (size[0] - p.size[0]) // 2
        x, y = p.offset[0] + left, p.offset[1] + top
        images.append(_laid(p, size, (left, top)))
        maps.append(scaled_and_moved(p.scale, (x, y)))
        shown = (p.scale[0] * width, p.scale[1] * height)
        corners = max(x, left), max(y, top), min(x + shown[0], left + p.size[1]), min(y + shown[1], top + p.size[0])
        rects.append(torch.tensor(corners, dtype=torch.float64))
    stacked = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255
    return NetworkPictures(stacked, torch.stack(maps), torch.stack(rects))


def _cropped(photo: np.ndarray, target: int, patch: int) -> _Placed:
    height, width = photo.shape[:2]
    new_height = _multiple(height * (target / width), patch)
    kept = min(new_height, target)
    offset = (0, -((new_height - kept) // 2))
    scale = (target / width, new_height / height)
    return _Placed(_resized(photo, (new_height, target)), offset, scale, offset, (kept, target))


def _padded(photo: np.ndarray, target: int, patch: int) -> _Placed:
    height, width = photo.shape[:2]
    longer = max(height, width)
    new_width = target if width == longer else _multiple(width * (target / longer), patch)
    new_height = target if width != longer else _multiple(height * (target / longer), patch)
    offset = ((target - new_width) // 2, (target - new_height) // 2)
    scale = (new_width / width, new_height / height)
    return _Placed(_resized(photo, (new_height, new_width)), offset, scale, offset, (target, target))


def _squared(photo: np.ndarray, target: int, patch: int) -> _Placed:
    height, width = photo.shape[:2]
    side = max(height, width)
    square = np.zeros((side, side, 3), np.uint8)
    x, y = (side - width) // 2, (side - height) // 2
    square[y : y + height, x : x + width] = photo
    scale = target / side
    offset = (x * scale, y * scale)
    return _Placed(_resized(square, (target, target)), (0, 0), (scale, scale), offset, (target, target))


def _laid(p: _Placed, size: tuple[int, int], corner: tuple[int, int]) -> Annotated[np.ndarray, "H W 3"]:
    """A white picture of `size` with the pixels in their place; what would lie outside of it is cropped."""
    picture = np.full((*size, 3), 255, np.uint8)
    inside = picture[corner[1] : corner[1] + p.size[0], corner[0] : corner[0] + p.size[1]]
    x, y = p.at
    pixels = p.pixels[max(-y, 0) :, max(-x, 0) :][: p.size[0], : p.size[1]]
    inside[max(y, 0) : max(y, 0) + pixels.shape[0], max(x, 0) : max(x, 0) + pixels.shape[1]] = pixels
    return picture


def _multiple(side: float, patch: int) -> int:
    """To the nearest multiple of the patch, halves to even; a sliver of a photo keeps one row of patches."""
    return max(round(side / patch), 1) * patch


def _resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).resize((size[1], size[0]), Image.Resampling.BICUBIC))
