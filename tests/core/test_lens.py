"""Lenses against pycolmap's cameras and OpenCV's formulas, inverses, and undistortion without empty borders."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recon3d.core.lens import FISHEYE, MODELS, Lens, undistorted, undistortion_map
from recon3d.sfm.pycolmap import colmap

# Mild distortions of real lenses, by name; fisheyes bend by themselves.
BENDS = {"k1": -0.05, "k2": 0.02, "k3": 0.004, "k4": 0.01, "k5": -0.003, "k6": 0.002, "p1": 0.001, "p2": -0.002}
SIZE = {"f": 260.0, "fx": 260.0, "fy": 255.0, "cx": 158.0, "cy": 121.0}


def lens_of(model: str, scale: float = 1.0) -> Lens:
    params = tuple(SIZE.get(name, scale * BENDS.get(name, 0.0)) for name in MODELS[model][1])
    return Lens(model, params, 240, 320)


def rays(count: int = 50, reach: float = 0.55) -> np.ndarray:
    return np.random.default_rng(0).uniform(-reach, reach, (count, 2))


@pytest.mark.parametrize("model", MODELS)
def test_pixels_of_rays_are_pycolmaps(model):
    lens = lens_of(model)
    camera = colmap.Camera(model=model, width=320, height=240, params=list(lens.params))
    in_camera = np.concatenate([rays(), np.ones((50, 1))], 1)
    np.testing.assert_allclose(lens.pixels_of_rays(rays()), camera.img_from_cam(in_camera), rtol=0, atol=1e-9)


@pytest.mark.parametrize("model", MODELS)
def test_rays_of_pixels_are_pycolmaps(model):
    lens = lens_of(model)
    camera = colmap.Camera(model=model, width=320, height=240, params=list(lens.params))
    pixels = lens.pixels_of_rays(rays())
    ours, theirs = lens.rays_of_pixels(pixels), camera.cam_from_img(pixels)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-7)  # COLMAP's own iteration ends near 1e-8
    np.testing.assert_allclose(ours, rays(), rtol=0, atol=1e-10)


def test_opencv_distorts_as_the_lens_does():
    """Its pixel centres lie at whole numbers, ours at halves."""
    lens = lens_of("FULL_OPENCV")
    K = lens.K - [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]
    in_camera = np.concatenate([rays(), np.ones((50, 1))], 1)
    pixels = cv2.projectPoints(in_camera, np.zeros(3), np.zeros(3), K, np.array(lens.params[4:]))[0][:, 0]
    np.testing.assert_allclose(lens.pixels_of_rays(rays()), pixels + 0.5, rtol=0, atol=1e-9)


def test_opencvs_fisheye_distorts_as_the_lens_does():
    lens = lens_of("OPENCV_FISHEYE")
    bent = cv2.fisheye.distortPoints(rays()[:, None], np.eye(3), np.array(lens.params[4:]))[:, 0]
    np.testing.assert_allclose(lens.distort(rays()), bent, rtol=0, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    model=st.sampled_from(sorted(MODELS)),
    scale=st.floats(0.0, 1.5),
    x=st.floats(-0.6, 0.6),
    y=st.floats(-0.6, 0.6),
)
def test_undistort_inverts_distort(model, scale, x, y):
    lens = lens_of(model, scale)
    ray = np.array([x, y])
    np.testing.assert_allclose(lens.undistort(lens.distort(ray)), ray, rtol=0, atol=1e-9)


def test_a_pixel_that_no_ray_reaches_is_nan():
    """A barrel strong enough to fold: r(1 - 0.5 r²) never exceeds its maximum of 0.544 at r = 0.816."""
    lens = Lens("SIMPLE_RADIAL", (100.0, 100.0, 100.0, -0.5), 200, 200)
    assert np.isnan(lens.rays_of_pixels(np.array([199.0, 100.0]))).all()
    assert np.isfinite(lens.rays_of_pixels(np.array([150.0, 100.0]))).all()


def test_only_lenses_that_keep_lines_straight_are_pinholes():
    assert lens_of("PINHOLE").is_pinhole and lens_of("OPENCV", 0).is_pinhole
    assert not lens_of("OPENCV").is_pinhole
    assert not any(lens_of(model, 0).is_pinhole for model in FISHEYE)


@pytest.mark.parametrize("model", MODELS)
def test_a_resized_photo_shows_the_same_ray_at_the_resized_pixel(model):
    lens = lens_of(model)
    smaller = lens.resized(120, 160)
    np.testing.assert_allclose(smaller.pixels_of_rays(rays()), lens.pixels_of_rays(rays()) / 2, atol=1e-9)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("scale", [-1.0, 1.0, 2.0])
def test_the_undistorted_photo_has_no_empty_border_and_wastes_little(model, scale):
    """Every pixel of it lies inside of the photo, and one of its borders touches the photo's."""
    lens = lens_of(model, scale)
    pinhole = undistorted(lens)
    assert (pinhole.model, pinhole.height, pinhole.width) == ("PINHOLE", 240, 320)
    assert (pinhole.K[:2, 2] == lens.K[:2, 2]).all()
    at = undistortion_map(lens, pinhole, np.eye(3), 240, 320)
    assert at.min() > 0 and (at[..., 0] < 320).all() and (at[..., 1] < 240).all()
    room = min(at.min(axis=(0, 1)).min(), 320 - at[..., 0].max(), 240 - at[..., 1].max())
    assert room < 1.6  # half a pixel to the centre, stretched by the distortion


