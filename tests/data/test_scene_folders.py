"""Scene folders: DL3DV's and posed photos."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from recon3d.data import dl3dv, posed
from recon3d.data.chunks import scenes as chunk_scenes
from recon3d.data.posed_scene import Skipped, decoded, encoded
from recon3d.io.transforms_json import read_transforms
from tests.shared_folder import shared


def write_dl3dv(folder, bend: float = 0.0, count: int = 3):
    """A scene of 64 x 48 pictures at an eighth of its size and 128 x 96 at a quarter, frames not in the order of names."""
    frames = []
    for i in (2, 1, 3)[:count]:
        pose = np.eye(4)
        pose[:3, 3] = [i, 0.5, -1]
        frames.append({"file_path": f"images/frame_{i:05d}.png", "transform_matrix": pose.tolist()})
    lens = {"w": 512, "h": 384, "fl_x": 500.0, "fl_y": 510.0, "cx": 250.0, "cy": 190.0, "k1": bend, "camera_model": "OPENCV"}
    folder.mkdir(parents=True)
    (folder / "transforms.json").write_text(json.dumps({**lens, "frames": frames}))
    for name, size in (("images_8", (64, 48)), ("images_4", (128, 96))):
        (folder / name).mkdir()
        for i in (1, 2, 3):
            pixels = np.random.default_rng(i).integers(0, 255, (size[1], size[0], 3)).astype(np.uint8)
            pixels[0, 0] = 10 * i
            Image.fromarray(pixels).save(folder / name / f"frame_{i:05d}.png")
    return folder


def test_the_dl3dv_sample_is_the_same_scene_as_a_folder_and_as_a_chunk():
    (folder,) = dl3dv.scenes(shared("protocol/samples/dl3dv_folder"))
    (chunk,) = chunk_scenes(shared("protocol/samples/dl3dv/test"))
    assert not isinstance(folder, Skipped) and not isinstance(chunk, Skipped)
    assert (folder.name, folder.timestamps) == (chunk.name, chunk.timestamps)
    torch.testing.assert_close(folder.cameras.K, chunk.cameras.K, rtol=1e-6, atol=1e-4)
    torch.testing.assert_close(folder.cameras.camera_from_world, chunk.cameras.camera_from_world, rtol=0, atol=1e-6)
    assert np.abs(decoded(folder, 2).astype(int) - decoded(chunk, 2)).mean() < 4  # a PNG and its JPEG


def test_dl3dv_cameras_are_those_of_an_independent_parse():
    (scene,) = dl3dv.scenes(shared("protocol/samples/dl3dv_folder"))
    assert not isinstance(scene, Skipped)
    (file,) = shared("protocol/samples/dl3dv_folder").glob("*/nerfstudio/transforms.json")
    document = json.loads(file.read_text())
    for i, frame in enumerate(document["frames"]):
        world_from_camera = np.array(frame["transform_matrix"]) @ np.diag([1, -1, -1, 1])
        np.testing.assert_allclose(scene.cameras.camera_from_world[i], np.linalg.inv(world_from_camera), atol=1e-7)
        np.testing.assert_allclose(scene.cameras.K[i, 0], [document["fl_x"] / 8, 0, document["cx"] / 8])


def test_dl3dv_frames_keep_the_files_order_and_pictures_cover_the_size_that_is_asked_for(tmp_path):
    write_dl3dv(tmp_path / "1K" / "scene" / "nerfstudio")
    for size, name, focal in (((0, 0), "images_8", 62.5), ((48, 64), "images_8", 62.5), ((49, 64), "images_4", 125.0),
                              ((999, 999), "images_4", 125.0)):  # fmt: skip
        (scene,) = dl3dv.scenes(tmp_path, size=size)
        assert not isinstance(scene, Skipped)
        assert scene.name == "scene" and scene.timestamps == (2, 1, 3)
        assert scene.pictures[0].path.parent.name == name and float(scene.cameras.K[0, 0, 0]) == focal
        assert [int(decoded(scene, i)[0, 0, 0]) for i in range(3)] == [20, 10, 30]


def test_a_bent_lens_is_undistorted_and_its_pictures_are_written_anew(tmp_path):
    flat, bent = write_dl3dv(tmp_path / "flat"), write_dl3dv(tmp_path / "bent", bend=-0.1)
    flat, bent = dl3dv.scene_of(flat), dl3dv.scene_of(bent)
    assert flat.lenses == (None,) * 3 and bent.lenses[0] is not None
    assert float(bent.cameras.K[0, 0, 0]) != float(flat.cameras.K[0, 0, 0])
    assert encoded(flat, 0)[0] == flat.pictures[0].path.read_bytes()
    assert encoded(bent, 0)[0] != bent.pictures[0].path.read_bytes() and decoded(bent, 0).shape == (48, 64, 3)


@pytest.mark.parametrize("damage", ["picture", "json", "pose"])
def test_a_broken_dl3dv_scene_is_named_and_the_rest_is_read(tmp_path, damage):
    write_dl3dv(tmp_path / "a")
    broken = write_dl3dv(tmp_path / "b")
    document = json.loads((broken / "transforms.json").read_text())
    if damage == "picture":
        (broken / "images_8" / "frame_00003.png").unlink()
        shutil.rmtree(broken / "images_4")
    elif damage == "json":
        (broken / "transforms.json").write_text("{")
    else:
        document["frames"][1]["transform_matrix"][0][0] = 7.0
        (broken / "transforms.json").write_text(json.dumps(document))
    good, bad = dl3dv.scenes(tmp_path)
    assert good.name == "a" and isinstance(bad, Skipped) and bad.scene == "b"
    expected = {"picture": "frame_00003.png, which is not there", "json": "not JSON", "pose": "not orthonormal"}
    assert expected[damage] in bad.reason


def test_the_nerfstudio_and_colmap_samples_are_one_scene():
    (colmap,) = posed.scenes(shared("protocol/samples/colmap"))
    found = {scene.name: scene for scene in posed.scenes(shared("protocol/samples/nerfstudio"))}
    assert not isinstance(colmap, Skipped) and set(found) >= {"camera_angle", "no_suffix", "per_frame_intrinsics", "distorted"}
    for name, scene in found.items():
        assert not isinstance(scene, Skipped) and scene.names == colmap.names, name
        np.testing.assert_allclose(scene.cameras.camera_from_world, colmap.cameras.camera_from_world, atol=1e-6)
        if name in ("camera_angle", "no_suffix", "per_frame_intrinsics"):
            np.testing.assert_allclose(scene.cameras.K, colmap.cameras.K, atol=1e-6)


def test_a_photo_that_is_listed_and_missing_is_named(tmp_path):
    folder = tmp_path / "scene"
    shutil.copytree(shared("protocol/samples/nerfstudio/per_frame_intrinsics"), folder)
    for place in (folder, folder / "images"):
        place.chmod(0o755)  # the shared one may be read-only
    (folder / "images" / "001.png").unlink()
    scene = posed.scene_of(folder)
    assert len(scene) == 2 and scene.left_out == ("images/001.png: there is no such photo",)
    assert len(read_transforms(folder / "transforms.json")) == 3


def test_folders_without_cameras_are_no_scenes(tmp_path):
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    assert list(posed.scenes(tmp_path)) == []
