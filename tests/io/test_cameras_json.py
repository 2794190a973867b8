"""cameras.json, version 1: the shared scenes, every distortion that its page names, round trips, files that lie."""

import contextlib
import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from recon3d.core.lens import MODELS, Lens
from recon3d.core.origin import center_of
from recon3d.core.synthetic import Synthetic, arc_of_cameras
from recon3d.errors import InputError
from recon3d.io.cameras_json import read_cameras, write_cameras
from tests.shared_folder import shared

QUICK = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
K = [[50.0, 0, 31.0], [0, 50.0, 25.0], [0, 0, 1]]


def image(**more) -> dict:
    pose = np.eye(4)[:3].tolist()
    return {"name": "a.jpg", "width": 64, "height": 48, "K": K, "camera_from_world": pose, "distortion": None, **more}


def put(folder: Path, *images, **head) -> Path:
    document = {"version": 1, "convention": "opencv", "unit": "metre", "source": "x", "images": list(images), **head}
    (folder / "cameras.json").write_text(json.dumps(document))
    return folder / "cameras.json"


def distort_as_the_page_says(x, y, k1, k2, p1, p2):
    """The formula of the format's page, written out once more."""
    r2 = x * x + y * y
    radial = 1 + k1 * r2 + k2 * r2 * r2
    across = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    return across, y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y


@pytest.mark.parametrize(
    "scene", ["fountain-P11", "herz-jesu-P8", "street", "kitchen", "flower", "banana", "beach-drone"]
)
def test_the_shared_scenes_are_read_as_they_stand(scene):
    folder = shared(f"data/{scene}")
    document = json.loads((folder / "cameras.json").read_text())
    cameras = read_cameras(folder / "cameras.json")
    assert [c.name for c in cameras] == [entry["name"] for entry in document["images"]]
    for camera, entry in zip(cameras, document["images"], strict=True):
        assert camera.lens is not None and camera.camera_from_world is not None
        given = np.array(entry["camera_from_world"])
        if np.abs(given[:, :3] @ given[:, :3].T - np.eye(3)).max() < 1e-12:
            assert camera.camera_from_world[:3].tolist() == entry["camera_from_world"]
        else:  # fountain-P11 and herz-jesu-P8 have six digits: the nearest rotation, at the same place
            np.testing.assert_allclose(camera.camera_from_world[:3, :3], given[:, :3], rtol=0, atol=2e-6)
            center = -np.linalg.solve(given[:, :3], given[:, 3])
            np.testing.assert_allclose(center_of(camera.camera_from_world), center, rtol=0, atol=1e-12)
        assert camera.lens.K.tolist() == entry["K"]
        with Image.open(folder / "images" / camera.name) as picture:
            assert picture.size == (camera.lens.width, camera.lens.height)
        distortion = entry["distortion"] or {"params": [0, 0, 0, 0]}
        ray = np.array([0.2, -0.15])
        np.testing.assert_allclose(camera.lens.distort(ray), distort_as_the_page_says(*ray, *distortion["params"]))


def test_a_known_point_projects_by_opencv_to_the_same_pixel(tmp_path):
    """OpenCV counts from the first pixel's centre, hence the half pixel."""
    pose = arc_of_cameras(Synthetic(views=1)).camera_from_world[0].numpy()
    bent = {"model": "OPENCV", "params": [-0.1, 0.02, 0.003, -0.004]}
    (camera,) = read_cameras(put(tmp_path, image(camera_from_world=pose[:3].tolist(), distortion=bent)))
    point = np.array([0.3, -0.2, 0.4])
    shifted = np.array(K) - [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]
    turn = cv2.Rodrigues(pose[:3, :3])[0]
    expected = cv2.projectPoints(point[None], turn, pose[:3, 3], shifted, np.array(bent["params"]))[0][0, 0] + 0.5
    assert camera.lens is not None and camera.camera_from_world is not None
    in_camera = camera.camera_from_world[:3, :3] @ point + camera.camera_from_world[:3, 3]
    np.testing.assert_allclose(camera.lens.pixels_of_rays(in_camera[:2] / in_camera[2]), expected, atol=1e-9)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("fy", [50.0, 52.0])
def test_every_model_is_read_with_its_distortion_alone_and_any_focal_lengths(tmp_path, model, fy):
    names = [n for n in MODELS[model][1] if n[0] in "kp"]
    params = [0.01 * (i + 1) for i in range(len(names))]
    given_K = [[50.0, 0, 31.0], [0, fy, 25.0], [0, 0, 1]]
    path = put(tmp_path, image(K=given_K, distortion={"model": model, "params": params}))
    lens = read_cameras(path)[0].lens
    assert lens is not None and lens.K.tolist() == given_K
    like = dict.fromkeys(("f", "fx", "fy"), 50.0) | {"cx": 31.0, "cy": 25.0} | dict(zip(names, params, strict=True))
    expected = Lens(model, tuple(like[n] for n in MODELS[model][1]), 48, 64)
    rays = np.random.default_rng(0).uniform(-0.4, 0.4, (20, 2))
    np.testing.assert_allclose(lens.distort(rays), expected.distort(rays), rtol=1e-13)


