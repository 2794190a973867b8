"""EXIF and XMP: focal lengths as ratios, cameras, panoramas."""

import warnings

import numpy as np
import pytest

from recon3d.io.exif import focal_ratio
from recon3d.io.photos import read_header
from tests.io.input_files import picture, save, save_with_exif
from tests.shared_folder import shared

FILM, FOCAL, PER_UNIT, UNIT, PIXELS_X, PIXELS_Y = 41989, 37386, 41486, 41488, 40962, 40963


@pytest.mark.parametrize(("scene", "film"), [("banana", 60), ("beach-drone", 20), ("lund", 35)])
def test_real_photos_tell_their_focal_length_over_36_mm(scene, film):
    for path in shared(f"data/{scene}/images").iterdir():
        assert read_header(path).exif.focal_ratio == pytest.approx(film / 36)


def test_focal_lengths_of_reduced_photos_are_near_those_of_structure_from_motion():
    """COLMAP found 512 px for beach-drone; the EXIF, whose pixel sizes are of the larger original, gives 427."""
    header = read_header(min(shared("data/beach-drone/images").iterdir()))
    assert 400 < (header.exif.focal_ratio or 0) * max(header.size) < 530


def test_a_sensor_width_serves_where_the_film_equivalent_is_missing():
    """Canon 5D: 36 mm wide, 4368 pixels, resolution in pixels per inch; a 50 mm lens."""
    tags = {FOCAL: 50.0, PER_UNIT: 4368 / (36 / 25.4), UNIT: 2, PIXELS_X: 4368, PIXELS_Y: 2912}
    assert focal_ratio(tags) == pytest.approx(50 / 36)
    assert focal_ratio({**tags, PER_UNIT: 4368 / 3.6, UNIT: 3}) == pytest.approx(50 / 36)
    assert focal_ratio({**tags, PIXELS_X: 2912, PIXELS_Y: 4368}) == pytest.approx(50 / 36)


@pytest.mark.parametrize(
    "tags", [{}, {FILM: 0}, {FILM: "wide"}, {FOCAL: 50.0}, {FOCAL: 50.0, PER_UNIT: 0, PIXELS_X: 1, PIXELS_Y: 1}, {FILM: 1e9}]
)
def test_tags_that_do_not_say_give_no_focal_length(tags):
    assert focal_ratio(tags) is None


def test_maker_model_lens_and_focal_length_make_a_camera(tmp_path):
    path = save_with_exif(tmp_path / "a.jpg", {271: "Maker\0\0", 272: " Model "}, {0xA434: "10-20 mm", FOCAL: 12.5})
    assert read_header(path).exif.camera == ("Maker", "Model", "10-20 mm", 12.5)


@pytest.mark.parametrize(
    ("projection", "panorama", "fisheye"),
    [("equirectangular", True, False), ("cylindrical", True, False), ("fisheye", False, True), ("rectilinear", False, False)],
)
@pytest.mark.parametrize("form", ['GPano:ProjectionType="{}"', "<GPano:ProjectionType>{}</GPano:ProjectionType>"])
def test_xmp_marks_panoramas_and_fisheyes(tmp_path, projection, panorama, fisheye, form):
    xmp = f"<x:xmpmeta><rdf:Description {form.format(projection)}/></x:xmpmeta>".encode()
    header = read_header(save(tmp_path / "a.jpg", xmp=xmp))
    assert (header.exif.panorama, header.exif.fisheye) == (panorama, fisheye)


def test_a_lens_called_fisheye_is_one(tmp_path):
    path = save_with_exif(tmp_path / "a.jpg", {}, {0xA434: "EF8-15mm f/4L FISHEYE USM"})
    assert read_header(path).exif.fisheye


@pytest.mark.parametrize(
    ("height", "width", "so"),
    [(100, 200, True), (100, 201, True), (100, 199, True), (100, 205, False), (232, 768, False), (100, 178, False)],
)
def test_twice_as_wide_is_within_one_percent(tmp_path, height, width, so):
    assert read_header(save(tmp_path / "a.png", picture(height, width))).twice_as_wide == so


def test_twice_as_wide_is_meant_after_turning(tmp_path):
    path = save_with_exif(tmp_path / "a.jpg", {274: 6}, {}, picture(128, 64))
    header = read_header(path)
    assert header.size == (64, 128) and header.twice_as_wide


def test_nonsense_in_exif_counts_as_not_said(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(40):
        exif = b"Exif\0\0II*\0\x08\0\0\0" + rng.integers(0, 256, 200, dtype=np.uint8).tobytes()
        with warnings.catch_warnings(record=True):  # Pillow's, while it writes the nonsense
            path = save(tmp_path / f"{i}.jpg", exif=exif)
        assert sorted(read_header(path).size) == [48, 64]
