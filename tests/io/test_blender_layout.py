"""Blender's layout: a folder with a transforms.json for each split."""

import json
import math

import numpy as np
import pytest
import torch

from recon3d.errors import InputError
from recon3d.io.detect import detect
from recon3d.io.given_cameras import read_given
from recon3d.io.load import load_views
from recon3d.io.transforms_json import read_transforms
from recon3d.pipeline.reconstruct import loaded_views
from recon3d.pipeline.request import Request, plan
from recon3d.progress import Progress
from tests.io.input_files import picture, save, turned, write_blender_folder, write_cameras_json, write_transforms_json


def test_training_views_are_seen_and_those_of_the_test_file_held_out(tmp_path):
    folder = write_blender_folder(tmp_path, train=3, val=2, test=2)
    found = detect([folder])
    assert found.kind == "transforms" and found.root == folder
    assert {file.name for file in found.files} >= {"transforms_train.json", "transforms_test.json"}
    loaded = load_views(found)
    views = loaded.views
    assert views.names == ("test/r_0.png", "test/r_1.png", "train/r_0.png", "train/r_1.png", "train/r_2.png")
    assert views.held_out.tolist() == [True, True, False, False, False] and not loaded.left_out
    assert views.known_camera_from_world is not None
    expected = np.stack([turned(i) for i in (20, 21, 0, 1, 2)])
    assert np.abs(views.known_camera_from_world.numpy() - expected).max() < 1e-12
    lens = views.lenses[0]
    assert lens is not None and lens.params[0] == pytest.approx(32 / math.tan(0.45)) and (lens.height, lens.width) == (48, 64)


def test_without_a_test_file_that_of_validation_is_held_out_and_without_both_none(tmp_path):
    views = load_views(detect([write_blender_folder(tmp_path / "a", train=2, val=1)])).views
    assert views.names[2] == "val/r_0.png" and views.held_out.tolist() == [False, False, True]
    assert not load_views(detect([write_blender_folder(tmp_path / "b", train=2)])).views.held_out.any()


def test_a_single_file_of_the_layout_is_a_transforms_json(tmp_path):
    folder = write_blender_folder(tmp_path, train=2, test=2)
    views = load_views(detect([folder / "transforms_test.json"])).views
    assert len(views) == 2 and not views.held_out.any()


def test_a_view_of_both_files_is_seen_only(tmp_path):
    folder = write_blender_folder(tmp_path, train=2, test=2)
    document = json.loads((folder / "transforms_test.json").read_text())
    document["frames"].append(json.loads((folder / "transforms_train.json").read_text())["frames"][0])
    (folder / "transforms_test.json").write_text(json.dumps(document))
    assert {c.name: c.held_out for c in read_transforms(folder)} == {
        "train/r_0.png": False, "train/r_1.png": False, "test/r_0.png": True, "test/r_1.png": True
    }  # fmt: skip


def test_the_folder_gives_cameras_to_photos_elsewhere(tmp_path):
    folder = write_blender_folder(tmp_path, train=2, test=1)
    assert [c.held_out for c in read_given(folder)] == [False, False, True]


def test_a_damaged_test_file_is_refused_by_name(tmp_path):
    folder = write_blender_folder(tmp_path, train=2, test=1)
    (folder / "transforms_test.json").write_text("{")
    with pytest.raises(InputError, match=r"transforms_test\.json: "):
        detect([folder])


def test_seen_photos_go_before_held_out_ones_where_there_are_too_many(tmp_path):
    found = detect([write_blender_folder(tmp_path, train=8, test=16)])
    assert load_views(found, max_images=12).views.held_out.sum() == 4
    few = load_views(found, max_images=8).views
    assert len(few) == 8 and few.held_out.sum() == 1
    assert load_views(found, max_images=24).views.held_out.sum() == 16


def test_the_flag_wins_over_the_file_and_says_so(tmp_path):
    folder = write_blender_folder(tmp_path, train=4, test=2)
    request, progress = Request(holdout="3"), Progress()
    views = loaded_views(request, plan(request), detect([folder]), progress).views
    assert torch.equal(views.held_out.nonzero()[:, 0], torch.tensor([0, 3]))
    (note,) = progress.notes  # of the two that the file holds out the first stays held out
    assert note.startswith("--holdout 3 says which photos are held out: 1 that ") and f"({views.names[1]}) is used" in note
    request, progress = Request(), Progress()
    views = loaded_views(request, plan(request), detect([folder]), progress).views
    assert views.held_out.tolist() == [True, True, False, False, False, False] and not progress.notes


def test_a_photo_that_the_flag_and_the_file_hold_out_is_not_said_to_be_used(tmp_path):
    for i in range(4):
        save(tmp_path / "images" / f"{i}.png", picture(seed=i))
    file = write_cameras_json(tmp_path / "k.json", [f"{i}.png" for i in range(4)])
    document = json.loads(file.read_text())
    document["images"][2]["held_out"] = True
    file.write_text(json.dumps(document))
    for holdout, notes in (("4:2", 0), ("4:1", 1)):
        request, progress = Request(holdout=holdout, cameras=file), Progress()
        views = loaded_views(request, plan(request), detect([tmp_path / "images"]), progress).views
        assert views.held_out.nonzero()[:, 0].tolist() == [int(holdout[-1])] and len(progress.notes) == notes


def test_files_that_leave_fewer_than_two_views_to_use_are_refused(tmp_path):
    folder = write_blender_folder(tmp_path, train=1, test=3)
    request = Request()
    with pytest.raises(InputError, match="3 of its 4 photos are held out, which leaves fewer than two"):
        loaded_views(request, plan(request), detect([folder]), Progress())


def test_lists_of_nerfstudio_hold_out_what_is_for_testing_only(tmp_path):
    for i, name in enumerate(("a.png", "b.png", "c.png")):
        save(tmp_path / name, picture(seed=i))
    path = write_transforms_json(tmp_path / "transforms.json", ["a.png", "b.png", "c.png"])
    document = json.loads(path.read_text()) | {"train_filenames": ["a.png", "b.png"], "test_filenames": ["b.png", "c.png", 3]}
    path.write_text(json.dumps(document))
    assert [c.held_out for c in read_transforms(path)] == [False, False, True]