@pytest.mark.parametrize("form", [3, 4])
def test_poses_of_three_and_of_four_rows_are_the_same(tmp_path, form):
    pose = arc_of_cameras(Synthetic(views=1)).camera_from_world[0].numpy()
    (camera,) = read_cameras(put(tmp_path, image(camera_from_world=pose[:form].tolist())))
    np.testing.assert_array_equal(camera.camera_from_world, pose)


def test_a_part_that_is_absent_is_unknown(tmp_path):
    first, second = read_cameras(put(tmp_path, image(K=None), {**image(name="b"), "camera_from_world": None}))
    assert first.lens is None and first.camera_from_world is not None
    assert second.lens is not None and second.camera_from_world is None


def test_what_is_written_is_read_back_exactly_and_keeps_the_original_beside(tmp_path):
    cameras = arc_of_cameras(Synthetic(views=3))
    names = ("a.jpg", "b/ö.jpg", "c\udce4.jpg")  # the last one is no valid UTF-8 on the disk
    original = Lens("SIMPLE_RADIAL", (300.0, 160.0, 120.0, -0.1), 240, 320)
    moved = np.stack([np.diag([0.5, 0.5, 1.0])] * 3)
    path = tmp_path / "cameras.json"
    write_cameras(
        path, names, cameras, lenses=[original, None, original], pixel_from_photo=moved,
        held_out=[False, True, False], unit="metres", source="ground-truth", original_names=("a.HEIC", "b", "c"),
    )  # fmt: skip
    read = read_cameras(path)
    assert [c.name for c in read] == list(names) and [c.held_out for c in read] == [False, True, False]
    for camera, pose, kept in zip(read, cameras.camera_from_world.numpy(), cameras.K.numpy(), strict=True):
        np.testing.assert_array_equal(camera.camera_from_world, pose)
        assert camera.lens == Lens.pinhole(kept, 240, 320)
    document = json.loads(path.read_text())
    assert {k: document[k] for k in ("version", "convention", "unit", "source")} == {
        "version": 1, "convention": "opencv", "unit": "metre", "source": "ground-truth",
    }  # fmt: skip
    assert document["images"][0]["original"] == {
        "name": "a.HEIC", "width": 320, "height": 240, "model": "SIMPLE_RADIAL",
        "params": [300.0, 160.0, 120.0, -0.1], "pixel_from_photo": [[0.5, 0, 0], [0, 0.5, 0], [0, 0, 1]],
    }  # fmt: skip
    assert "original" not in document["images"][1] and "held_out" not in document["images"][0]
    assert document["images"][0]["distortion"] is None and len(document["images"][0]["camera_from_world"]) == 3


@pytest.mark.parametrize(
    ("images", "head", "words"),
    [
        ([], {}, "images is empty"),
        ([image()], {"version": 2}, "version is 2"),
        ([image()], {"convention": "opengl"}, "convention is 'opengl'"),
        ([image()], {"images": {}}, "no list of objects named images"),
        ([image(), image()], {}, "lists a.jpg twice"),
        ([image(name="")], {}, "not a name"),
        ([image(name=None)], {}, "not a name"),
        ([image(width=-4)], {}, "no size in pixels"),
        ([image(height=None)], {}, "K without width and height"),
        ([image(K=[[1, 2], [3, 4]])], {}, "not a matrix of 3×3"),
        ([image(K=[[50, 1, 31], [0, 50, 25], [0, 0, 1]])], {}, "its K is not"),
        ([image(K=[[-50, 0, 31], [0, 50, 25], [0, 0, 1]])], {}, "which no lens has"),
        ([image(K=[[math.nan, 0, 31], [0, 50, 25], [0, 0, 1]])], {}, "not a finite number"),
        ([image(camera_from_world=np.diag([1, 1, -1, 1]).tolist())], {}, "mirrors"),
        ([image(camera_from_world=np.ones((4, 4)).tolist())], {}, "0 0 0 1"),
        ([image(camera_from_world=(1.5 * np.eye(3, 4)).tolist())], {}, "not orthonormal"),
        ([image(distortion={"model": "EUCM", "params": [1, 2]})], {}, "the model 'EUCM'"),
        ([image(distortion="none")], {}, "the model None"),
        ([image(distortion={"model": ["OPENCV"], "params": []})], {}, "has the model"),
        ([image(distortion={"model": "OPENCV", "params": [1, 2]})], {}, "needs the 4 numbers"),
        ([image(distortion={"model": "RADIAL", "params": [1, math.inf]})], {}, "k2 is not a finite number"),
    ],
)
def test_what_cannot_be_is_said_in_a_line_that_names_the_file(tmp_path, images, head, words):
    with pytest.raises(InputError, match=words) as caught:
        read_cameras(put(tmp_path, *images, **head))
    assert str(caught.value).startswith(str(tmp_path / "cameras.json")) and "\n" not in str(caught.value)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["model", "params"]), inner),
    max_leaves=8,
)


@QUICK
@given(of_image=st.dictionaries(st.sampled_from(sorted(image())), VALUES, max_size=3))
def test_any_values_give_cameras_or_one_input_error(tmp_path, of_image):
    with contextlib.suppress(InputError):
        poses = [camera.camera_from_world for camera in read_cameras(put(tmp_path, image(**of_image)))]
        assert all(pose is None or np.isfinite(pose).all() for pose in poses)
