"""GPS tags of photos, and places on the Earth as metres."""

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from recon3d.core.geodesy import east_north_up
from recon3d.io.gps import Place, place_in, place_of
from tests.io.input_files import save
from tests.shared_folder import shared


def save_with_gps(path: Path, tags: dict[int, object]) -> Path:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(tags)
    return save(path, exif=exif.tobytes())


TAGS = {1: "S", 2: (33.0, 51.0, 24.5), 3: "W", 4: (70.0, 30.0, 36.0), 5: b"\1", 6: 12.25}
LATITUDE, LONGITUDE = -(33 + 51 / 60 + 24.5 / 3600), -(70 + 30 / 60 + 36 / 3600)


def test_a_place_is_read_south_west_and_below_the_sea(tmp_path):
    place = place_of(save_with_gps(tmp_path / "a.jpg", TAGS))
    assert place == Place(pytest.approx(LATITUDE, abs=1e-12), pytest.approx(LONGITUDE, abs=1e-12), -12.25)


def test_photos_of_a_drone_tell_where_they_were_taken():
    """Brighton Beach, Duluth, some metres above Lake Superior (183 m)."""
    for path in shared("data/beach-drone/images").iterdir():
        place = place_of(path)
        assert place is not None and place.altitude is not None
        assert place.latitude == pytest.approx(46.842, abs=2e-3) and place.longitude == pytest.approx(-91.994, abs=2e-3)
        assert 183 < place.altitude < 300


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {2: TAGS[2]},
        {2: (math.nan, 0.0, 0.0), 4: TAGS[4]},
        {2: (91.0, 0.0, 0.0), 4: TAGS[4]},
        {2: "33", 4: TAGS[4]},
        {2: (33.0, 51.0), 4: TAGS[4]},
        {2: (0.0, 0.0, 0.0), 4: (0.0, 0.0, 0.0)},
    ],
)
def test_tags_that_tell_no_place_give_none(tags):
    assert place_in(tags) is None


def test_an_altitude_that_is_no_number_is_not_said():
    assert place_in({**TAGS, 6: math.nan}) == Place(LATITUDE, LONGITUDE, None)


def test_metres_about_a_place_are_pycolmaps():
    from recon3d.sfm.pycolmap import colmap

    first = np.array([46.842607, -91.994560, 198.3])
    places = first + np.array([[0, 0, 0], [1e-3, 0, 5], [-2e-3, 3e-3, 40], [0.5, -0.4, 900]])
    transform = colmap.GPSTransform(colmap.GPSTransformEllipsoid.WGS84)
    assert np.allclose(east_north_up(places, first), transform.ellipsoid_to_enu(places, *first), atol=1e-6)
