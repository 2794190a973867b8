"""Red, green and blue of colour spaces, as CIE chromaticities, and what takes their light to XYZ. White is D65 in all."""

from __future__ import annotations

from typing import Annotated

import numpy as np

Chromaticities = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]  # x and y of red, green and blue

WHITE = (0.3127, 0.3290)  # D65
SRGB: Chromaticities = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060))  # IEC 61966-2-1; of BT.709 as well
ADOBE_RGB: Chromaticities = ((0.640, 0.330), (0.210, 0.710), (0.150, 0.060))  # Adobe RGB (1998), section 4.3.1.1
DISPLAY_P3: Chromaticities = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))  # SMPTE EG 432-1
BT2020: Chromaticities = ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046))  # ITU-R BT.2020, table 3


def xyz_from_rgb(chromaticities: Chromaticities) -> Annotated[np.ndarray, "3 3"]:
    """CIE XYZ of linear rgb, Y of white 1 (SMPTE RP 177)."""
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in chromaticities]).T
    white = np.array([WHITE[0] / WHITE[1], 1, (1 - WHITE[0] - WHITE[1]) / WHITE[1]])
    return columns * np.linalg.solve(columns, white)
