"""The main job with networks: tiny checkpoints in the layouts that people download, on real photos, from file to scene."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from recon3d.cli.main import outcome
from recon3d.core.cameras import Cameras
from recon3d.io.cameras_json import read_cameras
from recon3d.io.colmap_model import read_model
from recon3d.io.ply import read_ply
from recon3d.models.config import values_of
from tests.models.dust3r_files import LINEAR, MATCHING, config_from, naver_file, tiny, tiny_config
from tests.models.test_loading import Evil
from tests.models.tiny import TINY_VGGT, tiny_vggt
from tests.shared_folder import shared

ROOT = Path(__file__).resolve().parents[2]
QUICK = ["--max-size", "128", "--refine", "5", "--seed", "3", "--bundle-adjust", "off"]


@pytest.fixture(scope="module")
def photos() -> list[Path]:
    """Real ones where they lie here, else those of the sample."""
    folder = shared("data/fountain-P11/images")
    return sorted(folder.iterdir())[3:6]


def golden(family: str, kind: str, folder: Path) -> dict[str, torch.Tensor]:
    """Tensors of a tiny network under their published names; its config is written into `folder`."""
    for case in sorted(shared(f"parity/{family}/cases").iterdir()):
        facts = json.loads((case / "case.json").read_text())
        if facts["kind"] == kind and "gs_head" not in facts["config"]:
            (folder / "config.json").write_text(json.dumps(facts["config"]))
            return load_file(case / "weights.safetensors")
    pytest.skip(f"no case {kind} in ../shared/parity/{family}")


def vggt(folder: Path) -> Path:
    save_file(tiny_vggt()[1], folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(values_of(TINY_VGGT)))
    return folder


def vggt_torch(folder: Path) -> Path:
    torch.save(tiny_vggt()[1], folder / "model.pt")
    (folder / "config.json").write_text(json.dumps(values_of(TINY_VGGT)))
    return folder


def stream_vggt(folder: Path) -> Path:
    torch.save(tiny_vggt()[1], folder / "checkpoints.pth")
    (folder / "config.json").write_text(json.dumps(values_of(TINY_VGGT)))
    return folder


def da3(folder: Path) -> Path:
    save_file(golden("da3", "da3_forward", folder), folder / "model.safetensors")
    return folder


def lingbot(folder: Path) -> Path:
    torch.save({"model": golden("lingbot", "lingbot_stream", folder)}, folder / "lingbot-map-long.pt")
    return folder


def dust3r(folder: Path) -> Path:
    """The authors' layout: the file itself says what the network is."""
    from recon3d.models.dust3r.model_string import settings_of

    torch.save(naver_file(tiny(config_from(settings_of(LINEAR, "test"), "test")), LINEAR), folder / "DUSt3R.pth")
    return folder / "DUSt3R.pth"


def mast3r(folder: Path) -> Path:
    config = tiny_config(MATCHING)
    torch.save(naver_file(tiny(config), MATCHING), folder / "MASt3R.pth")
    from recon3d.models.dust3r.model_string import settings_of
    from tests.models.dust3r_files import DPT

    settings = settings_of(MATCHING, "test") | {"dpt": DPT, "hidden_dim_factor": 0.5}
    (folder / "config.json").write_text(json.dumps(settings))
    return folder


LAYOUTS: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "vggt, model.safetensors": ("vggt-1b", vggt),
    "vggt, model.pt": ("vggt-1b", vggt_torch),
    "stream-vggt, checkpoints.pth": ("stream-vggt", stream_vggt),
    "da3, model.safetensors": ("da3-small", da3),
    "lingbot-map, .pt with a wrapper": ("lingbot-map", lingbot),
    "dust3r, .pth with its model string": ("dust3r-512", dust3r),
    "mast3r, .pth and a config.json": ("mast3r-512", mast3r),
}


@pytest.mark.parametrize(("geometry", "write"), LAYOUTS.values(), ids=LAYOUTS)
def test_a_checkpoint_in_its_published_layout_runs_through(geometry, write, photos, tmp_path):
    (tmp_path / "weights").mkdir()
    weights = write(tmp_path / "weights")
    out = tmp_path / "out"
    arguments = [*photos, "--geometry", geometry, "--weights", weights, "--out", out, *QUICK]
    assert outcome(["run", *map(str, arguments)]) == 0
    report = json.loads((out / "report.json").read_text())
    jsonschema.validate(report, json.loads((ROOT / "docs" / "report.schema.json").read_text()))
    assert report["geometry"]["row"] == geometry and report["geometry"]["registered"] == len(photos)
    assert len(report["geometry"]["weights"]["sha256"]) == 64 and "random_weights" not in report
    assert report["export"]["psnr"] >= 80
    assert len(read_ply(out / "scene.ply").means) == report["splats"]["count"] > 100
    cameras = read_cameras(out / "cameras.json")
    assert [camera.name for camera in cameras] == [photo.name for photo in photos]
    for camera in cameras:
        rotation = np.asarray(camera.camera_from_world)[:3, :3]
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-5)


