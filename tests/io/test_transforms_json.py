"""transforms.json: the shared samples against a COLMAP model of the same views, transforms undone, files that lie."""

import contextlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from recon3d.core.lens import Lens
from recon3d.core.synthetic import Synthetic, arc_of_cameras
from recon3d.errors import InputError
from recon3d.io.colmap_model import read_model
from recon3d.io.transforms_json import read_transforms, write_transforms
from tests.io.input_files import cuts
from tests.shared_folder import shared

QUICK = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SAMPLES = ("per_frame_intrinsics", "distorted", "camera_angle", "no_suffix", "fisheye")


def put(folder: Path, **document) -> Path:
    (folder / "transforms.json").write_text(json.dumps(document))
    return folder / "transforms.json"


def frame(**more) -> dict:
    return {"file_path": "images/a.png", "transform_matrix": np.eye(4).tolist(), **more}


INTRINSICS = {"w": 64, "h": 48, "fl_x": 50.0, "fl_y": 51.0, "cx": 31.0, "cy": 25.0}


@pytest.mark.parametrize("sample", SAMPLES)
def test_cameras_of_the_samples_are_those_of_the_colmap_model_of_the_same_views(sample):
    folder = shared(f"protocol/samples/nerfstudio/{sample}")
    expected = read_model(shared("protocol/samples/colmap/sparse/0")).cameras
    cameras = read_transforms(folder / "transforms.json")
    assert [c.name for c in cameras] == [f"images/{c.name}" for c in expected]
    for camera, theirs in zip(cameras, expected, strict=True):
        assert camera.image == folder / camera.name and camera.image.is_file()
        np.testing.assert_allclose(camera.camera_from_world, theirs.camera_from_world, rtol=0, atol=1e-12)
        assert camera.lens is not None and theirs.lens is not None
        np.testing.assert_allclose(camera.lens.K, theirs.lens.K, rtol=1e-12)
        assert (camera.lens.height, camera.lens.width) == (120, 160)


def test_distortion_and_fisheye_of_the_samples_become_lenses():
    lenses = [read_transforms(shared(f"protocol/samples/nerfstudio/{s}/transforms.json"))[0].lens for s in SAMPLES]
    assert [lens.model for lens in lenses if lens] == ["PINHOLE", "OPENCV", "PINHOLE", "PINHOLE", "OPENCV_FISHEYE"]
    assert lenses[1] is not None and lenses[1].params[4:] == (-0.05, 0.01, 0.001, -0.001)
    assert lenses[4] is not None and lenses[4].params[4:] == (0.01, 0, 0, 0)


def test_a_transform_that_was_applied_is_undone(tmp_path):
    """What nerfstudio's processing does to a COLMAP world: axes turned to z-up, then perhaps a scale."""
    cameras = arc_of_cameras(Synthetic(views=3))
    opengl = torch.diag(torch.tensor([1.0, -1, -1, 1], dtype=torch.float64))
    applied = torch.tensor([[1.0, 0, 0, 0.3], [0, 0, 1, -2], [0, -1, 0, 0.5], [0, 0, 0, 1]], dtype=torch.float64)
    turned = applied @ cameras.world_from_camera @ opengl
    turned[:, :3, 3] *= 0.25
    frames = [frame(file_path=f"{i}.png", transform_matrix=m.tolist()) for i, m in enumerate(turned)]
    path = put(tmp_path, frames=frames, applied_transform=applied[:3].tolist(), applied_scale=0.25, **INTRINSICS)
    for camera, expected in zip(read_transforms(path), cameras.camera_from_world.numpy(), strict=True):
        np.testing.assert_allclose(camera.camera_from_world, expected, rtol=0, atol=1e-12)


def test_what_is_written_is_read_back_to_the_last_digits(tmp_path):
    cameras = arc_of_cameras(Synthetic(views=4))
    names = ["images/a.png", "images/b/c.jpg", "images/ü.png", "images/z.png"]
    write_transforms(tmp_path / "transforms.json", names, cameras, [False, True, False, False])
    read = read_transforms(tmp_path / "transforms.json")
    assert [c.name for c in read] == names
    assert [c.held_out for c in read] == [False, True, False, False]
    for camera, pose in zip(read, cameras.camera_from_world.numpy(), strict=True):
        np.testing.assert_allclose(camera.camera_from_world, pose, rtol=0, atol=2e-15)
        assert camera.lens == Lens.pinhole(cameras.K[0].numpy(), 240, 320)
        assert camera.image == tmp_path / camera.name and camera.mask is None


