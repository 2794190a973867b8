"""Frames of videos as sRGB: matrices and ranges by their tags, HDR brought to SDR. Loads no torch.

SDR keeps its code values, as players show them. HDR (HLG and PQ, ITU-R BT.2100) goes through light: code values to display
light in units of reference white, BT.2020 to BT.709 primaries, highlights rolled off, and sRGB's curve.

Reference white is 203 cd/m2 (ITU-R BT.2408-7, table 1): the PQ signal 0.58, and the HLG signal 0.75 on a display of
1000 cd/m2, whose system gamma is 1.2. For HLG this is no coincidence: the inverse OETF of 0.75 is 0.265, and
1000 * 0.265^1.2 = 203. What an SDR picture showed as white therefore comes back as white, whichever way it was sent.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any

import numpy as np

from recon3d.io import primaries

# ISO/IEC 23091-2 (H.273): transfer characteristics, colour primaries and matrix coefficients.
TRANSFERS = {16: "PQ", 18: "HLG"}
UNSPECIFIED, BT709, BT601, BT2020 = 2, 1, 6, 9
MATRICES = (0, 1, 4, 5, 6, 7, 8, 9)  # those that swscale knows
HD_HEIGHT, HD_WIDTH = 576, 1024  # untagged frames beyond either are BT.709, others BT.601, as players guess
CHROMATICITIES = {1: primaries.SRGB, 9: primaries.BT2020, 12: primaries.DISPLAY_P3}
WIDE = (9, 12)  # BT.2020 and Display P3. Those of BT.601 are so near that players leave them, and so do we
WHITE = 203.0  # cd/m2, reference white
PEAK = 1000.0  # cd/m2: what HLG is graded for, and most PQ
HLG_GAMMA = 1.2  # of a display of 1000 cd/m2, BT.2100 note 5f
HLG_LUMINANCE = np.array([0.2627, 0.6780, 0.0593], np.float32)  # of BT.2020
# Where the roll-off begins, in units of reference white. White itself then is 252 of 255: three codes are left for
# what is brighter, and no picture of SDR loses more than them.
KNEE = 0.95
STRIP = 256  # rows turned at a time, so that memory stays small beside the frame


def dynamic_range(picture: Any) -> str | None:
    """"HLG" or "PQ" where a frame says that it is so, else None (SDR)."""
    return TRANSFERS.get(picture.color_trc)


def srgb(picture: Any) -> Annotated[np.ndarray, "H W 3"]:
    """PyAV's frame as sRGB uint8, not yet upright."""
    hdr = dynamic_range(picture)
    if picture.colorspace not in MATRICES:
        picture.colorspace = guessed_matrix(picture, hdr)
    number = picture.color_primaries
    if hdr is not None and number == UNSPECIFIED:
        number = BT2020
    if hdr is None and number not in WIDE:
        return picture.to_ndarray(format="rgb24")
    deep = picture.to_ndarray(format="rgb48le")
    strips = [sdr(deep[i : i + STRIP], hdr, number) for i in range(0, len(deep), STRIP)]
    return np.concatenate(strips)


def guessed_matrix(picture: Any, hdr: str | None) -> int:
    """The matrix of a frame that does not name one."""
    if hdr is not None or picture.color_primaries == BT2020:
        return BT2020
    return BT709 if picture.height > HD_HEIGHT or picture.width > HD_WIDTH else BT601


def sdr(deep: Annotated[np.ndarray, "H W 3"], hdr: str | None, number: int) -> Annotated[np.ndarray, "H W 3"]:
    """uint16 code values of full range, of H.273's primaries `number`, as sRGB uint8."""
    light = light_of(hdr)[deep]
    if hdr == "HLG":
        # The OOTF: a display's brightness is a power of the scene's, its colour is the scene's.
        light *= (np.maximum(light @ HLG_LUMINANCE, 1e-6) ** (HLG_GAMMA - 1) * (PEAK / WHITE))[..., None]
    light = light @ bt709_from(number).T
    if hdr is not None:
        # By the largest channel, so that a bright colour keeps its hue. numpy's max over an axis of three takes half the time
        # of all of this.
        most = np.maximum(np.maximum(light[..., 0], light[..., 1]), np.maximum(light[..., 2], 1e-6))
        light *= (rolled_off(most) / most)[..., None]
    return encoded()[(light.clip(0, 1) * 65535 + 0.5).astype(np.uint16)]


def rolled_off(light: np.ndarray) -> np.ndarray:
    """Light in units of reference white, brought below 1: itself up to KNEE, then a curve that leaves with slope 1 and
    reaches 1 at PEAK.

    With t = (x - k) / (1 - k) the curve is k + (1 - k) t (1 + t / T^2) / (1 + t), T being t of PEAK: Reinhard et al. 2002,
    eq. 4, moved to the knee.
    """
    top = (PEAK / WHITE - KNEE) / (1 - KNEE)
    t = np.maximum(light - KNEE, 0) / (1 - KNEE)
    return np.minimum(np.minimum(light, KNEE) + (1 - KNEE) * t * (1 + t / top**2) / (1 + t), 1)


@cache
def light_of(hdr: str | None) -> Annotated[np.ndarray, "65536"]:
    """Light of each code value, float32: of PQ and SDR on the display in units of white, of HLG in the scene from 0 to 1."""
    code = np.arange(65536) / 65535
    if hdr == "HLG":  # BT.2100, table 5
        a = 0.17883277
        b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
        light = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    elif hdr == "PQ":  # SMPTE ST 2084; BT.2100, table 4
        m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
        root = code ** (1 / m2)
        light = (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1) * 10000 / WHITE
    else:  # IEC 61966-2-1
        light = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
    return light.astype(np.float32)


@cache
def encoded() -> Annotated[np.ndarray, "65536"]:
    """sRGB uint8 of light from 0 to 1 in 65536 steps (IEC 61966-2-1). A step is less than 0.06 of a code at black."""
    light = np.arange(65536) / 65535
    return np.rint(np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055) * 255).astype(np.uint8)


@cache
def bt709_from(number: int) -> Annotated[np.ndarray, "3 3"]:
    """Takes linear rgb of H.273's primaries `number` to that of BT.709; those that are not in the table are taken as it."""
    xyz_from_given = primaries.xyz_from_rgb(CHROMATICITIES.get(number, primaries.SRGB))
    return (np.linalg.inv(primaries.xyz_from_rgb(primaries.SRGB)) @ xyz_from_given).astype(np.float32)
