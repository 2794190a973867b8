"""The main job end to end on the sample scene: what a run leaves, that it repeats, resumes, and survives being killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch
from PIL import Image

from recon3d import load_scene
from recon3d.cli.main import outcome
from recon3d.io.cameras_json import read_cameras
from recon3d.io.colmap_model import read_model, write_model
from recon3d.io.detect import detect
from recon3d.io.load import load_views
from recon3d.io.ply import read_ply
from recon3d.io.transforms_json import read_transforms
from recon3d.metrics.poses import pair_errors

SAMPLE = Path(__file__).resolve().parents[2] / "datasets" / "sample"
UTM = np.array([500000.0, 100.0, 4650000.0])
QUICK = ["--max-size", "128", "--refine", "15", "--seed", "3"]


def run(*arguments) -> None:
    assert outcome(["run", *(str(a) for a in arguments)]) == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A run folder of the sample scene, without its reference cameras."""
    out = tmp_path_factory.mktemp("run") / "new" / "out"
    run(SAMPLE / "images", "--out", out, "--holdout", "8", *QUICK)
    return out


@pytest.fixture(scope="module")
def few(tmp_path_factory) -> Path:
    """Five photos of the sample: a quarter of the pairs."""
    photos = tmp_path_factory.mktemp("few") / "images"
    photos.mkdir()
    for photo in sorted((SAMPLE / "images").iterdir())[:5]:
        shutil.copy(photo, photos)
    return photos


def poses(known) -> torch.Tensor:
    return torch.from_numpy(np.stack([camera.camera_from_world for camera in known]))


def test_a_run_folder_holds_everything_and_nothing_is_left_beside_it(folder):
    assert sorted(p.name for p in folder.iterdir()) == [
        "cameras.json", "images", "renders", "report.json", "scene.ply", "sparse", "transforms.json",
    ]  # fmt: skip
    assert [p.name for p in folder.parent.iterdir()] == ["out"]
    names = sorted(p.name for p in (SAMPLE / "images").iterdir())
    assert sorted(p.name for p in (folder / "images").iterdir()) == names
    assert sorted(p.stem for p in (folder / "renders").iterdir()) == [Path(n).stem for n in names]


def test_all_cameras_of_a_run_agree_with_the_reference_of_the_sample(folder):
    found, reference = read_cameras(folder / "cameras.json"), read_cameras(SAMPLE / "cameras.json")
    assert [c.name for c in found] == [c.name for c in reference]
    errors = pair_errors(poses(found), poses(reference))
    assert float(errors.rotation.median()) < 0.5 and float(errors.translation.median()) < 1.0


def test_every_file_of_a_run_has_the_same_cameras_in_the_same_world(folder):
    from recon3d.sfm.pycolmap import colmap

    cameras, transforms = read_cameras(folder / "cameras.json"), read_transforms(folder / "transforms.json")
    model = colmap.Reconstruction(folder / "sparse" / "0")
    images = {image.name: image for image in model.images.values()}
    for a, b in zip(cameras, transforms, strict=True):
        image = images[a.name]
        colmap_pose = np.vstack([image.cam_from_world().matrix(), [0, 0, 0, 1]])
        assert np.allclose(a.camera_from_world, b.camera_from_world, atol=1e-9)
        assert np.allclose(a.camera_from_world, colmap_pose, atol=1e-9)
        assert np.allclose(a.lens.K, b.lens.K) and np.allclose(a.lens.K, image.camera.calibration_matrix())
        with Image.open(folder / "images" / a.name) as photo:
            assert photo.size == (a.lens.width, a.lens.height)


def test_the_points_of_a_run_project_onto_their_observations(folder):
    from recon3d.sfm.pycolmap import colmap

    model = colmap.Reconstruction(folder / "sparse" / "0")
    model.update_point_3d_errors()
    assert len(model.points3D) > 200 and model.compute_mean_reprojection_error() < 1.0


