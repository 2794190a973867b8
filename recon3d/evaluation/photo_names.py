"""Which photo a prediction belongs to: by its name without suffix, or by a timestamp."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated

import numpy as np

from recon3d.errors import InputError

SAME_TIME = 5e-5  # timestamps with four decimals, as the TUM benchmark has them, still name their photo
NUMBER = re.compile(r"\d+\.\d+|(?:.*?\D)?(\d+)", re.DOTALL)  # 1305031102.175304 as a whole, or the digits at the end
BY_NUMBER = "Write the number in the photo's name as its timestamp, or give a cameras.json, which names photos"


def by_photo(names: Sequence[str], photo_names: Sequence[str], where: Path) -> dict[str, str]:
    """Photo name -> the one of `names` (paths, folders and suffixes ignored) that belongs to it, in the order of `names`.

    InputError, at `where`, for a name without a photo, and where two belong to one photo or one to two photos.
    """
    by_stem = defaultdict(list)
    for photo in photo_names:
        by_stem[PurePosixPath(photo).stem].append(photo)
    found: dict[str, str] = {}
    for name in names:
        last = PurePosixPath(name.replace("\\", "/")).name
        photos = by_stem.get(last) or by_stem.get(PurePosixPath(last).stem, [])
        if not photos:
            what = f"{name} belongs to no photo of this scene"
            raise InputError(where, what, f"Name it after its photo, as {photo_names[0]}; the suffix does not count")
        if len(photos) > 1:
            what = f"{name} may belong to {photos[0]} or to {photos[1]}: folders and suffixes do not count"
            raise InputError(where, what, "Give the photos of the data set names of their own")
        if photos[0] in found:
            raise InputError(where, f"{found[photos[0]]} and {name} both belong to {photos[0]}", "Leave one of them")
        found[photos[0]] = name
    return found


def photos_of_timestamps(
    timestamps: Annotated[np.ndarray, "N"], photo_names: Sequence[str], where: Path
) -> tuple[str, ...]:
    """The photo of every timestamp. First by number: the photo in whose name it stands (the whole stem as 12.5, or the
    digits at its end). Where no timestamp is such a number: by order, if there are as many as photos.

    InputError, at `where`, where some timestamps are numbers of photos and others are not, where one is the number of two
    photos, and where the order is not certain.
    """
    numbers = [number_in(name) for name in photo_names]
    at = np.array([np.nan if number is None else number for number in numbers])
    hits = [np.flatnonzero(np.abs(at - timestamp) <= SAME_TIME).tolist() for timestamp in timestamps]
    if not any(hits):
        return _by_order(timestamps, photo_names, numbers, where)
    for timestamp, photos in zip(timestamps, hits, strict=True):
        if not photos:
            some = sum(map(bool, hits))
            what = f"the timestamp {timestamp:.15g} is in no photo's name, though {some} of {len(hits)} are"
            raise InputError(where, what, BY_NUMBER)
        if len(photos) > 1:
            both = f"{photo_names[photos[0]]} and of {photo_names[photos[1]]}"
            raise InputError(where, f"the timestamp {timestamp:.15g} is the number of {both}", BY_NUMBER)
    names = tuple(photo_names[photos[0]] for photos in hits)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(where, f"two timestamps are the number of {twice}", BY_NUMBER)
    return names


def number_in(photo: str) -> float | None:
    """12.5.png -> 12.5, frame_0012.png -> 12, left.png -> None."""
    match = NUMBER.fullmatch(PurePosixPath(photo).stem)
    return None if match is None else float(match.group(1) or match.group())


def _by_order(
    timestamps: np.ndarray, photo_names: Sequence[str], numbers: list[float | None], where: Path
) -> tuple[str, ...]:
    if len(timestamps) != len(photo_names):
        what = f"its timestamps ({timestamps[0]:.15g} first) are in no photo's name ({photo_names[0]} first), and there are "
        raise InputError(where, f"{what}{len(timestamps)} for {len(photo_names)} photos", BY_NUMBER)
    if (np.diff(timestamps) <= 0).any():
        raise InputError(where, "its timestamps are in no photo's name, and do not rise", BY_NUMBER)
    ordered = sorted(photo_names)
    by_name = dict(zip(photo_names, numbers, strict=True))
    known = [number for name in ordered if (number := by_name[name]) is not None]
    if known != sorted(known):
        what = "its timestamps are in no photo's name, and the photos have another order by name than by number"
        raise InputError(where, what, BY_NUMBER)
    return tuple(ordered)
