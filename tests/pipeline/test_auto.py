"""`--geometry auto` where COLMAP gives no cameras: a network's, if matches that it has not seen agree with them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from recon3d.models.weights import table
from recon3d.pipeline import sources
from recon3d.sfm import mapping
from recon3d.sfm.attempts import Attempt, Guess
from recon3d.sfm.settings import DEFAULT
from tests.run.test_networks import ROOT, outcome

SAMPLE = ROOT / "datasets" / "sample"
IMAGES = json.loads((SAMPLE / "cameras.json").read_text())["images"]
TRUTH = {e["name"]: np.vstack([e["camera_from_world"], [0, 0, 0, 1]]) for e in IMAGES}
PHOTOS = sorted(str(p) for p in (SAMPLE / "images").iterdir())[3:7]


@pytest.fixture
def refused(monkeypatch):
    """COLMAP's mapper finds nothing, whatever it is set to."""
    monkeypatch.setattr(mapping, "try_in_turn", lambda *_: [Attempt(DEFAULT, None, None, "nothing was found")])


def guess_of(views, turn: float) -> Guess:
    """The true cameras, every second one turned about its axis (degrees)."""
    cameras = np.stack([TRUTH[name] for name in views.names])
    angle = np.radians(turn)
    cameras[::2] = np.array([[np.cos(angle), -np.sin(angle), 0, 0], [np.sin(angle), np.cos(angle), 0, 0], [0, 0, 1, 0],
                             [0, 0, 0, 1]]) @ cameras[::2]  # fmt: skip
    return Guess("da3-base", cameras, np.full(len(cameras), 0.9))


def run(tmp_path) -> int:
    return outcome(["run", *PHOTOS, "--quality", "preview", "--refine", "0", "--seed", "0", "--out", str(tmp_path / "a.ply")])


def test_a_networks_cameras_carry_the_scene_where_they_pass_the_test(refused, monkeypatch, tmp_path):
    monkeypatch.setattr(sources, "guessed", lambda views, asked: guess_of(views, 4.0))
    assert run(tmp_path) == 0
    told = json.loads((tmp_path / "a.report.json").read_text())["geometry"]
    assert told["settings"] == "da3-base" and told["registered"] == 4 and "nothing was found" in told["why"]
    assert told["acceptance"]["measured"]["agreement"] > 0.9 and told["reprojection_px"] < 1


def test_cameras_that_matches_contradict_are_refused_with_both_reasons(refused, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sources, "guessed", lambda views, asked: guess_of(views, 150.0))
    assert run(tmp_path) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "nothing was found" in error and "with da3-base settings" in error and not (tmp_path / "a.ply").exists()


def test_the_network_that_is_asked_is_the_best_whose_weights_are_here(monkeypatch):
    rows = table()
    here = [rows["da3-small"], rows["recon3d-small"]]
    asked_for = []
    monkeypatch.setattr(sources.checkpoints, "cached", lambda row: True if row in here else None)
    monkeypatch.setattr(sources.checkpoints, "checkpoint", lambda key, *_: asked_for.append(key))
    monkeypatch.setattr(sources, "answered", lambda *_: 1 / 0)
    views = type("Views", (), {"sources": ()})
    with pytest.raises(ZeroDivisionError):
        sources.guessed(views, type("Asked", (), {"progress": None}))  # type: ignore[arg-type]
    assert asked_for == ["da3-small"]
