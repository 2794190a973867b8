"""Which pixels of a photo are sky, by its colours and by depth: for networks that do not say so themselves.

`sky_of` is made to miss rather than to invent: what it calls sky gets no Gaussian. `may_be_sky` is made to invent.
"""

from __future__ import annotations

from typing import Annotated

import cv2
import numpy as np
import torch
from torch import Tensor

# Chosen on the photos of nine scenes and on procedural ones (tools/benchmarks/sky.py).
BLUE = 0.35  # blue less red of a clear sky: white walls in the shade reach 0.25, leaves that mirror the sky 0.32
WHITE = 0.97  # least channel of an overexposed or clouded one: lit white walls stay below
BRIGHT = 0.5  # largest channel of any sky by day
COLD = 0.03  # red and green may be so much more than blue: clouds, not walls in the sun
ROUGH = 0.06  # standard deviation of brightness in a window: more is foliage, brick, a roof
WINDOW = 5  # pixels
CLEAR = 0.5  # share of a region that is blue or white beyond doubt
NEARER = 0.2  # share of the picture by which a region's median depth may come before where the farthest would be
LEAST = 0.003  # of the picture: smaller regions are left alone


def sky_of(image: Annotated[Tensor, "3 H W"], depth: Annotated[Tensor, "H W"]) -> Annotated[Tensor, "H W"]:
    """bool: regions of a photo (uint8 sRGB) that reach its upper border, are smooth, far, and blue or overexposed.

    Depth is asked for its order only, 0 is unknown.
    """
    known = depth.numpy() > 0
    if not known.any():
        return torch.zeros(depth.shape, dtype=torch.bool)
    clear, labels = regions_of(image.permute(1, 2, 0).numpy().astype(np.float32) / 255)
    order = np.sort(depth.numpy()[known])
    found = np.zeros(labels.shape, bool)
    for label in np.unique(labels[0][labels[0] > 0]):
        region = labels == label
        if region.mean() < LEAST:
            continue
        far = depth.numpy()[region & known]
        places = [np.searchsorted(order, np.median(far), side) for side in ("left", "right")] if len(far) else [len(order)]
        rank = float(np.mean(places)) / len(order)  # the middle of those of one depth
        if clear[region].mean() >= CLEAR and rank >= 1 - region.mean() / 2 - NEARER:
            found |= region
    return with_borders(found)


def may_be_sky(rgb: Annotated[Tensor, "3 H W"]) -> Annotated[Tensor, "H W"]:
    """bool: all regions of a photo (0 to 1) that have a sky's colours, are smooth and reach its upper border."""
    _, labels = regions_of(rgb.permute(1, 2, 0).numpy())
    return with_borders(np.isin(labels, labels[0][labels[0] > 0]))


def regions_of(rgb: Annotated[np.ndarray, "H W 3"]) -> tuple[Annotated[np.ndarray, "H W"], Annotated[np.ndarray, "H W"]]:
    """Which pixels (bool) are blue or white beyond doubt, and the numbers, from 1, of the smooth regions that have any sky's
    colours, 0 elsewhere."""
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    most, least = rgb.max(-1), rgb.min(-1)
    clear = ((blue >= most) & (blue - red >= BLUE) & (most >= BRIGHT)) | (least >= WHITE)
    cold = (blue >= np.maximum(red, green) - COLD) & (most >= BRIGHT)
    smooth = roughness(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)) <= ROUGH
    return clear, cv2.connectedComponents((smooth & (cold | clear)).astype(np.uint8), connectivity=4)[1]


def with_borders(regions: Annotated[np.ndarray, "H W"]) -> Annotated[Tensor, "H W"]:
    """Smooth regions up to their borders, which the window keeps them off by half of it."""
    return torch.from_numpy(cv2.dilate(regions.astype(np.uint8), np.ones((WINDOW, WINDOW), np.uint8)).astype(bool))


def roughness(grey: Annotated[np.ndarray, "H W"]) -> Annotated[np.ndarray, "H W"]:
    """Standard deviation in the window about each pixel."""
    size = (WINDOW, WINDOW)
    mean, square = (cv2.blur(x, size, borderType=cv2.BORDER_REPLICATE) for x in (grey, grey * grey))
    return np.sqrt(np.maximum(square - mean * mean, 0))