def test_the_written_file_has_opengl_axes_an_identity_transform_and_the_splats(tmp_path):
    """-z of the camera looks ahead and y is up: the point ahead of the lens projects into the middle."""
    cameras = arc_of_cameras(Synthetic(views=2))
    write_transforms(tmp_path / "t.json", ["a.png", "b.png"], cameras, [True, False], "scene.ply")
    document = json.loads((tmp_path / "t.json").read_text())
    assert document["applied_transform"] == np.eye(4)[:3].tolist()
    assert document["ply_file_path"] == "scene.ply" and document["camera_model"] == "PINHOLE"
    assert (document["train_filenames"], document["test_filenames"]) == (["b.png"], ["a.png"])
    first = document["frames"][0]
    assert first["held_out"] is True and "held_out" not in document["frames"][1]
    assert [first[key] for key in ("w", "h", "fl_x", "cx")] == [320, 240, float(cameras.K[0, 0, 0]), 160.0]
    world_from_camera = np.array(first["transform_matrix"])
    for in_opengl, pixel in (((0, 0, -3), (160, 120)), ((0, 1, -3), (160, 120 - cameras.K[0, 1, 1] / 3))):
        in_world = torch.tensor(world_from_camera @ [*in_opengl, 1])[None, :3]
        np.testing.assert_allclose(cameras.project(in_world)[0][0, 0], pixel, atol=1e-9)


def test_values_of_a_frame_win_over_those_of_the_file(tmp_path):
    path = put(tmp_path, frames=[frame(fl_x=70), frame(file_path="b.png", k1=0.1)], **INTRINSICS)
    first, second = (camera.lens for camera in read_transforms(path))
    assert first == Lens("PINHOLE", (70, 51, 31, 25), 48, 64)
    assert second == Lens("OPENCV", (50, 51, 31, 25, 0.1, 0, 0, 0), 48, 64)


def test_an_angle_of_view_and_the_pictures_own_size_make_a_lens(tmp_path):
    (tmp_path / "images").mkdir()
    Image.new("RGB", (80, 60)).save(tmp_path / "images" / "a.jpg")
    path = put(tmp_path, frames=[frame(file_path="./images/a")], camera_angle_x=math.radians(90))
    (camera,) = read_transforms(path)
    assert camera.name == "images/a.jpg" and camera.image == tmp_path / "images" / "a.jpg"
    assert camera.lens is not None
    assert (camera.lens.model, camera.lens.height, camera.lens.width) == ("PINHOLE", 60, 80)
    assert camera.lens.params == pytest.approx((40, 40, 40, 30))


def test_what_the_file_does_not_say_is_unknown(tmp_path):
    path = put(tmp_path, frames=[{"file_path": "a.png"}, frame(file_path="b.png", camera_angle_x=1.0)])
    first, second = read_transforms(path)
    assert first.lens is None and first.camera_from_world is None
    assert second.lens is None and second.camera_from_world is not None  # no size, and no picture to ask


def test_masks_and_windows_paths_are_found_beside_the_file(tmp_path):
    path = put(tmp_path, frames=[frame(file_path="images\\a.png", mask_path="masks\\a.png")], **INTRINSICS)
    (camera,) = read_transforms(path)
    assert camera.name == "images/a.png" and camera.mask == tmp_path / "masks" / "a.png"


@pytest.mark.parametrize("model", ["EQUIRECTANGULAR", "OMNIDIRECTIONALSTEREO_L", "VR180_R", 3])
def test_a_model_that_is_not_read_is_one_clear_line(tmp_path, model):
    with pytest.raises(InputError, match=f"camera_model {model!r} is not read") as caught:
        read_transforms(put(tmp_path, frames=[frame()], camera_model=model, **INTRINSICS))
    assert "\n" not in str(caught.value)


def test_distortions_that_colmap_has_no_name_for_are_refused(tmp_path):
    with pytest.raises(InputError, match="perspective lens with k4"):
        read_transforms(put(tmp_path, frames=[frame(k4=0.1)], **INTRINSICS))
    with pytest.raises(InputError, match="fisheye lens with p1"):
        read_transforms(put(tmp_path, frames=[frame(p1=0.1, camera_model="OPENCV_FISHEYE")], **INTRINSICS))
    (camera,) = read_transforms(put(tmp_path, frames=[frame(k3=0.1)], **INTRINSICS))
    assert camera.lens is not None and camera.lens.model == "FULL_OPENCV" and camera.lens.param("k3") == 0.1


