"""`recon3d locate` on the sample scene: where a photo was taken, in the scene's world, and what is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import recon3d
from recon3d.cli.main import outcome
from recon3d.core.cameras import Cameras
from recon3d.io.cameras_json import read_cameras, write_cameras
from recon3d.io.colmap_model import write_model

SAMPLE = Path(__file__).resolve().parents[2] / "datasets" / "sample"
SCENE = ("02.jpg", "03.jpg", "05.jpg", "06.jpg")
UTM = np.array([500000.0, 100.0, 4650000.0])


def run_folder(folder: Path, origin: np.ndarray, at: np.ndarray) -> Path:
    """What a run of a few of the sample's photos leaves, without splats and points: cameras at `at` beyond their place, told
    about `origin`."""
    known = [camera for camera in read_cameras(SAMPLE / "cameras.json") if camera.name in SCENE]
    poses = np.stack([np.asarray(camera.moved(at - origin).camera_from_world) for camera in known])
    lenses = [camera.lens for camera in known]
    K, sizes = np.stack([lens.K for lens in lenses]), [(lens.height, lens.width) for lens in lenses]
    (folder / "sparse" / "0").mkdir(parents=True)
    (folder / "images").mkdir()
    for name in SCENE:
        shutil.copy(SAMPLE / "images" / name, folder / "images")
    none, no_view = np.zeros((0, 3)), np.zeros(0, np.int64)
    write_model(
        folder / "sparse" / "0", SCENE, lenses, np.zeros(len(SCENE), np.int64), poses, none, none.astype(np.uint8), none[:, 0],
        no_view, no_view, none[:, :2],
    )  # fmt: skip
    cameras = Cameras(torch.from_numpy(poses), torch.from_numpy(K), torch.tensor(sizes), torch.zeros(len(SCENE)).long())
    write_cameras(folder / "cameras.json", SCENE, cameras, lenses=lenses, origin=origin.tolist())
    (folder / "report.json").write_text("{}")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return run_folder(tmp_path_factory.mktemp("run") / "scene", np.zeros(3), np.zeros(3))


@pytest.fixture(scope="module")
def noise(tmp_path_factory) -> Path:
    """A photo of nothing in the scene."""
    path = tmp_path_factory.mktemp("photos") / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)).save(path)
    return path


def error(path: Path, name: str, at: np.ndarray) -> tuple[float, float]:
    """Degrees, and the distance between the centres in shares of the distance between the scene's outermost cameras."""
    true = {camera.name: np.asarray(camera.camera_from_world) for camera in read_cameras(SAMPLE / "cameras.json")}
    found = next(np.asarray(c.moved(-at).camera_from_world) for c in read_cameras(path) if c.name == name)
    centers = {n: -pose[:3, :3].T @ pose[:3, 3] for n, pose in {**true, "found": found}.items()}
    turn = found[:3, :3] @ true[name][:3, :3].T
    size = max(np.linalg.norm(centers[a] - centers[b]) for a in SCENE for b in SCENE)
    return np.degrees(np.arccos((np.trace(turn) - 1) / 2)), float(np.linalg.norm(centers["found"] - centers[name]) / size)


def test_a_photo_is_located_in_the_world_of_the_scene_and_another_is_refused(folder, noise, tmp_path, capsys):
    shutil.copy(SAMPLE / "images" / "04.jpg", noise.parent)
    arguments = ["locate", str(folder), str(noise.with_name("04.jpg")), str(noise), "--seed", "0"]
    assert outcome([*arguments, "--out", str(tmp_path / "new.json"), "--json"]) == 0
    photos = {photo["name"]: photo for photo in json.loads(capsys.readouterr().out)["photos"]}
    assert photos["noise.png"]["refused"] == "none of the scene's 4 photos has 15 matches with it"
    assert photos["04.jpg"]["refused"] is None and photos["04.jpg"]["matches"] > 50
    assert [camera.name for camera in read_cameras(tmp_path / "new.json")] == ["04.jpg"]
    angle, away = error(tmp_path / "new.json", "04.jpg", np.zeros(3))
    assert angle < 0.3 and away < 0.01
    by_name = {photo.name: photo for photo in recon3d.locate(folder, [noise.with_name("04.jpg"), noise], seed=0)}
    assert by_name["noise.png"].refused and by_name["04.jpg"].refused is None
    assert np.allclose(by_name["04.jpg"].camera_from_world[:3], photos["04.jpg"]["camera_from_world"], atol=1e-12)


def test_a_scene_far_from_zero_keeps_its_place_and_its_origin(tmp_path, capsys):
    scene = run_folder(tmp_path / "scene", UTM, UTM)
    out = tmp_path / "new.json"
    assert outcome(["locate", str(scene), str(SAMPLE / "images" / "04.jpg"), "--seed", "0", "--out", str(out)]) == 0
    assert "at (499999.89" in capsys.readouterr().out
    assert json.loads(out.read_text())["origin"] == UTM.tolist()
    angle, away = error(out, "04.jpg", UTM)
    assert angle < 0.3 and away < 0.01


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["{folder}", "{noise}"], "it is not located in"),
        (["{noise}", "{noise}"], "it is not the folder of a run"),
        (["{folder}"], "no photo was given"),
        (["{folder}", "{noise}", "--out", "{folder}/cameras.json"], "it exists already"),
        (["{folder}", "{noise}", "--out", "cameras.txt"], "is no name of a cameras.json"),
    ],
)
def test_what_cannot_be_done_is_one_line(folder, noise, arguments, line, capsys):
    words = [word.format(folder=folder, noise=noise) for word in arguments]
    assert outcome(["locate", *words]) == 2
    told = [row for row in capsys.readouterr().err.splitlines() if row.startswith("recon3d: error")]
    assert len(told) == 1 and line in told[0]
