"""What a photo says about itself beside its pixels: which way is up, which camera took it, and whether it is a flat picture.

Nothing here decodes pixels, and nothing in a file can raise: what cannot be read counts as not said.
"""

from __future__ import annotations

import math
import re
import struct
import zlib
from dataclasses import dataclass
from typing import Any

from PIL import ExifTags, Image

FILM_WIDTH = 36.0  # mm; FocalLengthIn35mmFilm is taken relative to the long side of a 36 x 24 mm frame
FOCAL_RATIOS = (0.1, 100.0)  # of the long side: a focal length outside is a mistake in the file
MM_OF_UNIT = {1: 25.4, 2: 25.4, 3: 10.0, 4: 1.0, 5: 1e-3}  # FocalPlaneResolutionUnit; 1 (none) is read as inches
PANORAMAS = ("equirectangular", "cylindrical", "cubestrip", "cubemap")
PROJECTION = re.compile(rb"GPano:ProjectionType\s*(?:=\s*[\"']|>)\s*([A-Za-z-]+)")
XMP_KEYS = ("xmp", "XML:com.adobe.xmp")  # where Pillow keeps XMP: JPEG, TIFF, WebP and HEIC; PNG
# What Pillow raises at files that lie.
MALFORMED = (
    ArithmeticError, EOFError, LookupError, OSError, SyntaxError, TypeError, ValueError, struct.error, zlib.error,
)  # fmt: skip


@dataclass(frozen=True)
class Exif:
    orientation: int = 1  # 1 to 8, EXIF's numbers
    focal_ratio: float | None = None  # focal length over the long side of the picture
    camera: tuple[str, str, str, float] = ("", "", "", 0.0)  # maker, model, lens, focal length in mm (0: not said)
    panorama: bool = False  # marked as one in XMP
    fisheye: bool = False  # by its lens's name or in XMP
    adobe_rgb: bool = False  # its colours are Adobe RGB's, as cameras say that write no profile
    exposure_value: float | None = None  # stops at ISO 100, as `exposure_value` says


def read_exif(image: Image.Image) -> Exif:
    """EXIF and XMP of an opened picture, as far as its header holds them."""
    try:
        # The base class's method: that of PNG would decode all pixels to look behind them.
        tags = Image.Image.getexif(image)
        base, detail = dict(tags), dict(tags.get_ifd(ExifTags.IFD.Exif))
        interop = dict(tags.get_ifd(ExifTags.IFD.Interop))
    except MALFORMED:
        base, detail, interop = {}, {}, {}
    orientation = base.get(ExifTags.Base.Orientation)
    lens = _text(detail.get(ExifTags.Base.LensModel))
    projection = _projection(image)
    fisheye = projection == "fisheye" or re.search(r"fish.?eye", lens, re.IGNORECASE) is not None
    return Exif(
        orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1,
        focal_ratio(detail),
        (_text(base.get(ExifTags.Base.Make)), _text(base.get(ExifTags.Base.Model)), lens,
         _number(detail.get(ExifTags.Base.FocalLength)) or 0.0),
        projection in PANORAMAS,
        fisheye,
        _text(interop.get(ExifTags.Interop.InteropIndex)) == "R03" and detail.get(ExifTags.Base.ColorSpace) != 1,
        exposure_value(detail),
    )  # fmt: skip


def focal_ratio(tags: dict[int, Any]) -> float | None:
    """Focal length over the long side, from tags of the Exif IFD; None where they do not say.

    A ratio survives resizing, which the tags do not follow: pixel sizes among them may be those of a larger original.
    """
    ratio = None
    film = _number(tags.get(ExifTags.Base.FocalLengthIn35mmFilm))
    focal = _number(tags.get(ExifTags.Base.FocalLength))
    if film:
        ratio = film / FILM_WIDTH
    elif focal:
        per_unit = _number(tags.get(ExifTags.Base.FocalPlaneXResolution))
        sides = [_number(tags.get(k)) for k in (ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight)]
        if per_unit and sides[0] and sides[1]:
            unit = MM_OF_UNIT.get(tags.get(ExifTags.Base.FocalPlaneResolutionUnit, 2), 25.4)
            ratio = focal / (max(sides[0], sides[1]) / per_unit * unit)
    return ratio if ratio is not None and FOCAL_RATIOS[0] < ratio < FOCAL_RATIOS[1] else None


def exposure_value(tags: dict[int, Any]) -> float | None:
    """log2(N^2 / t * 100 / S) of f-number N, exposure time t in seconds and ISO speed S; None where a tag is missing.

    Of two photos of one light, one with a value lower by 1 is twice as bright. Source: APEX, ISO 2720; EXIF 2.32, annex C.
    """
    sensitivity = tags.get(ExifTags.Base.ISOSpeedRatings)
    if isinstance(sensitivity, tuple | list):  # EXIF allows several numbers
        sensitivity = sensitivity[0] if sensitivity else None
    speed = _number(sensitivity)
    f_number, seconds = (_number(tags.get(k)) for k in (ExifTags.Base.FNumber, ExifTags.Base.ExposureTime))
    if not f_number or not seconds or not speed:
        return None
    return math.log2(f_number**2 / seconds * 100 / speed)


def _projection(image: Image.Image) -> str:
    """GPano's ProjectionType in lower case, or nothing."""
    for key in XMP_KEYS:
        packet = image.info.get(key, b"")
        packet = packet.encode("utf-8", "replace") if isinstance(packet, str) else packet
        found = PROJECTION.search(packet) if isinstance(packet, bytes) else None
        if found:
            return found.group(1).decode().lower()
    return ""


def _text(value: Any) -> str:
    return value.replace("\x00", " ").strip() if isinstance(value, str) else ""


def _number(value: Any) -> float | None:
    """A positive finite number, or None."""
    try:
        number = float(value)
    except MALFORMED:
        return None
    return number if math.isfinite(number) and number > 0 else None
