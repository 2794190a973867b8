"""Heads from the command line: tiny checkpoints in their published layouts, on real or rendered photos, to files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch

from recon3d.io.ply import read_ply
from recon3d.models.ilrm.config import IlrmConfig
from recon3d.models.ilrm.network import Ilrm
from recon3d.reconstruction.heads import ilrm
from tests.models.tiny import TINY_DA3
from tests.run.test_networks import ROOT, outcome, vggt

TINY = {"re10k": IlrmConfig("re10k", 1, 8, 32, 16, 2), "wide": IlrmConfig("wide", 2, 8, 32, 16, 2)}
SAMPLE = ROOT / "datasets" / "sample"
SMALL = ["--max-size", "128", "--max-images", "4", "--seed", "0"]


@pytest.fixture(scope="module")
def posed(tmp_path_factory) -> str:
    """The folder of a run with the sample's own cameras: what starts from it matches nothing again."""
    out = tmp_path_factory.mktemp("posed") / "run"
    arguments = [str(SAMPLE / "images"), "--cameras", str(SAMPLE / "cameras.json"), "--max-size", "128", "--refine", "0"]
    assert outcome(["run", *arguments, "--seed", "0", "--out", str(out)]) == 0
    return str(out)


def report_of(out: Path, arguments: list[str]) -> dict:
    assert outcome(["run", *arguments, "--out", str(out)]) == 0
    report = json.loads(out.with_name(out.stem + ".report.json").read_text())
    jsonschema.validate(report, json.loads((ROOT / "docs" / "report.schema.json").read_text()))
    assert report["export"]["psnr"] >= 80
    assert len(read_ply(out).means) == report["splats"]["count"]
    return report


