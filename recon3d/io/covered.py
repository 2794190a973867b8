"""Pictures resized until they cover a size, and cropped to it: as pixelSplat, its successors and iLRM see their data."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from recon3d.core.cameras import resize_map


def covered(
    rgb: Annotated[np.ndarray, "H W 3"], size: tuple[int, int]
) -> tuple[Annotated[np.ndarray, "h w 3"], Annotated[Tensor, "3 3"]]:
    """The middle of a uint8 picture at (height, width) `size`, and its affine map new_from_old of pixels.

    Sizes are rounded and crops begin as in pixelSplat's `rescale_and_crop`, Pillow's Lanczos in uint8. The map is the true
    one; the published loaders keep the principal point's share, which is half a pixel off where a crop is uneven.
    """
    new, (top, left), new_from_old = plan(rgb.shape[:2], size)
    picture = np.asarray(Image.fromarray(rgb).resize((new[1], new[0]), Image.Resampling.LANCZOS))
    return picture[top : top + size[0], left : left + size[1]], new_from_old


def plan(
    old: tuple[int, ...], size: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int], Annotated[Tensor, "3 3"]]:
    """What a picture of (height, width) `old` is resized to, the first row and column that are kept, and the affine map."""
    height, width = old
    scale = max(size[0] / height, size[1] / width)
    new = round(height * scale), round(width * scale)
    top, left = (new[0] - size[0]) // 2, (new[1] - size[1]) // 2
    new_from_old = resize_map((height, width), new)
    new_from_old[:2, 2] = -torch.tensor([left, top], dtype=torch.float64)
    return new, (top, left), new_from_old