def test_the_shipped_weights_need_no_network(photos, tmp_path, monkeypatch):
    def refused(*given: object) -> None:
        raise AssertionError("nothing is to be fetched")

    monkeypatch.setattr(socket.socket, "connect", refused)
    out = tmp_path / "out"
    arguments = [*photos, "--geometry", "recon3d-small", "--commercial-only", "--out", out, *QUICK[:-2]]
    assert outcome(["run", *map(str, arguments)]) == 0
    report = json.loads((out / "report.json").read_text())
    assert report["geometry"]["weights"]["licence"] == "Apache-2.0" and "random_weights" not in report
    jsonschema.validate(report, json.loads((ROOT / "docs" / "report.schema.json").read_text()))
    assert report["bundle_adjustment"]["why"] and report["refinement"]["cameras"]["following"] == []
    assert Path(report["geometry"]["weights"]["file"]).stat().st_size < 16_000_000
    assert len(read_ply(out / "scene.ply").means) > 100
    check_depth(out, 128)


def check_depth(out: Path, longest: int) -> None:
    """depth/ is in the units of the world of cameras.json and sparse/0, in pixels of its own K."""
    points = torch.from_numpy(read_model(out / "sparse" / "0").points)
    for camera in read_cameras(out / "cameras.json"):
        path = out / "depth" / f"{Path(camera.name).stem}.npz"
        assert path.with_suffix(".png").is_file()
        with np.load(path) as stored:
            depth, K = torch.from_numpy(stored["depth"]), torch.from_numpy(stored["K"])
            assert stored["confidence"].min() >= 0 and 0 < stored["confidence"].max() <= 1
        assert max(depth.shape) == longest
        pose = torch.eye(4, dtype=torch.float64)
        pose[:3] = torch.from_numpy(np.asarray(camera.camera_from_world)[:3])
        one = Cameras(pose[None], K[None], torch.tensor([list(depth.shape)]), torch.zeros(1, dtype=torch.int64))
        (xy,), (z,) = one.project(points)
        inside = one.inside(xy[None], z[None])[0]
        column, row = xy[inside].long().unbind(1)
        assert int(inside.sum()) > 50 and (depth[row, column] / z[inside]).log().abs().quantile(0.25) < 0.1


def test_random_weights_run_with_one_warning_and_are_marked_in_the_report(photos, tmp_path, monkeypatch, capsys):
    """The published size is too large for a test: the row is given the tiny one."""
    from dataclasses import replace

    from recon3d.models.vggt import published

    monkeypatch.setitem(published.WEIGHTS, "vggt-1b", replace(published.WEIGHTS["vggt-1b"], config=TINY_VGGT))
    reports = []
    for name in ("a", "b"):
        out = tmp_path / f"{name}.ply"
        arguments = [*photos, "--geometry", "vggt-1b", "--weights", "random", "--out", out, *QUICK]
        assert outcome(["run", *map(str, arguments)]) == 0
        reports.append(json.loads((tmp_path / f"{name}.report.json").read_text()))
        assert capsys.readouterr().err.count("random weights") == 1
    assert reports[0]["random_weights"] is True and reports[0]["geometry"]["repeatable"] is True
    assert (tmp_path / "a.ply").read_bytes() == (tmp_path / "b.ply").read_bytes()


def test_a_photo_that_no_pair_places_is_named(photos, tmp_path, monkeypatch):
    from dataclasses import replace

    from recon3d.reconstruction.pairs import answer as pair_answer

    aligned = pair_answer.one_world
    monkeypatch.setattr(pair_answer, "one_world", lambda *given: replace(aligned(*given), unposed=(1,)))
    photos = photos[:2]
    arguments = [*photos, "--geometry", "dust3r-512", "--weights", dust3r(tmp_path), "--out", tmp_path / "s.ply", *QUICK]
    assert outcome(["run", *map(str, arguments)]) == 0
    (note,) = (n for n in json.loads((tmp_path / "s.report.json").read_text())["notes"] if "no pair" in n)
    assert photos[1].name in note and photos[0].name not in note


