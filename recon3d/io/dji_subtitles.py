"""The subtitles in which DJI's drones tell where they are, within a video or as a .srt file beside it.

They are text for people, and DJI has no page about them; what is read is what names itself, as in
`[latitude: 46.842607] [longitude: -91.994560] [rel_alt: 12.3 abs_alt: 198.3]`. The older `GPS(91.9946,46.8426,12)` is not
read: descriptions of it contradict each other (which angle stands first, whether the third is metres or satellites).
"""

from __future__ import annotations

import re
from pathlib import Path

from recon3d.io.gps import Place, on_earth

NUMBER = r"\s*:\s*([-+]?\d{1,7}(?:\.\d{1,12})?)(?![\d.])"
LATITUDE = re.compile(r"\blatitude" + NUMBER)
LONGITUDE = re.compile(r"\blongt?itude" + NUMBER)  # some firmwares write longtitude
ALTITUDE = re.compile(r"\b(?:abs_alt|altitude)" + NUMBER)  # rel_alt counts from where it took off
UNNAMED = re.compile(r"\bGPS\s*\(")
MOST_TEXT = 1 << 12  # characters of a subtitle that are looked at
MOST_BYTES = 1 << 26  # of a .srt file, 64 MB: an hour and more of a subtitle for each frame


def fixes(text: str) -> list[Place | None]:
    """The place that a subtitle tells by name, none where it tells none; None: it has no fix (0, 0)."""
    text = text[:MOST_TEXT]
    latitude, longitude, altitude = LATITUDE.search(text), LONGITUDE.search(text), ALTITUDE.search(text)
    if latitude is None or longitude is None:
        return []
    return [on_earth(float(latitude[1]), float(longitude[1]), None if altitude is None else float(altitude[1]))]


def text_of(packet: bytes, codec: str) -> str:
    """The text of a packet of subtitles; MP4's begins with its length (3GPP TS 26.245, section 5.17)."""
    if codec == "mov_text":
        packet = packet[2 : 2 + int.from_bytes(packet[:2], "big")]
    return packet.decode("utf-8", "replace")


def file_beside(video: Path) -> Path | None:
    """The .srt file with the name of a video, as drones write it."""
    there = (video.with_suffix(suffix) for suffix in (".srt", ".SRT"))
    return next((path for path in there if path.is_file() and path.stat().st_size <= MOST_BYTES), None)
