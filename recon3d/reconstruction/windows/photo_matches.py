"""Matches of two photos for loops: SIFT, each other's nearest by far, on one epipolar geometry."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Annotated

import cv2
import numpy as np
import torch

from recon3d.core.cameras import fitted_size
from recon3d.reconstruction.windows.loops import Matcher, Matches
from recon3d.sfm.descriptors import mutual_matches
from recon3d.sfm.features import opencv_sift
from recon3d.sfm.settings import Matching

SETTINGS = Matching(max_image_size=800, max_num_features=3072)
NEAR = 2.0  # pixels of the reduced photo, from the epipolar line
LEAST = 8  # matches of which an epipolar geometry is made
KEPT = 64  # photos whose features are remembered
CERTAIN, TRIES = 0.9999, 10_000  # of the search for that geometry


def photo_matcher(photo: Callable[[int], Annotated[np.ndarray, "h w 3"]]) -> Matcher:
    """A function of two views that gives their verified matches in pixels of the upright photos that `photo` reads."""

    @functools.lru_cache(KEPT)
    def features(view: int) -> tuple[np.ndarray, np.ndarray, float]:
        """Their places in the photo, their descriptors, and how many reduced pixels one of the photo is."""
        image = photo(view)
        height, width = fitted_size(image.shape[0], image.shape[1], SETTINGS.max_image_size)
        grey = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (width, height), interpolation=cv2.INTER_AREA)
        xy, descriptors = opencv_sift(grey, SETTINGS)
        in_photo = xy * np.array([image.shape[1] / width, image.shape[0] / height], np.float32)
        return in_photo, descriptors, width / image.shape[1]

    def matches(first: int, second: int) -> Matches:
        (xy, descriptors, factor), (other_xy, others, other) = features(first), features(second)
        pairs = mutual_matches(torch.from_numpy(descriptors), torch.from_numpy(others), SETTINGS.max_ratio).numpy()
        here, there = xy[pairs[:, 0]], other_xy[pairs[:, 1]]
        good = np.zeros(len(pairs), bool)
        if len(pairs) >= LEAST:
            _, kept = cv2.findFundamentalMat(factor * here, other * there, cv2.USAC_MAGSAC, NEAR, CERTAIN, TRIES)
            good = good if kept is None else kept[:, 0] > 0
        return torch.from_numpy(here[good]), torch.from_numpy(there[good])

    return matches