def test_the_report_tells_what_was_held_out_and_that_the_export_was_checked(folder):
    report = json.loads((folder / "report.json").read_text())
    assert set(report["holdout"]["views"]) == {f for i, f in enumerate(report["input"]["used"]) if i % 8 == 0}
    assert report["holdout"]["mean"]["psnr"] > 12  # 15 steps at 128 px; a grey picture has 11
    assert report["export"]["psnr"] >= 80
    assert report["version"] == 1 and report["repeatable"] and report["refinement"]["steps"] == 15
    held = {c["name"] for c in json.loads((folder / "cameras.json").read_text())["images"] if c.get("held_out")}
    assert held == set(report["holdout"]["views"])


def test_the_report_keeps_to_its_schema(folder):
    schema = json.loads((SAMPLE.parents[1] / "docs" / "report.schema.json").read_text())
    jsonschema.validate(json.loads((folder / "report.json").read_text()), schema)


def test_the_world_of_a_run_is_upright(folder):
    up = -poses(read_cameras(folder / "cameras.json"))[:, 1, :3].mean(0)
    assert float((up / up.norm())[1]) < -0.999


def test_a_finished_run_is_an_input_that_is_not_matched_again(folder, tmp_path):
    run(folder, "--out", tmp_path / "again.ply", *QUICK)
    report = json.loads((tmp_path / "again.report.json").read_text())
    assert report["input"]["kind"] == "run" and report["geometry"]["settings"] == "given"
    assert report["geometry"]["registered"] == len(report["input"]["used"])


def test_a_seed_and_a_number_of_steps_repeat_byte_for_byte(few, tmp_path):
    run(few, "--out", tmp_path / "a.ply", *QUICK)
    run(few, "--out", tmp_path / "b.ply", *QUICK)
    assert (tmp_path / "a.ply").read_bytes() == (tmp_path / "b.ply").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.ply", "a.report.json", "b.ply", "b.report.json"]


def test_known_cameras_come_out_exactly_as_given(tmp_path):
    run(SAMPLE / "images", "--cameras", SAMPLE / "cameras.json", "--out", tmp_path / "out", *QUICK)
    given, found = read_cameras(SAMPLE / "cameras.json"), read_cameras(tmp_path / "out" / "cameras.json")
    for a, b in zip(given, found, strict=True):
        assert (a.camera_from_world == b.camera_from_world).all() and (a.lens.K == b.lens.K).all()
        assert a.in_metres and b.in_metres


