"""Splats in UTM through every format: their place survives where the format has one for it, and is told where not."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from plyfile import PlyData, PlyElement

from recon3d import load_scene, save
from recon3d.cli.main import outcome
from recon3d.core.splats import Splats
from recon3d.core.synthetic import Synthetic, arc_of_cameras, synthetic_gaussians
from recon3d.errors import InputError
from recon3d.io.cameras_json import write_cameras
from recon3d.io.ply import column_names, read_ply, write_ply
from recon3d.io.point_cloud import read_points, read_positions
from recon3d.io.splat_files import read_splats
from recon3d.pipeline.edits import Edits
from recon3d.pipeline.export import Coding, compared, export, export_points, opened
from recon3d.pipeline.info import info
from recon3d.progress import Progress

UTM = np.array([500000.123456, 0.0, 4650000.654321])
STEPS = {"ply": 1e-6, "spz": 1e-6, "glb": 1e-6, "sog": 1e-3}  # how far centres may move, in units of a scene of size 1


def near() -> Splats:
    return synthetic_gaussians(300, 2).splats()


def doubles(path: Path, text: bool = False) -> Path:
    """A PLY of 3DGS with positions in double precision, in UTM."""
    write_ply(path, near())
    rows = PlyData.read(str(path))["vertex"].data
    kind = [(name, "<f8" if name in "xyz" else "<f4") for name in column_names(8)]
    wide = np.empty(len(rows), kind)
    for name in column_names(8):
        wide[name] = rows[name]
    for i, name in enumerate("xyz"):
        wide[name] += UTM[i]
    PlyData([PlyElement.describe(wide, "vertex")], text=text).write(str(path))
    return path


@pytest.mark.parametrize("text", [False, True])
def test_doubles_of_a_ply_keep_their_place_and_the_rounding_is_told(tmp_path, text):
    notes: list[str] = []
    read = read_ply(doubles(tmp_path / "a.ply", text), notes.append)
    assert np.abs(read.positions - near().positions - UTM).max() < (1e-3 if text else 1e-6)  # plyfile writes few digits
    assert len(np.unique(read.positions[:, 2])) > 295
    if not text:
        assert len(notes) == 1 and "double precision are held about the origin (500000" in notes[0]
        assert "off by up to" in notes[0]


@pytest.mark.parametrize(
    ("suffix", "spz_axes"), [("ply", "rdf"), ("spz", "rdf"), ("spz", "rub"), ("glb", "rdf"), ("sog", "rdf")]
)
def test_a_format_with_a_place_for_the_origin_keeps_where_splats_stand(tmp_path, suffix, spz_axes):
    out, progress = tmp_path / f"b.{suffix}", Progress()
    report = export(doubles(tmp_path / "a.ply"), out, Edits(), Coding(spz_axes=spz_axes), True, False, progress)
    back = read_splats(out).splats
    assert back.origin.any() and report["check"]["ok"] and "off_by" not in report
    if suffix != "sog":  # which orders them along a curve
        assert np.abs(back.positions - near().positions - UTM).max() < STEPS[suffix]
    assert np.abs(back.positions.mean(0) - near().positions.mean(0) - UTM).max() < STEPS[suffix]
    assert any("its splats stand about the origin (500000.1, 0, 4650000.7), told by" in note for note in progress.notes)


@pytest.mark.parametrize(
    ("name", "coding"), [("b.splat", Coding()), ("b.compressed.ply", Coding()), ("b.spz", Coding(spz_version=3))]
)
def test_a_format_without_a_place_for_the_origin_says_how_far_off_its_splats_are(tmp_path, name, coding):
    progress = Progress()
    report = export(doubles(tmp_path / "a.ply"), tmp_path / name, Edits(), coding, True, False, progress)
    assert report["off_by"] == pytest.approx(np.linalg.norm(UTM), abs=2) and report["check"]["ok"]
    assert any("no place for the origin (500000" in n and "off by 4.677e+06 units" in n for n in progress.notes)


def test_the_check_compares_with_what_was_given(tmp_path):
    """A file whose splats stand half a unit aside is not the scene, though its own numbers are the same."""
    meant = read_ply(doubles(tmp_path / "a.ply"))
    for aside, ok in ((0.0, True), (0.5, False)):
        write_ply(tmp_path / "b.ply", replace(meant, origin=meant.origin + [aside, 0, 0]))
        assert compared(tmp_path / "b.ply", "ply", meant, (), Coding())["ok"] == ok


@pytest.mark.parametrize("suffix", ["ply", "glb"])
def test_a_point_cloud_stands_in_the_given_world(tmp_path, suffix):
    out = tmp_path / f"p.{suffix}"
    report = export_points(doubles(tmp_path / "a.ply"), out, Edits(), Coding(), True, False, Progress())
    points, _ = read_points(out)
    assert report["check"]["ok"] and np.abs(points - near().positions - UTM).max() < 1e-6
    if suffix == "ply":
        assert (read_positions(out) == points).all()


def test_a_scene_in_memory_is_saved_where_it_stands_or_not_at_all(tmp_path):
    scene = load_scene(doubles(tmp_path / "a.ply"))
    save(scene, tmp_path / "b.spz")
    assert np.abs(load_scene(tmp_path / "b.spz").splats().positions - near().positions - UTM).max() < 1e-6
    with pytest.raises(InputError, match="no place for the scene's origin"):
        save(scene, tmp_path / "b.splat")


def test_crops_and_transforms_speak_of_the_given_world(tmp_path):
    source = doubles(tmp_path / "a.ply")
    kept = opened(source, Edits(crop="500000.123456,0,4650000.654321,0.5"), Coding(), Progress()).splats
    assert len(kept) == int((np.linalg.norm(near().positions, axis=1) <= 0.5).sum()) > 0
    back = np.eye(4)
    back[:3, 3] = -UTM
    (tmp_path / "m.json").write_text(json.dumps(back.tolist()))
    at_zero = opened(source, Edits(transform=tmp_path / "m.json"), Coding(), Progress()).splats
    assert not at_zero.origin.any() and np.abs(at_zero.means - near().means).max() < 1e-6


def test_cameras_of_a_far_run_see_its_splats_and_the_bounds_differ(tmp_path, capsys):
    folder = tmp_path / "run"
    folder.mkdir()
    write_ply(folder / "scene.ply", near().placed(near().positions + UTM))
    far = arc_of_cameras(Synthetic())
    write_cameras(folder / "cameras.json", [f"{i}.jpg" for i in range(8)], far, origin=UTM.tolist())
    report = export(folder, tmp_path / "b.ply", Edits(floaters=True), Coding(), True, False, Progress())
    assert report["written"] > 250 and report["check"]["ok"]
    found = info(folder, Coding())
    assert found["low"][2] < found["high"][2] and found["low"][2] == pytest.approx(4650000 + near().positions[:, 2].min())
    assert outcome(["info", str(folder)]) == 0
    bounds = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("bounds"))
    low, high = bounds.removeprefix("bounds").split(" to ")
    assert all(a != b for a, b in zip(low.split("(")[1].split(","), high.split("(")[1].split(","), strict=True))