def test_a_pinhole_is_undistorted_by_nothing():
    lens = lens_of("PINHOLE")
    assert undistorted(lens) == lens
    at = undistortion_map(lens, lens, np.eye(3), 240, 320)
    np.testing.assert_allclose(at[7, 3], [3.5, 7.5], atol=1e-12)


def test_straight_lines_are_straight_after_undistortion():
    """Points on a line in space, seen through the lens, found again in the undistorted photo on one line."""
    lens = lens_of("OPENCV", 2)
    pinhole = undistorted(lens)
    line = np.stack([np.linspace(-0.4, 0.4, 20), 0.3 + 0.1 * np.linspace(-0.4, 0.4, 20)], -1)
    seen = lens.pixels_of_rays(line)
    assert np.abs(np.polyval(np.polyfit(*seen.T, 1), seen[:, 0]) - seen[:, 1]).max() > 0.3
    found = pinhole.pixels_of_rays(lens.rays_of_pixels(seen))
    assert np.abs(np.polyval(np.polyfit(*found.T, 1), found[:, 0]) - found[:, 1]).max() < 1e-8


def test_half_the_size_of_an_undistorted_photo_shows_the_photo_at_the_same_places():
    lens = lens_of("RADIAL")
    pinhole = undistorted(lens)
    half = undistortion_map(lens, pinhole, np.diag([2.0, 2.0, 1.0]), 120, 160)
    expected = lens.pixels_of_rays(pinhole.rays_of_pixels(np.array([2 * 10.5, 2 * 20.5])))
    np.testing.assert_allclose(half[20, 10], expected, atol=1e-9)


def test_a_lens_without_a_ray_for_its_border_cannot_be_undistorted():
    with pytest.raises(ValueError, match="no ray for part of the photo's border"):
        undistorted(Lens("SIMPLE_RADIAL", (100.0, 100.0, 100.0, -0.5), 200, 200))
    with pytest.raises(ValueError, match="no ray"):  # over 180°: the border's rays look backwards
        undistorted(Lens("OPENCV_FISHEYE", (50.0, 50.0, 100.0, 100.0, 0.0, 0.0, 0.0, 0.0), 200, 200))


def test_a_lens_says_what_is_wrong_with_its_making():
    with pytest.raises(ValueError, match="camera model FOV is not one of"):
        Lens("FOV", (1.0,), 1, 1)
    with pytest.raises(ValueError, match="PINHOLE has 4 parameters, 2 were given"):
        Lens("PINHOLE", (1.0, 2.0), 1, 1)
