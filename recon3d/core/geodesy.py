"""Places on the Earth as metres east, north and up of one of them. In float64: a step of float32 is half a metre there."""

from __future__ import annotations

from typing import Annotated

import numpy as np

# WGS 84 (NIMA TR8350.2, table 3.1).
SEMI_MAJOR_AXIS = 6378137.0  # metres
FLATTENING = 1 / 298.257223563
ECCENTRICITY_SQUARED = FLATTENING * (2 - FLATTENING)

Places = Annotated[np.ndarray, "N 3"]  # latitude and longitude in degrees, altitude in metres


def geocentric(places: Places) -> Annotated[np.ndarray, "N 3"]:
    """Earth-centred, Earth-fixed coordinates in metres (NIMA TR8350.2, section 4.4.1)."""
    latitude, longitude, altitude = np.deg2rad(places[:, 0]), np.deg2rad(places[:, 1]), places[:, 2]
    normal = SEMI_MAJOR_AXIS / np.sqrt(1 - ECCENTRICITY_SQUARED * np.sin(latitude) ** 2)
    across = (normal + altitude) * np.cos(latitude)
    along = (normal * (1 - ECCENTRICITY_SQUARED) + altitude) * np.sin(latitude)
    return np.stack([across * np.cos(longitude), across * np.sin(longitude), along], 1)


def east_north_up(places: Places, first: Annotated[np.ndarray, "3"]) -> Annotated[np.ndarray, "N 3"]:
    """Metres east, north and up of `first` (latitude, longitude, altitude), whose axes stand at its place."""
    away = geocentric(places) - geocentric(first[None])
    latitude, longitude = np.deg2rad(first[:2])
    sin_lat, cos_lat, sin_lon, cos_lon = np.sin(latitude), np.cos(latitude), np.sin(longitude), np.cos(longitude)
    axes = np.array([
        [-sin_lon, cos_lon, 0],
        [-sin_lat * cos_lon, -sin_lat * sin_lon, cos_lat],
        [cos_lat * cos_lon, cos_lat * sin_lon, sin_lat],
    ])  # fmt: skip
    return away @ axes.T
