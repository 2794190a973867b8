"""Exports: edits against closed forms, the check against a file that was spoiled, moved worlds that look the same."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from recon3d.cli.main import outcome
from recon3d.core.gaussians import Gaussians
from recon3d.core.outliers import outliers_told, outlying
from recon3d.core.splats import Splats
from recon3d.core.synthetic import Synthetic, arc_of_cameras, synthetic_gaussians
from recon3d.errors import InputError
from recon3d.io.cameras_json import read_cameras, write_cameras
from recon3d.io.ply import read_ply, write_ply
from recon3d.io.point_cloud import read_points
from recon3d.io.splat_files import FORMATS, format_of, function, read_splats
from recon3d.pipeline.edits import Edits, edited, moved_camera, similarity
from recon3d.pipeline.export import Coding, export, export_points
from recon3d.pipeline.parity import psnr_between, ring, small_cameras
from recon3d.progress import Progress
from recon3d.reconstruction.editing import seen_well, weightiest
from tests.shared_folder import shared


def splats(count: int = 300, degree: int = 2) -> Splats:
    return synthetic_gaussians(count, degree).splats()


def run_folder(folder: Path) -> Path:
    """What an export needs of a run's folder."""
    folder.mkdir()
    write_ply(folder / "scene.ply", splats())
    write_cameras(folder / "cameras.json", [f"{i}.jpg" for i in range(8)], arc_of_cameras(Synthetic()))
    return folder


def test_every_row_of_the_table_resolves():
    for row in FORMATS.values():
        assert callable(function(row.read)) and (row.write is None or callable(function(row.write)))


@pytest.mark.parametrize("suffix", [row.suffix for row in FORMATS.values() if row.write])
def test_an_export_is_read_back_and_compared_and_keeps_what_its_format_promises(tmp_path, suffix):
    folder = run_folder(tmp_path / "run")
    report = export(folder, tmp_path / f"a{suffix}", Edits(), Coding(), True, False, Progress())
    assert report["read"] == report["written"] == 300 and report["check"]["cameras"] == 8
    assert report["check"]["ok"] and report["check"]["psnr"] >= report["check"]["least"] >= 35
    assert report["bytes"] == (tmp_path / f"a{suffix}").stat().st_size
    assert FORMATS[format_of(tmp_path / f"a{suffix}")].suffix == suffix


@pytest.mark.parametrize("flags", [["--spz-version", "3"], ["--spz-axes", "rub"], ["--spz-sh-bits", "5"]])
def test_what_is_asked_of_an_spz_is_refused_for_another_file(tmp_path, capfd, flags):
    folder = run_folder(tmp_path / "run")
    assert outcome(["export", str(folder), str(tmp_path / "a.sog"), *flags]) == 2
    assert f"recon3d: error: {flags[0]}: {tmp_path / 'a.sog'} is no SPZ" in capfd.readouterr().err
    assert not (tmp_path / "a.sog").exists()
    assert outcome(["export", str(folder), str(tmp_path / "a.spz"), "--no-check", *flags]) == 0


def test_a_spoiled_scene_falls_clearly_under_what_is_asked():
    good = splats()
    bad = replace(good, opacities=good.opacities * 0.5 + 0.25)
    assert psnr_between(good, good, ring(good)) == 150
    assert psnr_between(good, bad, ring(good)) < min(row.least for row in FORMATS.values() if row.write)


def test_edits_leave_out_what_they_say_and_notes_count_it(tmp_path):
    scene, notes = splats(), []
    progress = Progress(lambda event: notes.append(event.text) if event.kind == "note" else None)
    left, _ = edited(scene, (), Edits(prune=0.3, crop="-1,-1,-1,0,1,1", max_gaussians=20, sh_degree=1), progress)
    assert len(left) == 20 and left.degree == 1
    assert left.opacities.min() >= 0.3 and left.means[:, 0].max() <= 0
    gone = int((scene.opacities < 0.3).sum())
    assert notes[0] == f"{gone} of 300 splats of less opacity than 0.3 are left out" and len(notes) == 3
    ball, _ = edited(scene, (), Edits(crop="0.1,0,0,0.5"), Progress())
    assert np.linalg.norm(ball.means - [0.1, 0, 0], axis=1).max() <= 0.5
    assert len(ball) == (np.linalg.norm(scene.means - [0.1, 0, 0], axis=1) <= 0.5).sum()


