"""The main job in windows: from photos to a whole scene, with what the report says of joins and loops."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from recon3d.cli.main import outcome
from recon3d.io.ply import read_ply
from recon3d.pipeline import sources
from tests.shared_folder import shared

ROOT = Path(__file__).resolve().parents[2]
QUICK = ["--max-size", "96", "--refine", "0", "--seed", "0", "--geometry", "recon3d-small"]


@pytest.mark.slow
def test_a_run_in_windows_is_whole_and_reports_them(tmp_path, monkeypatch):
    photos = sorted(shared("data/fountain-P11/images").iterdir())
    seen: list[int] = []
    in_windows = sources.in_windows

    def counted(ask, *given):
        def asked(pictures, how):
            pictures = list(pictures)
            seen.append(len(pictures))
            assert not how.once
            return ask(pictures, how)

        return in_windows(asked, *given)

    monkeypatch.setattr(sources, "in_windows", counted)
    out = tmp_path / "scene.ply"
    assert outcome(["run", *map(str, photos), "--window", "6", "--out", str(out), *QUICK]) == 0
    assert max(seen) == 6 and seen.count(1) == 11  # each alone for how it looks, then windows
    report = json.loads((tmp_path / "scene.report.json").read_text())
    jsonschema.validate(report, json.loads((ROOT / "docs" / "report.schema.json").read_text()))
    windows = report["geometry"]["network"]["windows"]
    assert (windows["count"], windows["size"], windows["overlap"], windows["order"]) == (3, 6, 2, "as given")
    assert [join["windows"] for join in windows["joins"]] == [[0, 1], [0, 2], [1, 2]]
    assert windows["joins"][0]["shared"] == [photo.name for photo in photos[4:6]]
    undetermined = [j for j in windows["joins"] if "why" in j and j["windows"] != [0, 2]]  # of neighbours
    assert len([note for note in report["notes"] if "not told how they fit" in note]) == len(undetermined)
    assert report["input"]["used"] == [photo.name for photo in photos] and report["geometry"]["registered"] == 11
    assert len(read_ply(out).means) == report["splats"]["count"] > 1000


def test_a_small_network_takes_no_more_photos_than_it_was_trained_with(tmp_path):
    photos = sorted(shared("data/herz-jesu-P8/images").iterdir())
    out = tmp_path / "scene.ply"
    assert outcome(["run", *map(str, photos), "--out", str(out), *QUICK]) == 0
    report = json.loads((tmp_path / "scene.report.json").read_text())
    assert report["geometry"]["network"]["windows"]["size"] == 4
    (note,) = (note for note in report["notes"] if "windows of 4" in note)
    assert "more than 4 in one pass come out worse" in note and np.isfinite(read_ply(out).means).all()


def test_more_overlap_than_a_window_has_is_one_line(tmp_path, capsys):
    photos = sorted(shared("data/herz-jesu-P8/images").iterdir())
    arguments = ["run", *map(str, photos), "--window-overlap", "5", "--out", str(tmp_path / "scene.ply"), *QUICK]
    assert outcome(arguments) == 2
    assert "--window-overlap: windows of 4 photos" in capsys.readouterr().err.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []
