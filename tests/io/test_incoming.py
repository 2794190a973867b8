"""Which photos become views: panoramas and fisheyes are left out, pictures that are there twice used once, masks scaled."""

import json

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from recon3d.io.photos import read_photo
from recon3d.progress import Progress
from tests.io.input_files import picture, save, save_with_exif, write_cameras_json, write_video
from tests.io.test_load import load, refusal


def all_round(height: int = 64) -> np.ndarray:
    """A picture of 2:1 whose left and right borders meet."""
    half = picture(height, height)
    return np.concatenate([half, half[:, ::-1]], 1)


MARK = b'<rdf GPano:ProjectionType="equirectangular"/>'


@pytest.mark.parametrize("mark", ["seam", "xmp"])
def test_a_panorama_is_left_out_by_name_and_refused_alone(tmp_path, mark):
    save(tmp_path / "a.jpg", picture(64, 128, 1))
    path = save(tmp_path / "b.jpg", all_round()) if mark == "seam" else save(tmp_path / "b.jpg", xmp=MARK)
    progress = Progress()
    loaded = load(tmp_path, progress=progress)
    reason = "a panorama (its left and right borders meet)" if mark == "seam" else "a panorama (marked as one)"
    assert loaded.views.names == ("a.jpg",) and loaded.left_out == (("b.jpg", reason),)
    assert len(progress.notes) == 1 and progress.notes[0].startswith(f"{path}: {reason}. Left out. Cut it into ")
    assert refusal(path).startswith(f"{path}: {reason}")
    (tmp_path / "a.jpg").unlink()
    save(tmp_path / "c.jpg", xmp=MARK)
    assert refusal(tmp_path).startswith(f"{tmp_path}: none of its 2 images can be used; the first, ")


