"""Undistorted photos against closed forms: a drawing that the lens bends must come out as the pinhole draws it."""

import cv2
import numpy as np
import pytest
import torch

from recon3d.core.lens import Lens, undistorted, undistortion_map
from recon3d.core.views import Views
from recon3d.errors import InputError
from recon3d.io.detect import detect
from recon3d.io.load import load_views
from recon3d.io.photos import pictures
from recon3d.io.undistortion import _strip_map, undistorted_mask, undistorted_photo, undistorted_views
from tests.io.input_files import save

HEIGHT, WIDTH = 300, 400
LENSES = {
    "SIMPLE_RADIAL": Lens("SIMPLE_RADIAL", (320.0, 203.0, 148.0, -0.12), HEIGHT, WIDTH),
    "OPENCV": Lens("OPENCV", (320.0, 330.0, 203.0, 148.0, 0.1, -0.03, 0.004, -0.003), HEIGHT, WIDTH),
    "OPENCV_FISHEYE": Lens("OPENCV_FISHEYE", (250.0, 250.0, 200.0, 150.0, 0.05, 0.01, 0.0, 0.0), HEIGHT, WIDTH),
}
PINHOLE = Lens("PINHOLE", (320.0, 320.0, 203.0, 148.0), HEIGHT, WIDTH)


def pixel_centres(height: int, width: int) -> np.ndarray:
    y, x = np.meshgrid(np.arange(height) + 0.5, np.arange(width) + 0.5, indexing="ij")
    return np.stack([x, y], -1)


def drawing(rays: np.ndarray) -> np.ndarray:
    """Smooth colours of the directions x/z, y/z, as floats."""
    x, y = rays[..., 0], rays[..., 1]
    return 127 + 100 * np.stack([np.sin(9 * x), np.cos(8 * y), np.sin(6 * x + 7 * y)], -1)


def views_of(tmp_path, lens: Lens, max_size: int, mask: np.ndarray | None = None) -> Views:
    """One photo of the drawing through the lens."""
    rays = lens.rays_of_pixels(pixel_centres(HEIGHT, WIDTH))
    save(tmp_path / "a.png", drawing(rays).round().astype(np.uint8))
    if mask is not None:
        save(tmp_path / "masks" / "a.png", mask.astype(np.uint8) * 255)
    views = load_views(detect([tmp_path]), max_size=max_size).views
    return Views(**{**vars(views), "lenses": (lens,)})


@pytest.mark.parametrize("name", LENSES)
def test_a_bent_drawing_comes_out_as_its_pinhole_draws_it(tmp_path, name):
    views = views_of(tmp_path, LENSES[name], 400)
    expected = drawing(undistorted(LENSES[name]).rays_of_pixels(pixel_centres(HEIGHT, WIDTH)))
    assert np.abs(undistorted_photo(views, 0) - expected).max() < 2.5
    flat = undistorted_views(views, 400)
    assert np.abs(flat.images[0].permute(1, 2, 0).numpy() - expected).max() < 2.5
    assert flat.undistorted and flat.lenses == views.lenses and torch.equal(flat.photo_sizes, views.photo_sizes)


@pytest.mark.parametrize("size", [100, 133])
def test_at_working_size_the_map_from_the_photo_places_the_drawing(tmp_path, size):
    lens = LENSES["OPENCV"]
    flat = undistorted_views(views_of(tmp_path, lens, 400), size)
    image = flat.images[0].permute(1, 2, 0).numpy()
    K = flat.pixel_from_photo[0].numpy() @ undistorted(lens).K
    working = Lens.pinhole(K, *image.shape[:2])
    expected = drawing(working.rays_of_pixels(pixel_centres(*image.shape[:2])))
    assert max(image.shape[:2]) == size
    assert np.abs(image - expected).max() < 4 and np.abs(image - expected).mean() < 0.7


def test_opencv_undistorts_the_same_way(tmp_path):
    lens = LENSES["OPENCV"]
    views = views_of(tmp_path, lens, 400)
    shift = np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
    bends = np.array([lens.param(n) for n in ("k1", "k2", "p1", "p2")])
    rgb = views.images[0].permute(1, 2, 0).numpy()
    theirs = cv2.undistort(rgb, lens.K - shift, bends, newCameraMatrix=undistorted(lens).K - shift)
    assert np.abs(undistorted_photo(views, 0).astype(float) - theirs).mean() < 0.5


