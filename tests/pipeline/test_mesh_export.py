"""`recon3d export` to meshes: files that trimesh reads as what was meant, and one line for what cannot be."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recon3d.cli.main import outcome
from recon3d.core.mesh import Mesh
from recon3d.io.cameras_json import write_cameras
from recon3d.io.gltf import srgb_from_linear
from recon3d.io.mesh_files import read_by_trimesh, write_mesh
from recon3d.io.ply import write_ply
from recon3d.io.point_cloud import read_positions
from tests.reconstruction.meshing.spheres import BLUE, RED, ball_of_splats, cameras_all_round

pytest.importorskip("skimage", reason="needs the extra mesh")
trimesh = pytest.importorskip("trimesh", reason="needs the extra mesh")


def ball_folder(folder: Path) -> Path:
    folder.mkdir()
    write_ply(folder / "scene.ply", ball_of_splats().splats())
    write_cameras(folder / "cameras.json", [f"{i}.jpg" for i in range(24)], cameras_all_round())
    return folder


@pytest.mark.parametrize("suffix", [".obj", ".ply", ".glb"])
def test_a_ball_of_splats_becomes_a_mesh_on_it_in_its_colours(tmp_path, suffix, capsys):
    folder, out = ball_folder(tmp_path / "run"), tmp_path / f"ball{suffix}"
    assert outcome(["export", str(folder), str(out), "--mesh", "--mesh-resolution", "64", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    check = report["check"]
    assert check["ok"] and check["covered"] > 0.95 and check["within_two_voxels"] > 0.9
    mesh = read_by_trimesh(out)
    assert (len(mesh.vertices), len(mesh.faces)) == (report["vertices"], report["faces"])
    assert np.percentile(np.abs(np.linalg.norm(mesh.vertices, axis=1) - 1), 95) < 0.05
    corner = mesh.vertices[mesh.faces]
    outward = (np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]) * corner[:, 0]).sum(1)
    assert (outward > 0).mean() > 0.98
    shown = srgb_from_linear(mesh.colors / 255) if suffix == ".glb" else mesh.colors / 255
    red, blue = shown[mesh.vertices[:, 0] > 0.2], shown[mesh.vertices[:, 0] < -0.2]
    np.testing.assert_allclose(np.median(red, 0), RED, atol=0.06)
    np.testing.assert_allclose(np.median(blue, 0), BLUE, atol=0.06)


def test_a_collision_mesh_is_watertight_for_trimesh_and_a_splat_file_takes_given_cameras(tmp_path, capsys):
    folder = ball_folder(tmp_path / "run")
    words = ["export", str(folder / "scene.ply"), str(tmp_path / "c.glb"), "--collision", "--json"]
    assert outcome([*words, "--cameras", str(folder / "cameras.json")]) == 0
    report = json.loads(capsys.readouterr().out)
    found = trimesh.load_mesh(tmp_path / "c.glb")
    assert found.is_watertight and found.volume > 0 and report["closed"] and len(found.faces) <= 6000


@pytest.mark.parametrize("suffix", [".obj", ".ply", ".glb"])
def test_a_mesh_far_from_zero_keeps_its_place_and_a_glb_has_y_up(tmp_path, suffix):
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]) + np.array([4_650_000.25, 12.5, 720_000.125])
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.int32)
    mesh = Mesh(vertices, faces, np.arange(12, dtype=np.uint8).reshape(4, 3) * 20)
    write_mesh(tmp_path / f"a{suffix}", mesh)
    found = read_by_trimesh(tmp_path / f"a{suffix}")
    np.testing.assert_allclose(found.vertices, vertices, atol=1e-4)
    assert (found.faces == faces).all()
    if suffix == ".ply":
        np.testing.assert_array_equal(read_positions(tmp_path / "a.ply"), vertices)
    near = replace(mesh, vertices=(vertices - vertices[0]).astype(np.float32))
    write_mesh(tmp_path / f"b{suffix}", near)
    raw = trimesh.load_mesh(tmp_path / f"b{suffix}", process=False).vertices
    np.testing.assert_array_equal(raw[2], (0, -1, 0) if suffix == ".glb" else (0, 1, 0))  # ours is y down


def test_what_cannot_be_meshed_is_refused_in_one_line(tmp_path, capsys, monkeypatch):
    folder = ball_folder(tmp_path / "run")
    away = cameras_all_round(4)
    away.camera_from_world[:, 2] *= -1  # looking the other way
    away.camera_from_world[:, 1] *= -1
    write_cameras(tmp_path / "away.json", [f"{i}.jpg" for i in range(4)], away)
    ply, out = folder / "scene.ply", tmp_path / "b.obj"
    wrong = {
        "--cameras": [ply, out], "--mesh-resolution": [folder, out, "--mesh-resolution", "8"],
        "is not from 16 to 1024": [folder, out, "--mesh-resolution", "5000"],
        "is not from 16 to 128": [folder, out, "--collision", "--mesh-resolution", "512"],
        "see no surface": [ply, out, "--cameras", tmp_path / "away.json"],
        "no kind of mesh": [folder, tmp_path / "b.sog", "--mesh"], "no point cloud": [folder, out, "--points"],
        "is no mesh": [folder, tmp_path / "b.ply", "--mesh-resolution", "64"],
        "no splat is left": [folder, out, "--crop", "9,9,9,1"],
        "there is no such file": [tmp_path / "none", out],
    }  # fmt: skip
    for what, arguments in wrong.items():
        assert outcome(["export", *map(str, arguments)]) == 2
        line = capsys.readouterr().err.strip().splitlines()[-1]
        assert line.startswith("recon3d: error: ") and what in line
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "trimesh" else found(name, *rest))
    assert outcome(["export", str(folder), str(out)]) == 2
    assert "recon3d-toolkit[mesh]" in capsys.readouterr().err
    assert not out.exists() and not list(tmp_path.glob(".b*"))
