"""Photos to pictures and masks at working size, and these to views."""

from __future__ import annotations

import os
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from recon3d.core.cameras import fitted_size, resize_map
from recon3d.core.lens import Lens
from recon3d.core.views import Views
from recon3d.errors import InputError
from recon3d.io.detect import Found
from recon3d.io.incoming import Photo, all_round
from recon3d.io.photos import read_photo, resize, resize_mask
from recon3d.progress import Progress

DECODERS = 2  # photos in memory at full size at a time


def read_all(
    photos: list[Photo], max_size: int, found: Found, left_out: dict[str, str], errors: list[InputError],
    progress: Progress,
) -> tuple[list[Photo], list[Tensor], list[Tensor | None]]:  # fmt: skip
    """Those that decode to flat pictures, their images [3,H,W] uint8 and masks [H,W] bool at working size.

    The others go into `left_out` and `errors`.
    """

    def read(photo: Photo) -> tuple[Tensor, Tensor | None] | InputError:
        try:
            rgb, mask = read_photo(photo.source)
            refusal = None if found.kind == "video" else all_round(photo, rgb)
            return refusal or working_picture(rgb, mask, max_size)
        except InputError as error:
            if error.where != str(photo.source.path):  # its mask: nobody wants a photo with a mask used without it
                raise
            return error

    kept, images, masks = [], [], []
    for i, (photo, result) in enumerate(zip(photos, _in_order(read, photos), strict=True)):
        progress.advance(i + 1, len(photos), "photos")
        if isinstance(result, InputError):
            errors.append(result)
            left_out[photo.name] = result.what
            continue
        kept.append(photo)
        images.append(result[0])
        masks.append(result[1])
    return kept, images, masks


def working_picture(rgb: np.ndarray, mask: np.ndarray | None, max_size: int) -> tuple[Tensor, Tensor | None]:
    """A full-size photo [H,W,3] and its mask as tensors [3,h,w] uint8 and [h,w] bool, longest side at most `max_size`."""
    size = fitted_size(rgb.shape[0], rgb.shape[1], max_size)
    image = torch.from_numpy(np.ascontiguousarray(resize(rgb, size).transpose(2, 0, 1)))
    return image, None if mask is None else torch.from_numpy(resize_mask(mask, size))


def _in_order(read: Callable, photos: list[Photo]) -> Iterator:
    """`read` of each photo in order, DECODERS at a time, so that few full-size photos are in memory."""
    with ThreadPoolExecutor(min(DECODERS, os.cpu_count() or 1)) as pool:
        waiting: deque[Future] = deque()
        for photo in photos:
            waiting.append(pool.submit(read, photo))
            if len(waiting) > DECODERS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def views_of(photos: list[Photo], images: list[Tensor], masks: list[Tensor | None]) -> Views:
    """Photos with their pictures and masks at working size as views; photos of one size, EXIF camera and lens share a camera."""
    lenses = _shared_lenses(photos)
    keys = [(photo.header.exif.camera, photo.size, lens) for photo, lens in zip(photos, lenses, strict=True)]
    numbers = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    maps = [resize_map(photo.size, (i.shape[1], i.shape[2])) for photo, i in zip(photos, images, strict=True)]
    ratios = [photo.header.exif.focal_ratio for photo in photos]
    poses = [None if photo.known is None else photo.known.camera_from_world for photo in photos]
    unknown = np.full((4, 4), np.nan)
    return Views(
        names=tuple(photo.name for photo in photos),
        images=tuple(images),
        masks=None if all(mask is None for mask in masks) else tuple(masks),
        pixel_from_photo=torch.stack(maps),
        photo_sizes=torch.tensor([photo.size for photo in photos]),
        camera_index=torch.tensor([numbers[key] for key in keys]),
        held_out=torch.tensor([photo.known is not None and photo.known.held_out for photo in photos]),
        sources=tuple(photo.source for photo in photos),
        lenses=lenses,
        focal_priors=tuple(
            None if r is None else r * max(p.size) for r, p in zip(ratios, photos, strict=True)
        ),
        known_camera_from_world=None
        if all(pose is None for pose in poses)
        else torch.from_numpy(np.stack([unknown if pose is None else pose for pose in poses])),
    )  # fmt: skip


def _shared_lenses(photos: list[Photo]) -> tuple[Lens | None, ...]:
    """The given lens of each photo, or the one that all others of its physical camera were given."""
    given: dict[tuple, set[Lens]] = defaultdict(set)
    for photo in photos:
        if photo.known is not None and photo.known.lens is not None:
            given[photo.header.exif.camera, photo.size].add(photo.known.lens)
    lenses = []
    for photo in photos:
        lens = None if photo.known is None else photo.known.lens
        others = given[photo.header.exif.camera, photo.size]
        lenses.append(next(iter(others)) if lens is None and len(others) == 1 else lens)
    return tuple(lenses)
