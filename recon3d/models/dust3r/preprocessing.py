"""Photos as DUSt3R and MASt3R were trained to see them: long side 512 or a square of 224, sides multiples of the patch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import numpy as np
import torch
from PIL import Image

from recon3d.errors import InputError
from recon3d.models.pictures import NetworkPictures, scaled_and_moved

SQUARE = 224  # at this size pictures become squares, at every other one they keep their shape


def preprocessed(
    photos: Iterable[Annotated[np.ndarray, "h w 3"]], size: int = 512, patch: int = 16, square_ok: bool = False
) -> tuple[NetworkPictures, ...]:
    """Upright RGB uint8 photos to pictures, 0 to 1, one by one: photos of several shapes give pictures of several sizes.

    The long side becomes `size` (at 224 the short side does) and the middle is cut out, in whole patches. A square photo
    becomes 4:3 unless `square_ok`. Raises InputError for a photo too narrow for one patch.
    """
    return tuple(_prepared(photo, f"photo {i + 1}", size, patch, square_ok) for i, photo in enumerate(photos))


def _prepared(photo: np.ndarray, name: str, size: int, patch: int, square_ok: bool) -> NetworkPictures:
    height, width = photo.shape[:2]
    resized_height, resized_width = resized_size(height, width, size)
    left, top, right, bottom = crop_box(resized_height, resized_width, size, patch, square_ok)
    if right <= left or bottom <= top:
        what = f"it is {width}x{height}, too narrow: at {size} pixels its short side has less than {patch}"
        raise InputError(name, what, "Leave it out, or crop it")
    shrinks = max(height, width) > max(resized_height, resized_width)
    kernel = Image.Resampling.LANCZOS if shrinks else Image.Resampling.BICUBIC
    picture = Image.fromarray(photo).resize((resized_width, resized_height), kernel).crop((left, top, right, bottom))
    image = torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255
    network_from_photo = scaled_and_moved((resized_width / width, resized_height / height), (-left, -top))
    rect = torch.tensor([[0, 0, right - left, bottom - top]], dtype=torch.float64)  # all of it is photo
    return NetworkPictures(image[None], network_from_photo[None], rect)


def resized_size(height: int, width: int, size: int) -> tuple[int, int]:
    """(height, width) before the middle is cut out. Halves round to even."""
    longest = max(height, width)
    target = round(size * max(width / height, height / width)) if size == SQUARE else size
    return round(height * target / longest), round(width * target / longest)


def crop_box(height: int, width: int, size: int, patch: int, square_ok: bool) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the part of a resized photo that the network sees."""
    x, y = width // 2, height // 2
    if size == SQUARE:
        half_width = half_height = min(x, y)
    else:
        half_width, half_height = (2 * x // patch * patch // 2, 2 * y // patch * patch // 2)
        if height == width and not square_ok:
            half_height = 3 * half_width // 4
    return x - half_width, y - half_height, x + half_width, y + half_height
