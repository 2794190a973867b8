"""Where a photo says that it was taken: the GPS tags of its EXIF. What cannot be read counts as not said."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image

from recon3d.io.exif import MALFORMED
from recon3d.io.photos import opened

BELOW_SEA_LEVEL = (1, 3)  # GPSAltitudeRef, of sea level and of the ellipsoid


@dataclass(frozen=True)
class Place:
    latitude: float  # degrees, north
    longitude: float  # degrees, east
    altitude: float | None  # metres; None: not said


def place_of(path: Path) -> Place | None:
    """The place in a photo's EXIF; None where it tells none, or one that is not on the Earth. Raises InputError where the
    file is no photo."""
    with opened(path) as (image, _):
        try:
            # The base class's method: that of PNG would decode all pixels to look behind them.
            tags = dict(Image.Image.getexif(image).get_ifd(ExifTags.IFD.GPSInfo))
        except MALFORMED:
            return None
    return place_in(tags)


def place_in(tags: dict[int, Any]) -> Place | None:
    """The place that tags of the GPS IFD tell (EXIF 2.32, section 4.6.6)."""
    gps = ExifTags.GPS
    latitude = degrees(tags.get(gps.GPSLatitude), tags.get(gps.GPSLatitudeRef), "S", 90.0)
    longitude = degrees(tags.get(gps.GPSLongitude), tags.get(gps.GPSLongitudeRef), "W", 180.0)
    if latitude is None or longitude is None:
        return None
    altitude = finite(tags.get(gps.GPSAltitude))
    reference = tags.get(gps.GPSAltitudeRef, 0)
    below = (reference[0] if isinstance(reference, bytes) and reference else reference) in BELOW_SEA_LEVEL
    return on_earth(latitude, longitude, -altitude if altitude is not None and below else altitude)


def on_earth(latitude: float, longitude: float, altitude: float | None) -> Place | None:
    """The place, without an altitude that is no number; None where it is not on the Earth."""
    if not (abs(latitude) <= 90 and abs(longitude) <= 180) or (latitude == 0 and longitude == 0):
        return None  # 0, 0 is written where there was no fix
    return Place(latitude, longitude, altitude if altitude is not None and math.isfinite(altitude) else None)


def degrees(parts: Any, reference: Any, negative: str, most: float) -> float | None:
    """Degrees, minutes and seconds as one number."""
    if not isinstance(parts, tuple | list) or len(parts) != 3:
        return None
    numbers = [finite(part) for part in parts]
    if any(number is None or number < 0 for number in numbers):
        return None
    whole, minutes, seconds = (float(number) for number in numbers if number is not None)
    value = whole + minutes / 60 + seconds / 3600
    if value > most:
        return None
    return -value if isinstance(reference, str) and reference.strip().upper().startswith(negative) else value


def finite(value: Any) -> float | None:
    try:
        number = float(value)
    except MALFORMED:
        return None
    return number if math.isfinite(number) else None
