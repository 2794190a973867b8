"""Google's CAMM, the track of a camera's motion in a video. Its places are read, nothing else.

Source: "Camera Motion Metadata Spec", developers.google.com/streetview/publish/camm-spec ("Data format"). A packet is a
reserved 16-bit zero, a 16-bit type and what the type says; all numbers are little-endian.
"""

from __future__ import annotations

import struct

from recon3d.io.gps import Place, on_earth

HEAD = struct.Struct("<HH")
# Bytes behind the head, by type: angle axis, exposure times, gyroscope, acceleration, position, GPS, all of GPS, magnetism.
SIZES = {0: 12, 1: 8, 2: 12, 3: 12, 4: 12, 5: 24, 6: 56, 7: 12}
GPS, ALL_OF_GPS = 5, 6
LATITUDE_LONGITUDE_ALTITUDE = struct.Struct("<ddd")
# Seconds of GPS' own clock, kind of fix, latitude, longitude, altitude, horizontal accuracy; further accuracies and speeds.
FIX = struct.Struct("<diddff")
FIX_2D, FIX_3D = 2, 3  # of the kind of fix; 0: none
POOR = 10.0  # metres by which a place is known: what a dilution of precision of 5, where GPMF stops being good, makes of 2 m


def begins(packet: bytes) -> bool:
    """Whether this is the first packet of such a track, of a known type and of its size."""
    if len(packet) < HEAD.size:
        return False
    reserved, kind = HEAD.unpack_from(packet)
    return reserved == 0 and kind in SIZES and len(packet) >= HEAD.size + SIZES[kind]


def fixes(packet: bytes) -> dict[str, list[Place | None]]:
    """By type ("CAMM 6" or "CAMM 5"), the places of a packet; None: no fix, or a poor one. Raises ValueError."""
    found: dict[str, list[Place | None]] = {}
    at = 0
    while at < len(packet):  # one packet is a sample of the track; several in one are read as well
        if not begins(packet[at : at + HEAD.size + max(SIZES.values())]):
            raise ValueError(f"no packet of CAMM begins at byte {at} of {len(packet)}")
        kind = HEAD.unpack_from(packet, at)[1]
        if kind == GPS:
            place = on_earth(*LATITUDE_LONGITUDE_ALTITUDE.unpack_from(packet, at + HEAD.size))
            found.setdefault("CAMM 5", []).append(place)
        elif kind == ALL_OF_GPS:
            found.setdefault("CAMM 6", []).append(good(*FIX.unpack_from(packet, at + HEAD.size)))
        at += HEAD.size + SIZES[kind]
    return found


def good(clock: float, fix: int, latitude: float, longitude: float, altitude: float, accuracy: float) -> Place | None:
    """The place of a fix that is not poor. An accuracy that is no number is not said. A 2D fix tells no altitude."""
    if fix not in (FIX_2D, FIX_3D) or accuracy > POOR:
        return None
    return on_earth(latitude, longitude, altitude if fix == FIX_3D else None)
