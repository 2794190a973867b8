"""Photos as a pinhole camera would have taken them: at working size for the pipeline, at full size for the output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

import cv2
import numpy as np
import torch
from torch import Tensor

from recon3d.core.cameras import fitted_size, resize_map
from recon3d.core.lens import Lens, undistorted, undistortion_map
from recon3d.core.views import Views
from recon3d.errors import InputError
from recon3d.io.photos import OPAQUE, read_photo, resize, resize_mask

OVERSAMPLING = 2  # a photo is bent at this multiple of the working size, then reduced: as sharp as bent at full size
STRIP = 128  # rows bent at a time: the map of a whole photo takes three times the photo's memory
NODE = 4  # pixels between which the map is linear: off by 0.03 px for a fisheye of 100 px, by less the larger the picture


def undistorted_views(views: Views, max_size: int) -> Views:
    """The same views without distortion at working size, read again from the full-size photos; every lens must be known.

    `lenses` stay those of the photos as taken: the pinhole of an undistorted photo is `core.lens.undistorted` of it.
    """
    images: list[Tensor] = []
    masks: list[Tensor | None] = []
    for i in range(len(views)):
        image, mask = _working_size(views, i, max_size)
        images.append(image)
        masks.append(mask)
    sizes = [tuple(int(x) for x in size) for size in views.photo_sizes]
    maps = [resize_map((h, w), (image.shape[1], image.shape[2])) for (h, w), image in zip(sizes, images, strict=True)]
    return replace(
        views,
        images=tuple(images),
        masks=None if all(mask is None for mask in masks) else tuple(masks),
        pixel_from_photo=torch.stack(maps),
        undistorted=True,
    )


def undistorted_photo(views: Views, i: int) -> Annotated[np.ndarray, "H W 3"]:
    """The undistorted photo of view i at full size, rgb uint8."""
    rgb, _ = read_photo(views.sources[i])
    return undistorted_pixels(rgb, _lens(views, i), views.names[i])


def undistorted_pixels(rgb: Annotated[np.ndarray, "H W 3"], lens: Lens, name: str) -> Annotated[np.ndarray, "H W 3"]:
    """A photo of `lens` as the pinhole of `core.lens.undistorted` sees it."""
    return rgb if lens.is_pinhole else _bent(rgb, lens, undistorted_lens(lens, name), cv2.INTER_CUBIC)


def undistorted_lens(lens: Lens, name: str) -> Lens:
    """The pinhole of an undistorted photo. Raises InputError that names the photo where no flat picture shows it."""
    try:
        return undistorted(lens)
    except ValueError as error:
        remedy = "Crop the photos, or give cameras of undistorted ones"
        raise InputError(name, f"it sees too wide for a flat picture: {error}", remedy) from error


def undistorted_mask(views: Views, i: int) -> Annotated[np.ndarray, "H W"] | None:
    """Where the undistorted full-size photo of view i may be used (bool), or None for everywhere."""
    if views.mask(i) is None:
        return None
    _, mask = read_photo(views.sources[i])
    lens = _lens(views, i)
    if mask is None or lens.is_pinhole:
        return mask
    return _bent_mask(mask, lens, undistorted_lens(lens, views.names[i]))


def undistorted_pictures(
    views: Views,
) -> Callable[[int, int], tuple[Annotated[np.ndarray, "H W"], Annotated[np.ndarray, "H W"] | None]]:
    """(View, longest side) -> its undistorted photo for features: grey uint8, and where it may be used (None: everywhere)."""

    def picture(view: int, longest: int) -> tuple[np.ndarray, np.ndarray | None]:
        rgb, mask = undistorted_photo(views, view), undistorted_mask(views, view)
        size = fitted_size(rgb.shape[0], rgb.shape[1], longest)
        grey = resize(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), size)
        return grey, None if mask is None else resize_mask(mask, size)

    return picture


def _working_size(views: Views, i: int, max_size: int) -> tuple[Tensor, Tensor | None]:
    """Image [3,h,w] uint8 and mask [h,w] bool of an undistorted view."""
    height, width = (int(x) for x in views.photo_sizes[i])
    size = fitted_size(height, width, max_size)
    lens = _lens(views, i)
    if lens.is_pinhole and tuple(views.images[i].shape[1:]) == size:
        return views.images[i], views.mask(i)
    rgb, mask = read_photo(views.sources[i])
    if not lens.is_pinhole:
        bent_size = fitted_size(height, width, OVERSAMPLING * max_size)
        pinhole = undistorted_lens(lens, views.names[i])
        rgb, mask = resize(rgb, bent_size), None if mask is None else resize_mask(mask, bent_size)
        rgb = _bent(rgb, lens, pinhole, cv2.INTER_CUBIC)
        mask = None if mask is None else _bent_mask(mask, lens, pinhole)
    image = torch.from_numpy(np.ascontiguousarray(resize(rgb, size).transpose(2, 0, 1)))
    return image, None if mask is None else torch.from_numpy(resize_mask(mask, size))


def _lens(views: Views, i: int) -> Lens:
    lens = views.lenses[i]
    if lens is None:
        raise ValueError(f"{views.names[i]} cannot be undistorted: its lens is not known")
    return lens


def _bent_mask(mask: np.ndarray, lens: Lens, pinhole: Lens) -> np.ndarray:
    return _bent(mask.astype(np.uint8) * 255, lens, pinhole, cv2.INTER_LINEAR) >= OPAQUE


def _bent(pixels: np.ndarray, lens: Lens, pinhole: Lens, interpolation: int) -> np.ndarray:
    """uint8 pixels of a photo, at any size, as `pinhole` sees them at the same size; made strip by strip."""
    height, width = pixels.shape[:2]
    made = np.empty_like(pixels)
    for top in range(0, height, STRIP):
        rows = min(STRIP, height - top)
        x, y = _strip_map(lens, pinhole, (height, width), top, rows)
        made[top : top + rows] = cv2.remap(pixels, x, y, interpolation, borderMode=cv2.BORDER_REPLICATE)
    return made


def _strip_map(lens: Lens, pinhole: Lens, size: tuple[int, int], top: int, rows: int) -> Annotated[np.ndarray, "2 R W"]:
    """x and y: where rows `top` and below of an undistorted picture come from, in OpenCV's pixels (first centre 0), float32.

    The map is computed at the centres of cells of NODE x NODE pixels, one more cell on each side, and linear between.
    """
    pixel_from_photo = resize_map((lens.height, lens.width), size).numpy()
    pixel_from_node = np.array([[NODE, 0, -NODE], [0, NODE, top - NODE], [0, 0, 1.0]])
    nodes = -(-rows // NODE) + 2, -(-size[1] // NODE) + 2
    at = undistortion_map(lens, pinhole, np.linalg.inv(pixel_from_photo) @ pixel_from_node, *nodes)
    at = (at @ pixel_from_photo[:2, :2].T + pixel_from_photo[:2, 2] - 0.5).astype(np.float32)
    between = [cv2.resize(at[..., i], (nodes[1] * NODE, nodes[0] * NODE), interpolation=cv2.INTER_LINEAR) for i in (0, 1)]
    return np.stack(between)[:, NODE : NODE + rows, NODE : NODE + size[1]]