def test_what_only_masked_pixels_see_is_not_in_the_scene(few, tmp_path):
    """Masks keep the left two thirds of each photo: less than 1 % of the opacity projects outside of all of them."""
    shutil.copytree(few, tmp_path / "photos")
    for photo in (tmp_path / "photos").glob("*.jpg"):
        mask = np.zeros(np.asarray(Image.open(photo)).shape[:2], np.uint8)
        mask[:, : mask.shape[1] * 2 // 3] = 255
        (tmp_path / "photos" / "masks").mkdir(exist_ok=True)
        Image.fromarray(mask).save(tmp_path / "photos" / "masks" / f"{photo.name}.png")
    run(tmp_path / "photos", "--out", tmp_path / "out", *QUICK)
    import recon3d

    scene = recon3d.load_scene(tmp_path / "out")
    xy, depth = scene.geometry.cameras.project(scene.gaussians.means.double())
    inside = torch.zeros(len(scene.gaussians), dtype=torch.bool)
    for i in range(len(scene.views)):
        height, width = scene.views.images[i].shape[1:]
        shown = (depth[i] > 0) & (xy[i] >= 0).all(1) & (xy[i, :, 0] < width * 2 // 3) & (xy[i, :, 1] < height)
        inside |= shown
    opacities = scene.gaussians.opacities
    assert float(opacities[~inside].sum() / opacities.sum()) < 0.01


@contextmanager
def started(photos: Path, folder: Path, *arguments: str) -> Iterator[subprocess.Popen]:
    """`recon3d run` in a folder, by a process of its own, which ends with the test."""
    process = subprocess.Popen(
        [sys.executable, "-m", "recon3d.cli", "run", str(photos), *arguments], cwd=folder, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for_stage(process: subprocess.Popen, name: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if line.strip() == f"recon3d: {name}":
            return
    raise AssertionError(f"the run ended before its stage {name}")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for another process")
def test_a_killed_run_leaves_no_output_and_resumes_after_its_last_stage(few, tmp_path):
    arguments = ["--out", "scene.ply", "--max-size", "128", "--refine", "100000", "--seed", "3"]
    work = tmp_path / ".scene.ply.partial"
    with started(few, tmp_path, *arguments) as process:
        wait_for_stage(process, "refinement")
        assert (work / "geometry.npz").exists()
        process.kill()
        process.wait()
    assert [p.name for p in tmp_path.iterdir()] == [".scene.ply.partial"]
    # Another budget is another request; the same one goes on.
    (tmp_path / "here").mkdir()
    with started(few, tmp_path, *arguments, "--resume") as process:
        wait_for_stage(process, "refinement")
        time.sleep(4)
        process.send_signal(signal.SIGINT)  # the scene reached so far is kept
        process.communicate(timeout=200)
        assert process.returncode == 0
    report = json.loads((tmp_path / "scene.report.json").read_text())
    assert report["refinement"]["interrupted"] and 0 < report["refinement"]["steps"] < 100000
    assert next(s for s in report["stages"] if s["name"] == "geometry")["resumed"]
    assert not work.exists() and (tmp_path / "scene.ply").stat().st_size > 1000


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for another process")
def test_ctrl_c_before_refinement_leaves_no_output(few, tmp_path):
    with started(few, tmp_path, "--out", "scene.ply") as process:
        wait_for_stage(process, "geometry")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=200)
        assert process.returncode == 130
        lines = [line for line in said.splitlines() if not line.startswith("recon3d:   ")]
        assert len(lines) == 1 and "nothing was written" in lines[0] and "--resume" in lines[0]
    assert not (tmp_path / "scene.ply").exists()


@pytest.fixture(scope="module")
def far(folder, tmp_path_factory) -> Path:
    """The finished run, moved to UTM by its COLMAP model: cameras and points that need no matching."""
    place = tmp_path_factory.mktemp("far")
    shutil.copytree(folder / "images", place / "images")
    (place / "sparse" / "0").mkdir(parents=True)
    model = read_model(folder / "sparse" / "0").moved(UTM)
    poses_far = np.stack([camera.camera_from_world for camera in model.cameras])
    lenses = [camera.lens for camera in model.cameras]
    write_model(
        place / "sparse" / "0", [c.name for c in model.cameras], lenses, np.zeros(len(lenses)), poses_far, model.points,
        model.colors, model.errors, model.track_view, model.track_point, model.track_xy,
    )  # fmt: skip
    return place


@pytest.mark.parametrize("origin", ["keep", "local"])
def test_a_scene_far_from_zero_is_made_about_an_origin_that_its_files_tell(far, tmp_path, origin):
    out = tmp_path / "out"
    run(far, "--out", out, "--max-size", "64", "--refine", "0", "--origin", origin)
    report = json.loads((out / "report.json").read_text())
    jsonschema.validate(report, json.loads((SAMPLE.parents[1] / "docs" / "report.schema.json").read_text()))
    at = np.array(report["world"]["origin"])
    assert np.abs(at - UTM).max() < 100
    given = {c.name: c.camera_from_world for c in read_model(far / "sparse" / "0").cameras}
    for found in (read_cameras(out / "cameras.json"), read_transforms(out / "transforms.json")):
        off = [np.abs(c.camera_from_world - given[c.name.removeprefix("images/")]).max() for c in found]
        assert max(off) < 1e-8
    raw = json.loads((out / "cameras.json").read_text())
    model = read_model(out / "sparse" / "0")
    shift = at if origin == "local" else np.zeros(3)
    assert raw.get("origin", [0, 0, 0]) == shift.tolist()
    assert max(np.abs(c.moved(shift).camera_from_world - given[c.name]).max() for c in model.cameras) < 1e-8
    splats = read_ply(out / "scene.ply")
    assert splats.origin.tolist() == at.tolist() and np.abs(splats.means).max() < 1e4
    scene = load_scene(out)
    assert scene.origin == tuple(at.tolist())
    again = load_views(detect([out]), max_size=64).views.known_camera_from_world.numpy()
    assert np.abs(again - np.stack([given[name] for name in sorted(given)])).max() < 1e-8
    shown = scene.geometry.cameras.shows(scene.gaussians.means[scene.gaussians.opacities > 0.1])
    assert float(shown.any(0).double().mean()) > 0.5  # the others are the backdrop