def test_the_weightiest_splats_cover_most():
    scene = splats()
    weight = scene.opacities * np.sort(scene.scales, 1)[:, 1:].prod(1)
    kept = weightiest(scene, 50)
    assert kept.sum() == 50 and weight[kept].min() >= weight[~kept].max()


def test_floaters_are_what_stands_before_a_lens_or_outside_of_the_pictures(tmp_path):
    cameras = read_cameras(run_folder(tmp_path / "run") / "cameras.json")
    scene = splats(4, 0)
    pose = cameras[3].camera_from_world
    assert pose is not None
    center = -pose[:3, :3].T @ pose[:3, 3]
    before = center + 0.02 * pose[2, :3]
    far_aside = np.array([0, 50.0, 0])
    means = np.array([[0, 0, 0], before, far_aside, [0.2, 0, 0.1]], np.float32)
    found = seen_well(replace(scene, means=means, scales=np.full((4, 3), 0.05, np.float32)), cameras)
    assert found.tolist() == [True, False, False, True]


def test_a_moved_world_with_moved_cameras_shows_the_same_pictures(tmp_path):
    cameras = read_cameras(run_folder(tmp_path / "run") / "cameras.json")
    turn = Rotation.random(random_state=1).as_matrix()
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = 1.5 * turn, (1, -2, 3)
    (tmp_path / "m.json").write_text(json.dumps(matrix.tolist()))
    edits = Edits(transform=tmp_path / "m.json", scale=2.0)
    found_turn, scale, shift = similarity(edits)
    np.testing.assert_allclose(found_turn, turn, atol=1e-12)
    assert scale == pytest.approx(3) and shift.tolist() == [2, -4, 6]
    moved, after = edited(splats(), cameras, edits, Progress())
    a = Gaussians.of(splats())
    from recon3d.rendering.render import render

    before = render(a, small_cameras(cameras)[[2]]).rgb
    same = render(Gaussians.of(moved), small_cameras(after)[[2]]).rgb
    assert float((before - same).abs().max()) < 2e-3
    unmoved = moved_camera(moved_camera(cameras[0], turn, 2.0, shift), turn.T, 0.5, -turn.T @ shift / 2)
    np.testing.assert_allclose(unmoved.camera_from_world, cameras[0].camera_from_world, atol=1e-12)


def test_opacities_without_the_logit_are_mended_and_said():
    path = shared("formats/broken_opacity_linear.ply")
    mended, kept = read_splats(path), read_splats(path, opacity_as_is=True)
    assert "without the logit" in mended.notes[0] and not kept.notes
    assert kept.splats.opacities.min() >= 0.5 and kept.splats.opacities.max() <= 0.7311
    logits = np.log(kept.splats.opacities.astype(float) / (1 - kept.splats.opacities.astype(float)))
    np.testing.assert_allclose(mended.splats.opacities, logits.clip(1e-6, 1 - 1e-6), atol=1e-6)
    for name in ("random_degree0", "random_degree3", "mode_mip"):
        assert not any("logit" in note for note in read_splats(shared(f"formats/{name}.ply")).notes)


