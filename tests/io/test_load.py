"""Inputs as Views: what is left out and why, focal lengths, shared cameras, masks, known cameras, videos."""

import json
import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from recon3d.core.lens import Lens
from recon3d.errors import InputError
from recon3d.io.detect import detect
from recon3d.io.load import Loaded, load_views
from recon3d.io.photos import pictures, read_photo
from recon3d.pipeline.run import not_matched_in
from recon3d.progress import Event, Progress
from tests.io.input_files import (
    picture,
    save,
    save_with_exif,
    turned,
    write_cameras_json,
    write_colmap_model,
    write_transforms_json,
    write_video,
)  # fmt: skip
from tests.shared_folder import shared

SCHEMA = json.loads((Path(__file__).resolve().parents[2] / "docs" / "report.schema.json").read_text())

def load(*paths: Path, **options) -> Loaded:
    return load_views(detect(paths), **options)


def refusal(*paths: Path, **options) -> str:
    with pytest.raises(InputError) as caught:
        load(*paths, **options)
    return str(caught.value)


def test_photos_come_at_working_size_with_the_map_from_the_photo(tmp_path):
    save(tmp_path / "a.png", picture(60, 100, 1))
    save(tmp_path / "b.png", picture(100, 60, 2))
    views = load(tmp_path, max_size=50).views
    assert views.names == ("a.png", "b.png")
    assert [tuple(image.shape) for image in views.images] == [(3, 30, 50), (3, 50, 30)]
    assert all(image.dtype == torch.uint8 and image.is_contiguous() for image in views.images)
    assert views.photo_sizes.tolist() == [[60, 100], [100, 60]]
    assert torch.equal(views.pixel_from_photo[0], torch.diag(torch.tensor([0.5, 0.5, 1], dtype=torch.float64)))
    assert views.masks is None and views.known_camera_from_world is None and not views.undistorted


