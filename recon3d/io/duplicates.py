"""The same picture under several names. One of them stays: the others add nothing, and held out they would be known already."""

from __future__ import annotations

import filecmp
import hashlib
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from recon3d.core.origin import center_of
from recon3d.io.incoming import Photo
from recon3d.io.photos import read_photo

SAME_POSE = 0.02  # of a rotation's entries, and of the extent of all cameras: two estimates of one pose differ by less


def duplicates(photos: Sequence[Photo], images: Sequence[Tensor]) -> dict[int, int]:
    """Index of a photo that is left out -> index of the one with the same pixels that stays.

    A photo with a given camera goes before one without, a seen one before one that is held out, then the order counts.
    Pictures of one colour are no duplicates, nor are those whose given cameras stand apart, as of a symmetric thing.
    `images`, at working size, tell in a moment which photos may be the same; these are compared at full size.
    """
    groups: dict[tuple, list[int]] = defaultdict(list)
    for i, (photo, image) in enumerate(zip(photos, images, strict=True)):
        groups[photo.size, hashlib.blake2b(image.numpy().tobytes()).digest()].append(i)
    extent = extent_of(photos)
    found: dict[int, int] = {}
    for group in groups.values():
        if len(group) == 1 or is_flat(images[group[0]]):
            continue
        stay: list[int] = []
        for i in sorted(group, key=lambda i: rank(photos[i], i)):
            same = next((j for j in stay if not apart(photos[i], photos[j], extent) and equal(photos[i], photos[j])), None)
            if same is None:
                stay.append(i)
            else:
                found[i] = same
    return found


def rank(photo: Photo, i: int) -> tuple[bool, bool, int]:
    posed = photo.known is not None and photo.known.camera_from_world is not None
    return not posed, photo.known is not None and photo.known.held_out, i


def is_flat(image: Tensor) -> bool:
    colors = image.flatten(1)
    return bool((colors.max(1).values == colors.min(1).values).all())


def equal(first: Photo, second: Photo) -> bool:
    """Whether all pixels at full size are the same."""
    one, other = first.source, second.source
    files = one.frame is None and other.frame is None and one.pixels is None and other.pixels is None
    if files and one.as_stored == other.as_stored and filecmp.cmp(one.path, other.path, shallow=False):
        return True
    return np.array_equal(read_photo(one)[0], read_photo(other)[0])


def apart(first: Photo, second: Photo, extent: float) -> bool:
    """Whether both have given poses that are not the same."""
    poses = [None if photo.known is None else photo.known.camera_from_world for photo in (first, second)]
    if poses[0] is None or poses[1] is None:
        return False
    turned = np.abs(poses[0][:3, :3] - poses[1][:3, :3]).max()
    return bool(turned > SAME_POSE or np.linalg.norm(center_of(poses[0]) - center_of(poses[1])) > SAME_POSE * extent)


def extent_of(photos: Sequence[Photo]) -> float:
    """The largest distance of a given camera from the middle of all."""
    poses = [p.known.camera_from_world for p in photos if p.known is not None and p.known.camera_from_world is not None]
    centers = np.array([center_of(pose) for pose in poses]).reshape(-1, 3)
    return float(np.linalg.norm(centers - centers.mean(0), axis=1).max()) if len(centers) else 0.0
