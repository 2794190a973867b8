"""Photos on their way to being views: their masks, which of many are taken, and which are no pictures of a flat lens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from recon3d.core.known_camera import KnownCamera
from recon3d.errors import InputError
from recon3d.io.detect import Found
from recon3d.io.masks import find_mask, mask_folders
from recon3d.io.panorama import meets_itself
from recon3d.io.photos import Header, Source, fits, read_header, read_photo, wrong_mask_size
from recon3d.progress import Progress

HELD_OUT_SHARE = 8  # of --max-images, one in so many at least stays for held-out photos; the others give way to seen ones
LOOKED_AT = 5  # frames of a video whose borders are compared
REMEDY = "Cut it into perspective pictures first, or give its camera with --cameras"


@dataclass(frozen=True)
class Photo:
    """A photo on its way to being a view: not decoded yet."""

    name: str
    source: Source
    header: Header
    known: KnownCamera | None

    @property
    def size(self) -> tuple[int, int]:
        return self.header.stored_size if self.source.as_stored else self.header.size

    @property
    def lens_known(self) -> bool:
        return self.known is not None and self.known.lens is not None


def spread(photos: list[Photo], max_images: int, found: Found, progress: Progress) -> list[Photo]:
    """At most `max_images`, evenly spread."""
    if len(photos) <= max_images:
        return photos
    progress.note(f"{found.root}: {max_images} of {len(photos)} photos are used, evenly spread (--max-images)")
    held_out = [i for i, photo in enumerate(photos) if photo.known is not None and photo.known.held_out]
    seen = sorted(set(range(len(photos))) - set(held_out))
    places = min(len(held_out), max(max_images - len(seen), max_images // HELD_OUT_SHARE))
    chosen = evenly(seen, max_images - places) + evenly(held_out, places)
    return [photos[i] for i in sorted(chosen)]


def evenly(items: list[int], count: int) -> list[int]:
    return [items[i] for i in np.round(np.linspace(0, len(items) - 1, min(count, len(items)))).astype(int)]


def curved(photo: Photo) -> InputError | None:
    """Why a photo is no flat picture as far as its header says: marked as a panorama, or a fisheye of no given lens."""
    if photo.header.exif.panorama:
        return InputError(photo.source.path, "a panorama (marked as one)", REMEDY)
    if photo.header.exif.fisheye and not photo.lens_known:
        what = "a fisheye photo whose lens is not known"
        return InputError(photo.source.path, what, "Give its lens with --cameras")
    return None


def all_round(photo: Photo, rgb: np.ndarray) -> InputError | None:
    """The refusal of a panorama that shows only in its pixels; a given lens is believed."""
    if photo.header.twice_as_wide and not photo.lens_known and meets_itself(rgb):
        return InputError(photo.source.path, "a panorama (its left and right borders meet)", REMEDY)
    return None


def check_video(photos: Sequence[Photo]) -> None:
    """Raise InputError where most of a few frames of a video are panoramas."""
    if not photos[0].header.twice_as_wide or photos[0].lens_known:
        return
    looked_at = [photos[i] for i in evenly(list(range(len(photos))), LOOKED_AT)]
    refusals = [all_round(photo, read_photo(photo.source)[0]) for photo in looked_at]
    told = [refusal for refusal in refusals if refusal is not None]
    if 2 * len(told) > len(looked_at):
        raise told[0]


def with_masks(photos: list[Photo], found: Found, given: Path | None, invert: bool, progress: Progress) -> list[Photo]:
    """The photos with the files of their masks, whose shapes are checked."""
    if given is not None and not given.is_dir():
        raise InputError(given, "there is no such folder of masks", "Give a folder with --masks")
    root = found.root.parent if found.kind == "video" else found.root
    folders = mask_folders(root) if given is None else (given,)
    masked, scaled = [], []
    for photo in photos:
        named = photo.known.mask if photo.known is not None and given is None else None
        mask = named or find_mask(photo.name, folders)
        if mask is not None:
            size = read_header(mask).size
            if not fits(size, photo.size):
                raise wrong_mask_size(mask, size, photo.source.path, photo.size)
            if size != photo.size:
                scaled.append(mask)
        masked.append(replace(photo, source=replace(photo.source, mask=mask, invert_mask=invert)))
    if all(photo.source.mask is None for photo in masked):
        example = Path(photos[0].name)
        remedy = f"The mask of {example} is {example}.png or {example.with_suffix('.png')} in a folder of masks"
        if given is not None:
            raise InputError(given, "it has no mask for any of the photos", remedy)
        if invert:
            raise InputError("--invert-masks", "there are no masks", remedy)
    if scaled:
        progress.note(f"{len(scaled)} masks ({scaled[0]} first) are scaled to the size of their photos")
    return masked