WRONG = {
    "no such row": (["--geometry", "vggt-2b"], "'vggt-2b' is no way to find cameras"),
    "weights for auto": (["--weights", "x.pt"], "auto does not say for which network"),
    "weights for colmap": (["--geometry", "colmap", "--weights", "x.pt"], "colmap has no weights"),
    "no commercial use": (["--geometry", "vggt-1b", "--commercial-only"], "CC-BY-NC-4.0, and --commercial-only refuses"),
    "no such file": (["--geometry", "vggt-1b", "--weights", "nowhere.pt"], "nowhere.pt: there is no such file"),
    "no such head": (["--splats", "splatt3r"], "'splatt3r' is no way to make Gaussians"),
    "no commercial head": (["--splats", "ilrm-re10k-2v", "--commercial-only"], "none stated, so all rights are reserved"),
    "weights for points": (["--splats", "points", "--splats-weights", "x.pt"], "--splats points has no weights"),
    "anchors for points": (["--splats", "points", "--anchors", "4"], "--splats points has no anchors"),
    "no anchors": (["--splats", "joint", "--anchors", "0"], "--anchors: 0 is too small"),
    "a file for nothing": (["--max-file-mb", "0.0001"], "0.0001 MB hold no Gaussian"),
    "lift without depth": (["--splats", "lift"], "--geometry colmap gives no depth to lift"),
}


@pytest.mark.parametrize(("arguments", "said"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_is_one_line(arguments, said, tmp_path, capsys):
    sample = ROOT / "datasets" / "sample"
    assert outcome(["run", str(sample / "images"), "--out", str(tmp_path / "scene.ply"), *arguments]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("recon3d: error: ") and said in error
    assert list(tmp_path.iterdir()) == []


def test_a_hostile_checkpoint_is_refused_by_name_and_nothing_of_it_runs(photos, tmp_path, capsys):
    import argparse

    canary = tmp_path / "canary"
    string = f"AsymmetricCroCo3DStereo(img_size=__import__('pathlib').Path({str(canary)!r}).write_text('ran'))"
    torch.save({"args": argparse.Namespace(model=string), "model": {}}, tmp_path / "string.pth")
    torch.save({"model": Evil(canary)}, tmp_path / "pickle.pth")
    for name in ("string.pth", "pickle.pth"):
        file = tmp_path / name
        arguments = [*photos, "--geometry", "dust3r-512", "--weights", file, "--out", tmp_path / "scene.ply"]
        assert outcome(["run", *map(str, arguments)]) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith(f"recon3d: error: {file}: ")
    assert not canary.exists() and not (tmp_path / "scene.ply").exists()


def test_an_interrupted_run_goes_on_with_the_networks_answer(photos, tmp_path, monkeypatch):
    from recon3d.pipeline import sources

    vggt(tmp_path)
    out = tmp_path / "scene.ply"
    arguments = ["run", *map(str, photos), "--geometry", "vggt-1b", "--weights", str(tmp_path), "--out", str(out), *QUICK]
    with monkeypatch.context() as broken:
        broken.setattr(sources, "in_photos", lambda *_: 1 / 0)
        assert outcome(arguments) == 1
    with monkeypatch.context() as unused:
        unused.setattr(sources, "answered", lambda *_: pytest.fail("the answer was kept"))
        assert outcome([*arguments, "--resume"]) == 0
    whole = tmp_path / "whole.ply"
    assert outcome([str(whole) if a == str(out) else a for a in arguments]) == 0
    assert out.read_bytes() == whole.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("source", ["mast3r", "vggt"])
def test_a_networks_own_matches_are_asked_for_and_told_where_sift_leaves_its_cameras(source, photos, tmp_path, monkeypatch):
    """Tiny weights predict nothing, and match nothing: both are tried, neither is kept, and the report says of whom it tells."""
    from recon3d.pipeline import bundle_adjustment

    folder = tmp_path / "weights"
    folder.mkdir()
    if source == "mast3r":
        mast3r(folder)
    else:
        case = shared("parity/vggt/cases/forward_2v_all_heads")
        (folder / "config.json").write_text(json.dumps(json.loads((case / "case.json").read_text())["config"]))
        save_file(load_file(case / "weights.safetensors"), folder / "model.safetensors")
    asked = []
    make = bundle_adjustment.network_matches
    monkeypatch.setattr(
        bundle_adjustment, "network_matches", lambda matches, *rest: (asked.append(matches), make(matches, *rest))[1]
    )
    row = {"mast3r": "mast3r-512", "vggt": "vggt-1b"}[source]
    out = tmp_path / "out"
    arguments = [*photos, "--geometry", row, "--weights", folder, "--out", out, *QUICK[:-1], "auto", "--quality", "preview"]
    assert outcome(["run", *map(str, arguments)]) == 0
    report = json.loads((out / "report.json").read_text())
    jsonschema.validate(report, json.loads((ROOT / "docs" / "report.schema.json").read_text()))
    of_adjustment = report["bundle_adjustment"]
    assert not of_adjustment["kept"] and of_adjustment["tracks"] in ("sift", source)
    assert "(SIFT)" in of_adjustment["why"] and f"({source})" in of_adjustment["why"]
    (matches,) = asked
    assert matches.source == source
