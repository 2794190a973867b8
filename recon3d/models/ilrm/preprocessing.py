"""Photos as each checkpoint was trained to see them, with the map from the photo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import cv2
import numpy as np
import torch

from recon3d.io.covered import covered
from recon3d.models.ilrm.config import IlrmConfig
from recon3d.models.pictures import NetworkPictures, scaled_and_moved

Photo = Annotated[np.ndarray, "h w 3"]


def preprocessed(
    photos: Sequence[Photo], size: tuple[int, int], config: IlrmConfig
) -> NetworkPictures:
    """RGB uint8 photos to pictures of (height, width) `size`, which "wide" rounds to whole patches.

    "re10k": resized by Pillow's Lanczos until they cover the size, and cropped in the middle; "wide": resized by OpenCV
    straight to it, each axis on its own.
    """
    prepare = resized if config.wide else covered
    if config.wide:
        size = (whole(size[0], config.multiple), whole(size[1], config.multiple))
    pictures, maps = zip(*(prepare(photo, size) for photo in photos), strict=True)
    images = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
    rect = torch.tensor([0, 0, size[1], size[0]], dtype=torch.float64)
    return NetworkPictures(images, torch.stack(maps), rect.repeat(len(photos), 1))


def whole(side: int, multiple: int) -> int:
    """The nearest multiple; halves go to the even one."""
    return max(round(side / multiple), 1) * multiple


def resized(photo: Photo, size: tuple[int, int]) -> tuple[Photo, torch.Tensor]:
    height, width = photo.shape[:2]
    picture = cv2.resize(photo, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return picture, scaled_and_moved((size[1] / width, size[0] / height), (0, 0))