def test_no_border_of_an_undistorted_photo_is_empty(tmp_path):
    for name, lens in LENSES.items():
        save(tmp_path / name / "a.png", np.full((HEIGHT, WIDTH, 3), 200, np.uint8))
        views = load_views(detect([tmp_path / name])).views
        views = Views(**{**vars(views), "lenses": (lens,)})
        at = lens.pixels_of_rays(undistorted(lens).rays_of_pixels(pixel_centres(HEIGHT, WIDTH)))
        assert at.min() > -0.5 and (at < [WIDTH + 0.5, HEIGHT + 0.5]).all()
        assert (undistorted_photo(views, 0) == 200).all()


def test_masks_bend_with_their_photos(tmp_path):
    lens = LENSES["SIMPLE_RADIAL"]

    def inside(rays: np.ndarray) -> np.ndarray:
        return np.hypot(rays[..., 0] - 0.1, rays[..., 1]) < 0.25

    views = views_of(tmp_path, lens, 200, inside(lens.rays_of_pixels(pixel_centres(HEIGHT, WIDTH))))
    expected = inside(undistorted(lens).rays_of_pixels(pixel_centres(HEIGHT, WIDTH)))
    full = undistorted_mask(views, 0)
    assert full is not None and (full != expected).mean() < 0.003
    flat = undistorted_views(views, 200)
    assert flat.masks is not None and flat.masks[0] is not None
    assert (flat.masks[0].numpy() != expected.reshape(150, 2, 200, 2).mean((1, 3)).round().astype(bool)).mean() < 0.01


def test_a_pinhole_keeps_its_picture_and_mask(tmp_path):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[:, :111] = True
    views = views_of(tmp_path, PINHOLE, 200, mask)
    flat = undistorted_views(views, 200)
    assert flat.images[0] is views.images[0] and flat.undistorted
    assert flat.masks is not None and views.masks is not None and flat.masks[0] is views.masks[0]
    smaller = undistorted_views(views, 100)
    assert smaller.images[0].shape == (3, 75, 100)
    full = undistorted_mask(views, 0)
    assert full is not None and (full == mask).all()


def test_views_without_masks_have_none_after_undistortion(tmp_path):
    views = views_of(tmp_path, LENSES["OPENCV"], 100)
    assert undistorted_views(views, 100).masks is None and undistorted_mask(views, 0) is None


def test_a_lens_that_sees_too_wide_is_refused_by_name(tmp_path):
    views = views_of(tmp_path, PINHOLE, 100)
    wide = Lens("OPENCV_FISHEYE", (100.0, 100.0, 200.0, 150.0, 0.0, 0.0, 0.0, 0.0), HEIGHT, WIDTH)
    with pytest.raises(InputError, match=r"^a\.png: it sees too wide for a flat picture"):
        undistorted_views(Views(**{**vars(views), "lenses": (wide,)}), 100)


def test_features_are_not_taken_from_undistorted_views(tmp_path):
    with pytest.raises(ValueError, match="undistorted"):
        pictures(undistorted_views(views_of(tmp_path, PINHOLE, 100), 100))


@pytest.mark.parametrize("name", LENSES)
@pytest.mark.parametrize("size", [(300, 400), (75, 100), (129, 172)])
def test_the_map_between_nodes_is_the_exact_one_to_a_thirtieth_of_a_pixel(name, size):
    lens = LENSES[name]
    pinhole, scale = undistorted(lens), np.array([size[1] / WIDTH, size[0] / HEIGHT])
    exact = undistortion_map(lens, pinhole, np.diag([1 / scale[0], 1 / scale[1], 1]), *size) * scale - 0.5
    for top in (0, 37):
        found = _strip_map(lens, pinhole, size, top, 30)
        assert found.shape == (2, 30, size[1]) and found.dtype == np.float32
        assert np.abs(found.transpose(1, 2, 0) - exact[top : top + 30]).max() < 0.035
