"""`recon3d synth`: what it writes is read back by the readers of those formats."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from recon3d.cli.main import outcome
from recon3d.data.batch import rendered
from recon3d.data.dataset import opened
from recon3d.data.posed_depth import covered_depth, depth_files
from recon3d.data.posed_scene import PosedScene, decoded
from recon3d.data.shots import drawn
from recon3d.io.cameras_json import read_cameras
from recon3d.io.colmap_model import read_model
from recon3d.io.transforms_json import read_transforms

ARGUMENTS = ["--scenes", "2", "--views", "2", "--width", "64", "--height", "48", "--samples", "1", "--seed", "9"]


def test_folders_hold_pictures_cameras_and_depth(tmp_path):
    assert outcome(["synth", str(tmp_path / "made"), *ARGUMENTS]) == 0
    batch = rendered(drawn([9, 1], 2, (48, 64)))
    folder = tmp_path / "made" / "000001"
    picture = np.asarray(Image.open(folder / "images" / "01.png"))
    np.testing.assert_allclose(picture.transpose(2, 0, 1) / 255, batch.images[0, 1], atol=0.5 / 255 + 1e-6)
    assert np.array_equal(np.load(folder / "depth" / "01.npy"), batch.depth[0, 1].numpy())
    for cameras in (read_cameras(folder / "cameras.json"), read_transforms(folder / "transforms.json")):
        for v, camera in enumerate(cameras):
            assert camera.camera_from_world is not None and camera.lens is not None
            np.testing.assert_allclose(camera.camera_from_world, batch.camera_from_world[0, v], atol=1e-6)
            assert camera.lens.params[0] == pytest.approx(float(batch.K[0, v, 0, 0]))


def test_chunks_hold_what_loaders_of_realestate10k_read(tmp_path):
    assert outcome(["synth", str(tmp_path / "made"), *ARGUMENTS, "--format", "chunks"]) == 0
    index = json.loads((tmp_path / "made" / "test" / "index.json").read_text())
    scenes = torch.load(tmp_path / "made" / "test" / index["000001"], weights_only=True)
    scene = next(s for s in scenes if s["key"] == "000001")
    batch = rendered(drawn([9, 1], 2, (48, 64)))
    assert scene["cameras"].shape == (2, 18) and scene["cameras"].dtype == torch.float32
    torch.testing.assert_close(scene["cameras"][:, 6:].view(2, 3, 4), batch.camera_from_world[0, :, :3])
    torch.testing.assert_close(scene["cameras"][:, 0] * 64, batch.K[0, :, 0, 0])
    torch.testing.assert_close(scene["cameras"][:, 1] * 48, batch.K[0, :, 1, 1])
    assert bytes(scene["images"][0].numpy().tobytes()).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("form", "kind"),
    [("folders", "posed"), ("colmap", "posed"), ("nerfstudio", "posed"), ("dl3dv", "dl3dv"), ("chunks", "chunks")],
)
def test_our_readers_have_every_format_as_it_was_drawn(tmp_path, form, kind):
    assert outcome(["synth", str(tmp_path / "made"), *ARGUMENTS, "--format", form]) == 0
    found = opened(tmp_path / "made")
    assert found.kind == kind
    whole = [scene for scene in found.scenes() if isinstance(scene, PosedScene)]
    assert [scene.name for scene in whole] == [at.name for at in found.located()] == ["000000", "000001"]
    for scene in (whole[1], found.scene_at(found.located()[1])):
        batch = rendered(drawn([9, 1], 2, (48, 64)))
        torch.testing.assert_close(scene.cameras.camera_from_world.float(), batch.camera_from_world[0], atol=2e-6, rtol=0)
        torch.testing.assert_close(scene.cameras.K.float(), batch.K[0], atol=1e-4, rtol=0)
        assert np.array_equal(decoded(scene, 1).transpose(2, 0, 1), (255 * batch.images[0, 1]).round().byte().numpy())
        files = depth_files(scene, (0, 1))
        assert bool(files) == (form != "chunks")
        if files:
            assert torch.equal(covered_depth(scene, (0, 1), files, (48, 64)), batch.depth[0])


def test_points_of_a_colmap_folder_lie_on_surfaces_that_their_views_show(tmp_path):
    assert outcome(["synth", str(tmp_path / "made"), *ARGUMENTS, "--format", "colmap"]) == 0
    model = read_model(tmp_path / "made" / "000001" / "sparse" / "0")
    batch = rendered(drawn([9, 1], 2, (48, 64)))
    assert len(model.points) > 50
    views = torch.bincount(torch.from_numpy(np.asarray(model.track_point)), minlength=len(model.points))
    assert int(views.min()) >= 2
    for view, point, (x, y) in zip(model.track_view, model.track_point, model.track_xy, strict=True):
        camera, K = batch.camera_from_world[0, view].double().numpy(), batch.K[0, view].double().numpy()
        there = camera[:3, :3] @ model.points[point] + camera[:3, 3]
        np.testing.assert_allclose((K @ there)[:2] / there[2], [x, y], atol=1e-3)
        assert batch.depth[0, view, int(y), int(x)] == pytest.approx(there[2], rel=0.01)


@pytest.mark.parametrize(("flag", "value"), [("--views", "0"), ("--width", "100000"), ("--format", "laserdisc")])
def test_what_cannot_be_made_is_one_line_and_nothing_is_written(tmp_path, capfd, flag, value):
    assert outcome(["synth", str(tmp_path / "made"), *ARGUMENTS, flag, value]) == 2
    assert capfd.readouterr().err.count("\n") == 1
    assert not (tmp_path / "made").exists()


def test_a_folder_that_is_there_is_refused_by_flags_that_there_are(tmp_path, capfd):
    assert outcome(["synth", str(tmp_path), *ARGUMENTS]) == 2
    told = capfd.readouterr().err
    assert "it exists already" in told and "--overwrite" in told and "--out" not in told