def published_names(variant: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Our names back to those of the files."""
    kinds = {
        "re10k": ("encoder.scaler.input_{}.weight", "encoder.scaler.support_{}.weight", ("tokenizer", "layernorm")),
        "wide": ("viewpoint_tokenizer.{}.weight", "image_tokenizer.{}.weight", ("1", "2")),
    }
    scene, image, (first, second) = kinds[variant]
    start = "encoder.scaler." if variant == "re10k" else ""
    decoder = f"{start}token_decoder" if variant == "re10k" else "viewpoint_token_decoder"
    names = {
        "scene_tokens.linear.weight": scene.format(first), "scene_tokens.norm.weight": scene.format(second),
        "image_tokens.linear.weight": image.format(first), "image_tokens.norm.weight": image.format(second),
        "decoder.norm.weight": f"{decoder}.0.weight", "decoder.linear.weight": f"{decoder}.1.weight",
    }  # fmt: skip
    return {names.get(name, f"{start}processor.{name}"): tensor for name, tensor in tensors.items()}


@pytest.mark.parametrize(("row", "variant", "wrapper"), [
    ("ilrm-re10k-2v", "re10k", "state_dict"), ("ilrm-dl3dv-16v", "wide", "model"),
])  # fmt: skip
def test_ilrm_runs_from_its_published_layout_with_given_cameras(
    row, variant, wrapper, posed, tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.setitem(ilrm.SIZES, "wide", (96, 128))  # the published size takes ten seconds
    torch.manual_seed(0)
    file = tmp_path / "file.ckpt"
    torch.save({wrapper: published_names(variant, dict(Ilrm(TINY[variant]).state_dict()))}, file)
    arguments = [posed, *SMALL, "--splats", row, "--splats-weights", str(file), "--refine", "0", "--max-gaussians", "3000"]
    report = report_of(tmp_path / "scene.ply", arguments)
    splats = report["splats"]
    assert splats["row"] == row and splats["count"] <= 3000 and report["world"]["frame"] == "given"
    assert splats["budget"]["before"] > 3000 and splats["budget"]["after"] == splats["count"]
    assert len(splats["weights"]["sha256"]) == 64 and "random_weights" not in report
    assert any("trained on 256 to 640" in clause or "trained on 960" in clause for clause in splats["outside"])
    assert splats["windows"] == (3 if variant == "re10k" else 1)
    said = capsys.readouterr().err
    assert "no commercial use" in said and "expect less than its published figures" in said


def test_without_refine_ilrm_takes_the_steps_of_its_authors(posed, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(ilrm.SIZES, "wide", (96, 128))
    torch.save({"model": published_names("wide", dict(Ilrm(TINY["wide"]).state_dict()))}, tmp_path / "file.pt")
    arguments = [posed, *SMALL, "--splats", "ilrm-dl3dv-16v", "--splats-weights", str(tmp_path / "file.pt")]
    report = report_of(tmp_path / "scene.ply", arguments)
    assert report["refinement"]["steps"] == 10 and report["refinement"]["way"].startswith("as published")


def test_a_file_of_another_network_is_refused_and_explained(posed, tmp_path, capsys) -> None:
    tensors = published_names("wide", dict(Ilrm(TINY["wide"]).state_dict()))
    del tensors["processor.blocks.0.read_cross.k.weight"]
    torch.save(tensors, tmp_path / "file.pt")
    out = tmp_path / "scene.ply"
    arguments = [posed, *SMALL, "--splats", "ilrm-dl3dv-16v", "--splats-weights", str(tmp_path / "file.pt")]
    assert outcome(["run", *arguments, "--out", str(out)]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "nothing fills blocks.0.read_cross.k.weight" in error and not out.exists()


def test_the_joint_network_takes_a_geometry_networks_features_and_its_own_encoder_after_a_crash(
    tmp_path, monkeypatch
) -> None:
    """Features are never kept in the work folder."""
    from recon3d.pipeline import splats
    from recon3d.reconstruction.heads import joint

    vggt(tmp_path)
    photos = sorted(str(p) for p in (ROOT / "datasets" / "sample" / "images").iterdir())[:3]
    arguments = [*photos, "--geometry", "vggt-1b", "--weights", str(tmp_path), "--splats", "joint", "--splats-weights", "random",
                 "--refine", "0"]  # fmt: skip
    widths = []
    real = joint.features_of

    def seen(network, geometry, device):
        found = real(network, geometry, device)
        widths.append(None if found is None else found.shape[2])
        return found

    monkeypatch.setattr(joint, "features_of", seen)
    with monkeypatch.context() as broken:
        broken.setattr(splats, "in_windows", lambda *_: 1 / 0)
        assert outcome(["run", *arguments, *SMALL, "--out", str(tmp_path / "a.ply")]) == 1
    report = report_of(tmp_path / "a.ply", [*arguments, *SMALL, "--resume"])
    assert report["stages"][1]["resumed"] and report["random_weights"] is True
    report = report_of(tmp_path / "b.ply", [*arguments, *SMALL])
    assert report["splats"]["anchors"] and report["splats"]["windows"] == 1
    assert widths[0] is None and widths[1] is not None


def test_the_joint_network_makes_a_scene_of_sparse_points_and_stereo(posed, tmp_path) -> None:
    """Untrained it is lift on the anchors: the given cameras see the still life."""
    arguments = [posed, "--max-size", "160", "--seed", "0", "--splats", "joint", "--anchors", "3", "--refine", "0"]
    report = report_of(tmp_path / "scene.ply", [*arguments, "--holdout", "8:4"])
    assert len(report["splats"]["anchors"]) == 3 and "04.jpg" not in report["splats"]["anchors"]
    assert report["holdout"]["mean"]["psnr"] > 14


def test_da3s_head_runs_with_the_cameras_that_are_given(posed, tmp_path, monkeypatch) -> None:
    """The published size is too large for a test: the row is given a tiny one."""
    from recon3d.models.da3 import published

    monkeypatch.setitem(published.WEIGHTS, "da3-giant", replace(published.WEIGHTS["da3-giant"], config=TINY_DA3))
    arguments = [posed, *SMALL, "--splats", "da3-giant", "--splats-weights", "random", "--refine", "0"]
    report = report_of(tmp_path / "scene.ply", [*arguments, "--max-gaussians", "2000"])
    assert 0 < report["splats"]["count"] <= 2000 and report["splats"]["weights"]["random"] is True
    assert np.isfinite(read_ply(tmp_path / "scene.ply").means).all()


@pytest.mark.parametrize("splats", ["points", "joint"])
def test_a_budget_in_megabytes_is_met_and_its_price_is_told(splats: str, posed, tmp_path) -> None:
    arguments = [posed, "--max-size", "128", "--seed", "0", "--splats", splats, "--refine", "0", "--max-file-mb", "0.1"]
    report = report_of(tmp_path / "scene.ply", arguments)
    assert (tmp_path / "scene.ply").stat().st_size <= 100_000
    assert report["splats"]["budget"]["psnr_after"] < report["splats"]["budget"]["psnr_before"] + 3
