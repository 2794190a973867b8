"""Whether a picture that is twice as wide as high goes all the way round, by its left and right borders. Loads no torch."""

from __future__ import annotations

from typing import Annotated

import cv2
import numpy as np

HEIGHT = 240  # pixels at which borders are compared: noise and compression blocks weigh less there
BANDS = 6  # of the height, each judged for itself: a horizon at the same height on both sides is one agreement, not all
STRUCTURE = 1.0  # codes of standard deviation below which a band of a border says nothing, as clear sky or a white backdrop
# How well the borders correlate, by itself and beside the next columns on either side; how many bands do, and which share of
# those that say something. On the shared photos, cut to 2:1: none of 384 is taken for a panorama, and 95 % of them are when
# they are turned so that their borders meet.
AGREEMENT, BESIDE_NEIGHBOURS, LEAST_BANDS, LEAST_SHARE = 0.5, 0.6, 2, 0.5


def meets_itself(rgb: Annotated[np.ndarray, "H W 3"]) -> bool:
    """Whether the first and the last column of an equirectangular picture are neighbours, as of 360 degrees they are.

    Compared is what differs from the mean of the rows around, so that a common run from sky to ground does not count.
    """
    height = min(HEIGHT, rgb.shape[0])
    small = cv2.resize(rgb, (2 * height, height), interpolation=cv2.INTER_AREA).astype(np.float32)
    columns = small[:, [1, 0, -1, -2]]
    rows = height // 8 | 1
    detail = (columns - cv2.blur(columns, (1, rows)))[rows // 2 : -(rows // 2)]
    told = agreeing = 0
    for band in np.array_split(detail, BANDS):
        centred = band - band.mean(0)
        if min(centred[:, 1].std(), centred[:, 2].std()) < STRUCTURE:
            continue
        inside, across, inside_too = (correlation(centred[:, i], centred[:, i + 1]) for i in range(3))
        told += 1
        agreeing += across >= max(AGREEMENT, BESIDE_NEIGHBOURS * (inside + inside_too) / 2)
    return agreeing >= max(LEAST_BANDS, LEAST_SHARE * told)


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Of two columns [h,3] that have a mean of 0, over all rows and channels."""
    return float((one * other).sum() / max(1e-6, np.sqrt((one**2).sum() * (other**2).sum())))