def test_working_pictures_are_means_over_the_area_of_each_pixel(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    save(tmp_path / "a.png", pixels)
    image = load(tmp_path, max_size=30).views.images[0].permute(1, 2, 0).numpy()
    exact = pixels.reshape(20, 3, 30, 3, 3).mean((1, 3))
    assert np.abs(image - exact).max() <= 0.5 + 1e-6


def test_small_photos_are_not_enlarged(tmp_path):
    save(tmp_path / "a.png")
    views = load(tmp_path, max_size=500).views
    assert (views.images[0].permute(1, 2, 0).numpy() == picture()).all()


def test_unreadable_photos_among_good_ones_are_left_out_with_name_and_reason():
    notes: list[Event] = []
    loaded = load(shared("data/bad"), progress=Progress(notes.append))
    left = dict(loaded.left_out)
    again = {name for name, reason in left.items() if reason.startswith("the same picture as ")}
    assert set(left) - again == {
        "bomb_full.png", "bomb_header.png", "empty.jpg", "one_pixel.png", "text.jpg", "truncated.jpg"
    }  # fmt: skip
    assert left["empty.jpg"] == "empty file" and left["truncated.jpg"].startswith("truncated")
    # Files that differ in their tags or their compression without loss only.
    assert again == {"orientation_3.jpg", "orientation_4.jpg", "orientation_6.jpg", "orientation_8.jpg", "upright.png"}
    assert not set(left) & set(loaded.views.names) and len(loaded.views) == 10
    said = [event.text for event in notes if event.kind == "note"]
    assert len(said) == 7 and all("\n" not in line for line in said)


@pytest.mark.parametrize("name", ["text.jpg", "empty.jpg", "truncated.jpg", "one_pixel.png", "bomb_full.png"])
def test_a_bad_file_alone_is_refused_by_name_and_told_once(name):
    path = shared(f"data/bad/{name}")
    progress = Progress()
    assert refusal(path, progress=progress).startswith(f"{path}: ")
    assert not progress.notes


def test_a_folder_without_one_good_photo_is_refused_once(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_text("text")
    assert refusal(tmp_path).startswith(f"{tmp_path}: none of its 2 images can be used; the first, a.jpg: not an image.")


def test_the_last_resort_counts_photos_that_fail_while_decoding(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        save(tmp_path / name, picture(200, 200))
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:900])
    assert re.search(r"none of its 2 images can be used; the first, a\.jpg: truncated", refusal(tmp_path))


def test_at_most_max_images_are_taken_evenly_spread(tmp_path):
    for i in range(11):
        save(tmp_path / f"{i:02d}.png", picture(seed=i))
    views = load(tmp_path, max_images=4).views
    assert views.names == tuple(f"{i:02d}.png" for i in np.round(np.linspace(0, 10, 4)).astype(int))
    assert len(load(tmp_path, max_images=11).views) == 11
    assert refusal(tmp_path, max_images=0).startswith("--max-images: ")


def test_one_image_loads(tmp_path):
    assert len(load(save(tmp_path / "a.png")).views) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has file names that are no text")
def test_a_name_that_is_no_text_is_left_out(tmp_path):
    photo = save(tmp_path / "a.png")
    os.link(os.fsencode(photo), os.fsencode(tmp_path) + b"/\xff.png")
    loaded = load(tmp_path)
    assert loaded.views.names == ("a.png",) and loaded.left_out == (("'\\udcff.png'", "its name is not UTF-8"),)


@pytest.mark.parametrize(("scene", "focal"), [("banana", 60 / 36 * 768), ("lund", 35 / 36 * 768), ("fountain-P11", None)])
def test_focal_priors_are_ratios_of_the_long_side_of_the_stored_photo(scene, focal):
    views = load(shared(f"data/{scene}/images"), max_images=2, max_size=100).views
    assert views.focal_priors == (pytest.approx(focal) if focal else None,) * 2


@pytest.mark.parametrize("scene", ["banana", "beach-drone", "lund", "fountain-P11", "street"])
def test_photos_of_one_camera_share_it(scene):
    views = load(shared(f"data/{scene}/images"), max_size=64).views
    assert views.camera_index.unique().tolist() == [0]


def test_size_maker_model_lens_and_focal_length_tell_cameras_apart(tmp_path):
    detail = {0xA434: "Lens A", 37386: 4.0}
    for i, (tags, more, pixels) in enumerate(
        [
            ({271: "M", 272: "X"}, detail, picture()),
            ({271: "M", 272: "X", 306: "2020:01:01 10:00:00"}, detail, picture(seed=1)),
            ({271: "N", 272: "X"}, detail, picture(seed=2)),
            ({271: "M", 272: "Y"}, detail, picture(seed=3)),
            ({271: "M", 272: "X"}, {**detail, 0xA434: "Lens B"}, picture(seed=4)),
            ({271: "M", 272: "X"}, {**detail, 37386: 8.0}, picture(seed=5)),
            ({271: "M", 272: "X"}, detail, picture(40, 64)),
        ]
    ):
        save_with_exif(tmp_path / f"{i}.jpg", tags, more, pixels)
    assert load(tmp_path).views.camera_index.tolist() == [0, 0, 1, 2, 3, 4, 5]


def test_the_photo_of_another_size_in_room_has_its_own_camera():
    assert load(shared("data/room/images")).views.camera_index.tolist() == [0] + [1] * 7


def test_street_is_wide_but_no_panorama():
    assert len(load(shared("data/street/images"), max_images=3, max_size=64).views) == 3


def test_a_wide_photo_with_a_known_lens_is_no_panorama(tmp_path):
    save(tmp_path / "images" / "a.png", picture(64, 128))
    write_cameras_json(tmp_path / "cameras.json", ["a.png"], (64, 128))
    assert len(load(tmp_path).views) == 1


def test_features_come_from_upright_grey_pictures_with_their_masks(tmp_path):
    white = np.zeros((48, 64), np.uint8)
    white[:, :20] = 255
    stored = np.ascontiguousarray(np.rot90(picture()))
    save(tmp_path / "a.png", stored, exif=orientation(6))
    save(tmp_path / "masks" / "a.png", white)
    views = load(tmp_path).views
    grey, mask = pictures(views)(0, 2000)
    assert grey.dtype == np.uint8 and np.abs(grey - np.asarray(Image.fromarray(picture()).convert("L"), float)).max() <= 1
    assert mask is not None and (mask == (white > 0)).all()
    grey, mask = pictures(views)(0, 32)
    assert grey.shape == (24, 32) and mask is not None and mask.shape == (24, 32)


def orientation(tag: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = tag
    return exif.tobytes()


@pytest.mark.parametrize("mask_name", ["masks/a.png", "masks/a.jpg.png", "masks/a.jpg"])
@pytest.mark.parametrize("beside", [False, True])
def test_masks_in_the_input_or_beside_it_are_found(tmp_path, mask_name, beside):
    white = np.zeros((48, 64), np.uint8)
    white[:, 32:] = 255
    save(tmp_path / "in" / "a.jpg")
    save(tmp_path / "in" / "b.jpg", picture(seed=1))
    save((tmp_path if beside else tmp_path / "in") / mask_name, white)
    views = load(tmp_path / "in").views
    assert views.names == ("a.jpg", "b.jpg") and views.masks is not None and views.masks[1] is None
    assert torch.equal(views.masks[0], torch.from_numpy(white > 0))
    inverted = load(tmp_path / "in", invert_masks=True).views
    assert inverted.masks is not None and torch.equal(inverted.masks[0], torch.from_numpy(white == 0))


def test_masks_keep_the_folders_of_their_photos(tmp_path):
    for side, value in (("left", 0), ("right", 255)):
        save(tmp_path / side / "a.png", picture(seed=value))
        save(tmp_path / "masks" / side / "a.png", np.full((48, 64), value, np.uint8))
    views = load(tmp_path).views
    assert views.names == ("left/a.png", "right/a.png")
    assert views.masks is not None and views.masks[0] is not None and not views.masks[0].any() and views.masks[1] is None


def test_a_mask_of_another_size_is_one_line_that_names_it(tmp_path):
    save(tmp_path / "a.png")
    save(tmp_path / "b.png")
    save(tmp_path / "masks" / "b.png", np.zeros((64, 48), np.uint8))
    assert refusal(tmp_path).startswith(f"{tmp_path / 'masks' / 'b.png'}: the mask is 48x64, but b.png is 64x48")


def test_an_unreadable_mask_is_refused_by_name(tmp_path):
    save(tmp_path / "a.png")
    save(tmp_path / "b.png")
    mask = save(tmp_path / "masks" / "b.png", picture(48, 64))
    mask.write_bytes(mask.read_bytes()[:300])
    assert refusal(tmp_path).startswith(f"{mask}: ")


def test_a_given_folder_of_masks_must_have_one(tmp_path):
    save(tmp_path / "in" / "a.png")
    assert refusal(tmp_path / "in", masks=tmp_path / "no").startswith(f"{tmp_path / 'no'}: there is no such folder")
    (tmp_path / "other").mkdir()
    assert refusal(tmp_path / "in", masks=tmp_path / "other").startswith(f"{tmp_path / 'other'}: it has no mask")
    assert refusal(tmp_path / "in", invert_masks=True).startswith("--invert-masks: there are no masks")
    save(tmp_path / "other" / "a.png", np.zeros((48, 64), np.uint8))
    masks = load(tmp_path / "in", masks=tmp_path / "other").views.masks
    assert masks is not None and masks[0] is not None and not masks[0].any()


def test_given_cameras_fill_lenses_and_poses_by_name(tmp_path):
    for i, name in enumerate(("a.png", "b.png", "c.png")):
        save(tmp_path / "in" / name, picture(seed=i))
    cameras = write_cameras_json(tmp_path / "cameras.json", ["images/a.png", "c.png", "other.png"])
    loaded = load(tmp_path / "in", cameras=cameras)
    views = loaded.views
    assert views.pose_known.tolist() == [True, False, True]
    assert views.known_camera_from_world is not None
    assert torch.equal(views.known_camera_from_world[2], torch.from_numpy(turned(1)))
    assert loaded.unmatched_cameras == ("other.png",) and loaded.points is None
    assert views.lenses[0] == Lens("PINHOLE", (60.0, 60.0, 32.0, 24.0), 48, 64)


def test_names_of_given_cameras_and_photos_that_do_not_match_are_told_and_reported(tmp_path):
    for i, name in enumerate("abcdef"):
        save(tmp_path / "in" / f"{name}.png", picture(seed=i))
    all_names = [f"images/{name}.png" for name in "abcdef"]
    for names, cameras, photos in ((["images/a.png", "b.png", "w.png", "x.png", "y.png", "z.png"], "wxyz", "cdef"),
                                   (all_names, "", ""), ([*all_names, "z.png"], "z", "")):  # fmt: skip
        file, progress = write_cameras_json(tmp_path / "k.json", names), Progress()
        loaded = load(tmp_path / "in", cameras=file, progress=progress)
        assert (loaded.unmatched_cameras, loaded.without_camera) == tuple(
            tuple(f"{name}.png" for name in letters) for letters in (cameras, photos)
        )
        reported = not_matched_in(SimpleNamespace(loaded=loaded))  # type: ignore[arg-type]
        known = SCHEMA["properties"]["input"]["properties"]
        assert set(reported) <= {"cameras_without_photo", "photos_without_camera"} & set(known)
        assert len(reported) == bool(cameras) + bool(photos) and len(progress.notes) == bool(cameras)
        if photos:
            said = f"{file}: 4 of its cameras belong to no photo (w.png, x.png, y.png and 1 more)"
            assert progress.notes[0].startswith(said)
            assert "4 of the 6 photos have no camera in it (c.png" in progress.notes[0]


def test_an_input_of_cameras_tells_names_that_do_not_match_and_photos_alone_have_nothing_to_tell(tmp_path):
    for i, name in enumerate("ab"):
        save(tmp_path / "images" / f"{name}.png", picture(seed=i))
    write_cameras_json(tmp_path / "cameras.json", ["there/images/a.png", "gone.png"])
    progress = Progress()
    loaded = load(tmp_path, progress=progress)
    assert (loaded.unmatched_cameras, loaded.without_camera) == (("gone.png",), ("b.png",)) and len(progress.notes) == 1
    loaded = load(tmp_path / "images", progress=progress)
    assert (loaded.unmatched_cameras, loaded.without_camera) == ((), ()) and len(progress.notes) == 1


def test_a_photo_without_a_camera_takes_the_lens_that_all_others_of_its_kind_were_given(tmp_path):
    for name in ("a.png", "b.png", "c.png"):
        save(tmp_path / "in" / name, picture(40 if name == "c.png" else 48, 64, ord(name[0])))
    views = load(tmp_path / "in", cameras=write_cameras_json(tmp_path / "k.json", ["a.png"])).views
    assert views.lenses[1] == views.lenses[0] is not None and views.lenses[2] is None
    assert views.camera_index.tolist() == [0, 0, 1]


def test_cameras_for_other_images_are_refused_naming_both(tmp_path):
    save(tmp_path / "in" / "a.png")
    cameras = write_cameras_json(tmp_path / "k.json", ["x.png"])
    assert refusal(tmp_path / "in", cameras=cameras).startswith(
        f"{cameras}: none of its 1 cameras belongs to a photo: it names x.png, the photos a.png."
    )
    assert refusal(tmp_path / "in", cameras=tmp_path / "no.json").startswith(f"{tmp_path / 'no.json'}: there is no such")


def test_a_camera_for_another_size_is_refused(tmp_path):
    save(tmp_path / "in" / "a.png")
    cameras = write_cameras_json(tmp_path / "k.json", ["a.png"], (96, 128))
    assert "its camera of a.png is for 128x96 pixels, but the photo has 64x48" in refusal(tmp_path / "in", cameras=cameras)


def test_a_camera_found_without_the_orientation_tag_gets_the_photo_as_stored(tmp_path):
    stored = picture(48, 64)
    save(tmp_path / "in" / "a.png", stored, exif=orientation(6))
    views = load(tmp_path / "in").views
    assert views.photo_sizes.tolist() == [[64, 48]]
    views = load(tmp_path / "in", cameras=write_cameras_json(tmp_path / "k.json", ["a.png"], (48, 64))).views
    assert views.photo_sizes.tolist() == [[48, 64]]
    assert (views.images[0].permute(1, 2, 0).numpy() == stored).all()
    assert (read_photo(views.sources[0])[0] == stored).all()


def test_shared_scene_brings_its_cameras_exactly():
    loaded = load(shared("data/kitchen"), max_size=64)
    assert len(loaded.views) == 25 and int(loaded.views.pose_known.sum()) == 19
    first = loaded.views.lenses[int(loaded.views.pose_known.nonzero()[0])]
    assert first is not None and first.model in ("OPENCV", "RADIAL", "SIMPLE_RADIAL")


def test_a_colmap_model_comes_with_points_named_like_the_photos(tmp_path):
    for name in ("a.png", "b.png", "c.png"):
        save(tmp_path / "images" / name)
    write_colmap_model(tmp_path / "sparse" / "0", ["a.png", "b.png", "gone.png"])
    loaded = load(tmp_path)
    assert loaded.views.names == ("a.png", "b.png") and loaded.points is not None
    assert [camera.name for camera in loaded.points.cameras] == ["a.png", "b.png", "gone.png"]
    assert dict(loaded.left_out)["gone.png"] == "there is no such photo" and "c.png" in dict(loaded.left_out)
    assert loaded.unmatched_cameras == ("gone.png",)
    assert all(lens is not None and lens.model == "SIMPLE_RADIAL" for lens in loaded.views.lenses)
    assert loaded.views.known_camera_from_world is not None
    assert np.abs(loaded.views.known_camera_from_world[1].numpy() - turned(1)).max() < 1e-12


def test_transforms_bring_cameras_and_masks_of_the_listed_images(tmp_path):
    for name in ("a.png", "b.png", "c.png"):
        save(tmp_path / "shots" / name)
    save(tmp_path / "cut.png", np.zeros((48, 64), np.uint8))
    path = write_transforms_json(tmp_path / "transforms.json", ["./shots/a.png", "shots/b", "shots/x.png"], mask_path="cut.png")
    loaded = load(path)
    assert loaded.views.names == ("a.png", "b.png")
    assert loaded.views.masks is not None
    assert all(mask is not None and not mask.any() for mask in loaded.views.masks)
    assert loaded.views.known_camera_from_world is not None
    assert np.abs(loaded.views.known_camera_from_world.numpy() - [turned(0), turned(1)]).max() < 1e-12
    assert dict(loaded.left_out) == {"shots/x.png": "there is no such photo"}


def test_a_run_folder_brings_points_cameras_masks_and_held_out_views(tmp_path):
    for name in ("a.png", "b.png"):
        save(tmp_path / "images" / name)
    save(tmp_path / "masks" / "b.png.png", np.zeros((48, 64), np.uint8))
    write_cameras_json(tmp_path / "cameras.json", ["b.png"], held_out=True)
    write_colmap_model(tmp_path / "sparse" / "0", ["a.png", "b.png"])
    (tmp_path / "report.json").write_text("{}")
    loaded = load(tmp_path)
    assert loaded.points is not None and loaded.views.held_out.tolist() == [False, True]
    assert loaded.views.masks is not None and loaded.views.masks[0] is None and loaded.views.masks[1] is not None
    assert loaded.views.pose_known.all()


def test_frames_of_a_video_are_a_sequence_of_one_camera(tmp_path):
    video = write_video(tmp_path / "clip.mp4", [picture(48, 64, i) for i in range(12)])
    loaded = load(video, max_images=4, max_size=32)
    assert loaded.sequence and len(loaded.views) == 4
    assert all(re.fullmatch(r"frame_\d{5}\.png", name) for name in loaded.views.names)
    assert list(loaded.views.names) == sorted(loaded.views.names)
    assert loaded.views.camera_index.unique().tolist() == [0]
    assert [tuple(image.shape) for image in loaded.views.images] == [(3, 24, 32)] * 4
    assert read_photo(loaded.views.sources[2])[0].shape == (48, 64, 3)
    assert len(load(tmp_path, fps=5).views) == 6


def test_frames_per_second_that_make_no_sense_are_refused(tmp_path):
    video = write_video(tmp_path / "clip.mp4", [picture()] * 3)
    assert refusal(video, fps=-1.0).startswith("--fps: ")
    assert refusal(save(tmp_path / "a.png"), fps=2.0).startswith("--fps: ")


def test_full_size_photos_do_not_stay_in_memory(tmp_path):
    import psutil

    for i in range(12):
        Image.new("RGB", (3000, 2000), (i, 0, 0)).save(tmp_path / f"{i:02d}.jpg")
    load(tmp_path, max_size=64, max_images=2)
    before = psutil.Process().memory_info().rss
    views = load(tmp_path, max_size=64).views
    assert len(views) == 12
    assert psutil.Process().memory_info().rss - before < 100e6  # all twelve would be 216 MB