def test_a_rounded_rotation_becomes_the_nearest_one(tmp_path):
    pose = arc_of_cameras(Synthetic(views=1)).world_from_camera[0].numpy()
    path = put(tmp_path, frames=[frame(transform_matrix=pose.round(3).tolist())], **INTRINSICS)
    read = read_transforms(path)[0].camera_from_world
    assert read is not None
    np.testing.assert_allclose(read[:3, :3] @ read[:3, :3].T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(np.diag([1, -1, -1]) @ read[:3, :3], pose[:3, :3].T, atol=2e-3)


MIRROR = np.diag([1.0, 1, -1, 1]).tolist()


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, "no list of objects named frames"),
        ({"frames": []}, "frames is empty"),
        ({"frames": [1]}, "no list of objects"),
        ({"frames": [{"transform_matrix": []}]}, "file_path is not a name"),
        ({"frames": [frame(file_path="..")]}, "names no picture"),
        ({"frames": [frame(), frame()]}, "twice"),
        ({"frames": [frame(transform_matrix=[[1, 2], [3, 4]])]}, "not a matrix of 4×4 or 3×4"),
        ({"frames": [frame(transform_matrix=[[math.nan] * 4] * 4)]}, "not a finite number"),
        ({"frames": [frame(transform_matrix=[["1"] * 4] * 4)]}, "not a finite number"),
        ({"frames": [frame(transform_matrix=[[1e200] * 4] * 4)]}, "0 0 0 1"),
        ({"frames": [frame(transform_matrix=(2 * np.eye(3, 4)).tolist())]}, "not orthonormal"),
        ({"frames": [frame(transform_matrix=MIRROR)]}, "mirrors"),
        ({"frames": [frame()], "applied_transform": MIRROR}, "mirrors"),
        ({"frames": [frame()], "applied_scale": 0}, "applied_scale"),
        ({"frames": [frame(mask_path=3)]}, "mask_path is not a name"),
        ({"frames": [frame()], **INTRINSICS, "w": 0}, "no size in pixels"),
        ({"frames": [frame()], **INTRINSICS, "w": 2**40}, "no size in pixels"),
        ({"frames": [frame()], **INTRINSICS, "h": 3.5}, "no size in pixels"),
        ({"frames": [frame()], **INTRINSICS, "fl_x": -5}, "which no lens has"),
        ({"frames": [frame()], **INTRINSICS, "fl_x": True}, "not a finite number"),
        ({"frames": [frame()], "w": 9, "h": 9, "camera_angle_x": 4}, "angle of view"),
    ],
)
def test_what_cannot_be_is_said_in_a_line_that_names_the_file(tmp_path, document, words):
    with pytest.raises(InputError, match=words) as caught:
        read_transforms(put(tmp_path, **document))
    assert str(caught.value).startswith(str(tmp_path / "transforms.json"))


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff\xfe", b"[" * 100_000, b'{"frames": ' + b"9" * 5000 + b"}"])
def test_what_is_no_json_object_is_one_input_error(tmp_path, data):
    (tmp_path / "transforms.json").write_bytes(data)
    with pytest.raises(InputError):
        read_transforms(tmp_path / "transforms.json")
    with pytest.raises(InputError, match="cannot be read"):
        read_transforms(tmp_path / "absent.json")


def test_a_file_cut_off_is_one_input_error(tmp_path):
    write_transforms(tmp_path / "a.json", ["a.png"], arc_of_cameras(Synthetic(views=1)))
    data = (tmp_path / "a.json").read_bytes().rstrip()
    for length in cuts(len(data)):
        (tmp_path / "b.json").write_bytes(data[:length])
        with pytest.raises(InputError):
            read_transforms(tmp_path / "b.json")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(["file_path", "transform_matrix", "mask_path", "camera_model", "k1", "k4", "held_out", *INTRINSICS])
TOP = st.sampled_from(["applied_transform", "applied_scale", "camera_angle_x", "camera_model", "frames", *INTRINSICS])


@QUICK
@given(of_frame=st.dictionaries(KEYS, VALUES, max_size=3), of_file=st.dictionaries(TOP, VALUES, max_size=2))
def test_any_values_give_cameras_or_one_input_error(tmp_path, of_frame, of_file):
    path = put(tmp_path, **{**INTRINSICS, "frames": [{**frame(), **of_frame}], **of_file})
    with contextlib.suppress(InputError):
        poses = [camera.camera_from_world for camera in read_transforms(path)]
        assert all(pose is None or np.isfinite(pose).all() for pose in poses)