@pytest.mark.parametrize("height", [64, 101, 240])
def test_photos_of_two_to_one_are_photos(tmp_path, height):
    """Not round are those of any content, and those of a common run from sky to ground, white or black at the borders."""
    run = np.linspace(255, 0, height)[:, None, None] * np.ones((1, 2 * height, 3))
    wide = picture(height, 2 * height)
    framed = np.full_like(wide, 255)
    framed[:, height // 2 : -height // 2] = wide[:, height // 2 : -height // 2]
    sea = run.copy()
    sea[height // 2 :] *= np.random.default_rng(0).uniform(0.3, 1, (height - height // 2, 2 * height, 1))
    for i, pixels in enumerate((wide, run.astype(np.uint8), framed, np.zeros_like(wide), sea.astype(np.uint8))):
        save(tmp_path / f"{i}.png", pixels)
    assert len(load(tmp_path).views) == 5


@pytest.mark.parametrize("turn", [0, 37, 128, 300])
def test_a_panorama_meets_itself_wherever_it_begins(tmp_path, turn):
    """Of noise that is smooth all round, at compression and noise of a camera."""
    noise = np.random.default_rng(1).normal(0, 1, (200, 400, 3))
    smooth = gaussian_filter(noise, (3, 3, 0), mode="wrap")
    pixels = 128 + smooth / smooth.std() * 40 + np.random.default_rng(2).normal(0, 3, noise.shape)
    path = save(tmp_path / "a.jpg", np.roll(pixels.clip(0, 255).astype(np.uint8), turn, 1), quality=80)
    assert "a panorama (its left and right borders meet)" in refusal(path)


def test_a_spherical_video_is_refused_and_one_of_two_to_one_is_not(tmp_path):
    video = write_video(tmp_path / "clip.mp4", [all_round()] * 3)
    assert refusal(video).startswith(f"{video}: a panorama (its left and right borders meet)")
    flat = write_video(tmp_path / "flat.mp4", [picture(64, 128, i) for i in range(3)])
    assert len(load(flat).views) == 3


def test_a_fisheye_is_left_out_until_its_lens_is_known(tmp_path):
    photo = save_with_exif(tmp_path / "in" / "a.jpg", {}, {0xA434: "Fisheye 8 mm"})
    assert refusal(photo).startswith(f"{photo}: a fisheye photo whose lens is not known")
    save(tmp_path / "in" / "b.jpg", picture(seed=1))
    assert load(tmp_path / "in").left_out == (("a.jpg", "a fisheye photo whose lens is not known"),)
    cameras = write_cameras_json(tmp_path / "known.json", ["a.jpg"])
    assert len(load(tmp_path / "in", cameras=cameras).views) == 2


def test_the_same_picture_under_two_names_is_used_once_and_told(tmp_path):
    first = save(tmp_path / "a.png", picture())
    (tmp_path / "b.png").write_bytes(first.read_bytes())
    save(tmp_path / "c.bmp", picture())  # the same pixels in other bytes
    save(tmp_path / "d.png", picture(seed=1))
    nearly = picture().copy()
    nearly[20, 30, 1] ^= 1
    save(tmp_path / "e.png", nearly)
    progress = Progress()
    loaded = load(tmp_path, progress=progress)
    assert loaded.views.names == ("a.png", "d.png", "e.png")
    same = "the same picture as a.png"
    assert loaded.left_out == (("b.png", same), ("c.bmp", same)) and len(load(tmp_path, repeated=True).views) == 5
    assert progress.notes == [f"{tmp_path / 'b.png'}: {same}. Left out, and so are 1 more that are there twice"]


def test_pictures_that_differ_at_full_size_only_are_two(tmp_path):
    fine = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    other = fine.copy()
    other[0, 0], other[0, 1] = fine[0, 1], fine[0, 0]  # the mean of four pixels is the same
    save(tmp_path / "a.png", fine)
    save(tmp_path / "b.png", other)
    views = load(tmp_path, max_size=32).views
    assert len(views) == 2 and torch.equal(*views.images)


def test_of_two_same_pictures_the_one_with_a_camera_stays_and_a_seen_one_before_one_held_out(tmp_path):
    for name in ("a.png", "b.png", "c.png"):
        save(tmp_path / "images" / name)
    path = write_cameras_json(tmp_path / "cameras.json", ["b.png", "c.png"])
    document = json.loads(path.read_text())
    document["images"][0]["held_out"] = True
    document["images"][1]["camera_from_world"] = document["images"][0]["camera_from_world"]
    path.write_text(json.dumps(document))
    loaded = load(tmp_path)
    assert loaded.views.names == ("c.png",) and not loaded.views.held_out.any()


def test_same_pictures_of_cameras_that_stand_apart_and_pictures_of_one_colour_all_stay(tmp_path):
    for name in ("a.png", "b.png"):
        save(tmp_path / "turntable" / "images" / name)
        save(tmp_path / "black" / name, np.zeros((48, 64, 3), np.uint8))
    write_cameras_json(tmp_path / "turntable" / "cameras.json", ["a.png", "b.png"])
    assert len(load(tmp_path / "turntable").views) == 2 and len(load(tmp_path / "black").views) == 2


@pytest.mark.parametrize(("height", "width"), [(50, 100), (25, 49), (101, 200), (400, 801)])
def test_a_mask_of_the_same_shape_is_scaled_to_its_photo_and_told(tmp_path, height, width):
    save(tmp_path / "a.png", picture(101, 201))
    white = np.zeros((height, width), np.uint8)
    white[:, width // 2 :] = 255
    mask = save(tmp_path / "masks" / "a.png", white)
    progress = Progress()
    usable = read_photo(load(tmp_path, progress=progress).views.sources[0])[1]
    assert usable is not None and usable.shape == (101, 201)
    border = usable.argmax(1)
    assert np.abs(border - 201 * (width // 2) / width).max() <= 1 and usable[:, border.max() :].all()
    assert progress.notes == [f"1 masks ({mask} first) are scaled to the size of their photos"]