def test_the_commands_answer_in_tables_and_json_and_refuse_in_one_line(tmp_path, capsys):
    run_folder(tmp_path / "run")
    assert outcome(["export", str(tmp_path / "run"), str(tmp_path / "a.ply"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["check"]["ok"] is True
    assert outcome(["info", str(tmp_path / "a.ply"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["splats"], found["degree"], found["format"]) == (300, 2, "ply")
    assert outcome(["info", str(tmp_path / "run")]) == 0 and "cameras" in capsys.readouterr().out
    wrong = [
        ["export", tmp_path / "a.ply", tmp_path / "b.xyz"], ["export", tmp_path / "none.ply", tmp_path / "b.ply"],
        ["export", tmp_path / "a.ply", tmp_path / "b.ply", "--crop", "1,2"], ["export", tmp_path / "run", tmp_path / "a.ply"],
        ["export", tmp_path / "a.ply", tmp_path / "b.ply", "--floaters"],
        ["export", tmp_path / "a.ply", tmp_path / "b.ply", "--prune", "1", "--crop", "9,9,9,1"],
        ["export", tmp_path / "a.ply", tmp_path / "b.ply", "--scale", "0"], ["info", tmp_path],
    ]  # fmt: skip
    for arguments in wrong:
        assert outcome([str(a) for a in arguments]) == 2
        assert capsys.readouterr().err.strip().splitlines()[-1].startswith("recon3d: error: ")
        assert not (tmp_path / "b.ply").exists()


def with_outlier(at: float) -> Splats:
    scene = splats()
    scene.means[17] = at, 0, 0
    return scene


def test_an_outlier_is_named_with_the_crop_that_leaves_it_out_and_what_it_costs(tmp_path, capsys):
    write_ply(tmp_path / "a.ply", with_outlier(1e6))
    words = ["export", str(tmp_path / "a.ply"), str(tmp_path / "a.spz"), "--json", "--overwrite"]
    assert outcome(words) == 0
    report = json.loads(capsys.readouterr().out)
    named, short = report["warnings"]
    assert "splat 17 at (1e+06, 0, 0)" in named and "less than the 45 dB" in short and report["check"]["ok"] is False
    crop = next(word for word in named.split() if word.startswith("--crop="))
    assert outcome([*words, crop]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["written"] == 299 and report["check"]["ok"] and len(report["warnings"]) == 1
    assert outcome(["info", str(tmp_path / "a.ply")]) == 0 and "splat 17" in capsys.readouterr().out
    write_ply(tmp_path / "b.ply", with_outlier(2e7))
    assert outcome(["export", str(tmp_path / "b.ply"), str(tmp_path / "b.spz")]) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith(f"recon3d: error: {tmp_path / 'b.spz'}: splat 17 lies at (2e+07, 0, 0)") and "--crop" in line


def test_floaters_are_outliers_too_even_where_cameras_see_them(tmp_path):
    folder = run_folder(tmp_path / "run")
    cameras = read_cameras(folder / "cameras.json")
    pose = cameras[3].camera_from_world
    assert pose is not None
    scene = splats()
    scene.means[17] = 1e6 * pose[2, :3]
    left, _ = edited(scene, cameras, Edits(floaters=True), Progress())
    assert np.abs(left.means).max() < 100 and len(left) > 250


def test_no_scene_whose_backdrop_lies_ten_times_as_far_has_outliers():
    scene = splats()
    scene.means[:40] *= 10 / np.linalg.norm(scene.means[:40], axis=1, keepdims=True)
    assert outliers_told(scene.means) is None and not outlying(scene.means[:0]).any()


def test_a_matrix_that_shears_is_refused(tmp_path):
    (tmp_path / "m.json").write_text("[[1, 0.2, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]")
    with pytest.raises(InputError, match="shears"):
        similarity(Edits(transform=tmp_path / "m.json"))
    (tmp_path / "m.json").write_text('{"a": 1}')
    with pytest.raises(InputError, match="4x4"):
        similarity(Edits(transform=tmp_path / "m.json"))


def test_what_is_written_without_a_check_is_as_it_was(tmp_path):
    report = export(run_folder(tmp_path / "run"), tmp_path / "a.ply", Edits(), Coding(), False, False, Progress())
    back = read_ply(tmp_path / "a.ply")
    assert "check" not in report
    np.testing.assert_array_equal(back.means, splats().means)
    np.testing.assert_array_equal(back.sh, splats().sh)
    np.testing.assert_allclose(back.opacities, splats().opacities, rtol=1e-5)


def test_a_format_without_harmonics_is_held_against_the_scene_without_them_and_tells_the_whole_loss(tmp_path):
    folder = run_folder(tmp_path / "run")
    check = export(folder, tmp_path / "a.splat", Edits(), Coding(), True, False, Progress())["check"]
    cameras = small_cameras(read_cameras(folder / "cameras.json"))
    back = read_splats(tmp_path / "a.splat").splats
    assert check["psnr_of_full"] == round(psnr_between(splats(), back, cameras), 2) < check["psnr"] - 3


@pytest.mark.parametrize("suffix", [".ply", ".glb"])
def test_a_point_cloud_is_read_back_and_follows_the_edits(tmp_path, suffix):
    folder, out = run_folder(tmp_path / "run"), tmp_path / f"points{suffix}"
    report = export_points(folder, out, Edits(prune=0.3, scale=2.0), Coding(), True, False, Progress())
    kept = splats().opacities >= 0.3
    assert report["written"] == kept.sum() < report["read"] == 300 and report["check"] == {"moved": 0.0, "ok": True}
    np.testing.assert_allclose(read_points(out)[0], 2 * splats().means[kept], rtol=1e-6)
    with pytest.raises(InputError):
        export_points(folder, tmp_path / "points.sog", Edits(), Coding(), True, False, Progress())
