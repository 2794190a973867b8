"""Photos of a network's pass may be hundreds of full size: each is let go when its small picture is made."""

import weakref

import numpy as np
import pytest
import torch

from recon3d.models.da3 import preprocessing as da3
from recon3d.models.dust3r import preprocessing as dust3r
from recon3d.models.vggt import preprocessing as vggt


@pytest.mark.parametrize("family", [da3, dust3r, vggt], ids=["da3", "dust3r", "vggt"])
def test_photos_are_taken_one_by_one_and_none_is_kept(family):
    random = np.random.default_rng(0)
    pixels = [random.integers(0, 255, (90 + 30 * (i % 2), 160, 3), np.uint8) for i in range(5)]
    given: list[weakref.ref] = []

    def photos():
        for of_photo in pixels:
            assert sum(ref() is not None for ref in given) <= 1  # the one that the caller's loop still names
            photo = of_photo.copy()
            given.append(weakref.ref(photo))
            yield photo
            del photo

    once, listed = family.preprocessed(photos()), family.preprocessed(pixels)
    assert sum(ref() is not None for ref in given) == 0
    pairs = zip(once, listed, strict=True) if isinstance(once, tuple) else [(once, listed)]
    for one, other in pairs:
        assert torch.equal(one.images, other.images) and torch.equal(one.photo_rects, other.photo_rects)
