"""The main job with networks whose cameras are known: told to DA3, or the prediction moved to them; and metres by a network."""

import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from recon3d.cli.main import outcome
from recon3d.io.cameras_json import read_cameras
from tests.shared_folder import shared

pytestmark = pytest.mark.slow  # whole runs with networks: about five seconds each

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "datasets" / "sample"
QUICK = ["--max-size", "128", "--refine", "0", "--seed", "3"]
SOME = [SAMPLE / "images" / f"0{i}.jpg" for i in (3, 4, 5, 6)]


def cameras_file(folder: Path, change=lambda pose, i: pose, unit: str = "metre") -> Path:
    """The sample's cameras, changed; None leaves a pose out."""
    document = json.loads((SAMPLE / "cameras.json").read_text())
    for i, image in enumerate(document["images"]):
        pose = change(np.array(image["camera_from_world"]), i)
        top = None if pose is None else np.vstack([pose, [0, 0, 0, 1]])[:3].tolist() if len(pose) == 3 else pose[:3].tolist()
        image["camera_from_world"] = top
    (folder / "cameras.json").write_text(json.dumps({**document, "unit": unit}))
    return folder / "cameras.json"


def run(out: Path, *arguments) -> dict:
    assert outcome(["run", *map(str, (*SOME, "--out", out, *QUICK, *arguments))]) == 0
    report = json.loads((out / "report.json").read_text())
    jsonschema.validate(report, json.loads((ROOT / "docs" / "report.schema.json").read_text()))
    return report


def weights_of(case: str, folder: Path) -> Path:
    """A tiny network of the golden cases in the published layout."""
    folder.mkdir()
    facts = shared(f"parity/da3/cases/{case}")
    (folder / "config.json").write_text(json.dumps(json.loads((facts / "case.json").read_text())["config"]))
    save_file(load_file(facts / "weights.safetensors"), folder / "model.safetensors")
    return folder


def test_da3_is_told_known_cameras_which_come_out_as_given(tmp_path):
    """The weights mean nothing: right cameras are believed all the same, by the photos' own matches."""
    weights = weights_of("forward_3v_pose", tmp_path / "weights")
    out = tmp_path / "out"
    report = run(out, "--geometry", "da3-small", "--weights", weights, "--cameras", SAMPLE / "cameras.json")
    known = report["geometry"]["known_cameras"]
    assert known["told"] and (known["poses"], known["lenses"]) == (4, 4)
    given = {camera.name: camera for camera in read_cameras(SAMPLE / "cameras.json")}
    for camera in read_cameras(out / "cameras.json"):
        assert (camera.camera_from_world == given[camera.name].camera_from_world).all()
        assert (camera.lens.K == given[camera.name].lens.K).all() and camera.in_metres


def test_mistaken_cameras_are_refused_by_name(tmp_path, capsys):
    flipped = cameras_file(tmp_path, lambda pose, i: np.diag([1.0, -1, -1]) @ pose[:3])
    arguments = [*SOME, "--geometry", "recon3d-small", "--cameras", flipped, "--out", tmp_path / "s.ply", *QUICK]
    assert outcome(["run", *map(str, arguments)]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"recon3d: error: {flipped}: ") and "the y and z axes of the cameras are flipped" in error
    assert [path.name for path in tmp_path.iterdir()] == ["cameras.json"]


def test_held_out_photos_with_known_cameras_are_not_seen_by_the_network(tmp_path):
    out = tmp_path / "out"
    cameras = cameras_file(tmp_path, lambda pose, i: None if i == 4 else pose)
    report = run(out, "--geometry", "recon3d-small", "--cameras", cameras, "--holdout", "4:3")
    assert report["geometry"]["held_out_photos"] == (
        "held-out photos take no part in the network's pass: their cameras were given"
    )
    assert set(report["geometry"]["known_cameras"]["depth"]) == {"03.jpg", "04.jpg", "05.jpg"}
    assert set(report["holdout"]["views"]) == {"06.jpg"} and report["world"]["unit"] == "metres"
    given = {camera.name: camera for camera in read_cameras(SAMPLE / "cameras.json")}
    for camera in read_cameras(out / "cameras.json"):
        same = (camera.camera_from_world == given[camera.name].camera_from_world).all()
        assert same == (camera.name != "04.jpg")


def test_one_known_camera_gives_the_frame_and_no_unit(tmp_path):
    out = tmp_path / "out"
    report = run(out, "--geometry", "recon3d-small", "--cameras", cameras_file(tmp_path, lambda p, i: p if i == 3 else None))
    assert report["world"] == {"frame": "given", "unit": "arbitrary"} and report["geometry"]["known_cameras"]["scale"] is None
    (found,) = (c for c in read_cameras(out / "cameras.json") if c.name == "03.jpg")
    (given,) = (c for c in read_cameras(SAMPLE / "cameras.json") if c.name == "03.jpg")
    assert (found.camera_from_world == given.camera_from_world).all()


def test_photos_of_one_camera_share_what_the_network_says_of_it(tmp_path):
    run(tmp_path / "out", "--geometry", "recon3d-small")
    lenses = {camera.lens for camera in read_cameras(tmp_path / "out" / "cameras.json")}
    assert len(lenses) == 1


def test_a_length_between_two_cameras_is_exact_in_the_files(tmp_path):
    report = run(tmp_path / "out", "--geometry", "recon3d-small", "--metric", "2.5:03.jpg,06.jpg")
    assert report["world"]["unit"] == "metres" and report["metric"]["taken"]
    cameras = {c.name: c for c in read_cameras(tmp_path / "out" / "cameras.json")}
    a, b = (np.linalg.inv(cameras[name].camera_from_world)[:3, 3] for name in ("03.jpg", "06.jpg"))
    assert np.linalg.norm(a - b) == pytest.approx(2.5, rel=1e-9)
    assert cameras["03.jpg"].in_metres


def test_the_metric_network_is_run_and_told(tmp_path):
    """Tiny weights that mean nothing, on cameras in no unit: what it says is in the report, view by view."""
    weights = weights_of("mono_2v_sky", tmp_path / "weights")
    report = run(tmp_path / "out", "--geometry", "recon3d-small", "--metric", "network", "--metric-weights", weights)
    metric = report["metric"]
    assert metric["way"] == "network" and metric["source"] == "da3-metric" and set(metric["views"]) <= {p.name for p in SOME}
    assert metric["weights"]["licence"] == "Apache-2.0"
    assert metric["taken"] == (metric["deviation"] <= 0.1) == (report["world"]["unit"] == "metres")
