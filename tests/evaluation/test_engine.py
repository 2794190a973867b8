"""Evaluations carried out on procedural scenes, whose truth is known, by predictions that are right or wrong in known ways."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from recon3d.cli.main import outcome
from recon3d.data.written import scenes, write_folders
from recon3d.errors import InputError
from recon3d.evaluation import engine, measuring, methods
from recon3d.evaluation.engine import Evaluation, evaluate
from recon3d.evaluation.records import read_records, record_path, write_record
from recon3d.evaluation.report import write_report
from recon3d.metrics.image import psnr
from recon3d.models.weights import table
from recon3d.pipeline.shards import Shard
from recon3d.progress import Progress

SIZE = (48, 64)
VIEWS = 10
HELD = (4,)  # of 8:4


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, Path]:
    """A data set of two scenes, and what a program that knows everything would predict of them."""
    root = tmp_path_factory.mktemp("evaluated")
    write_folders(scenes(2, VIEWS, SIZE, 5, 1), root / "truth")
    for scene in sorted((root / "truth").iterdir()):
        right = root / "right" / scene.name
        shutil.copytree(scene / "depth", right / "depth")
        shutil.copytree(scene / "images", right / "renders")
        shutil.copy(scene / "cameras.json", right / "cameras.json")
    return root / "truth", root / "right"


def asked(made: tuple[Path, Path], out: Path, task="poses", **words) -> Evaluation:
    return Evaluation(task, made[0], out, predictions=(("oracle", made[1]),), views=(3, None), size="64", **words)


def records(found: Evaluation):
    evaluate(found, Progress())
    return read_records(found.out)


def test_what_is_right_gets_the_best_figures(made, tmp_path):
    poses = records(asked(made, tmp_path / "poses"))
    assert [(r.scene, r.views) for r in poses] == [("000000", 3), ("000000", 10), ("000001", 3), ("000001", 10)]
    assert all(r.status == "ok" and r.registered == r.total == r.views for r in poses)
    assert all(r.figures["auc_5"] == 1 and r.figures["ate"] < 1e-6 for r in poses)
    depth = records(asked(made, tmp_path / "depth", "depth"))
    assert all(r.figures["abs_rel"] < 1e-6 and r.figures["coverage"] == 1 for r in depth)
    views = records(asked(made, tmp_path / "nvs", "nvs"))
    assert all(r.figures["psnr"] == 100 and "lpips" in r.unavailable for r in views)
    assert {r.views for r in views} == {3, 9} and all(len(r.of_views) == 1 for r in views)
    shown = views[0].pictures[0]
    assert shown.view == "04.png" and all((tmp_path / "nvs" / p).exists() for p in (shown.truth, shown.render, shown.error))


def test_cameras_in_another_world_are_as_good_and_wrong_ones_are_wrong_by_as_much(made, tmp_path):
    """A world turned, scaled and moved; and one view of three turned by 10 degrees."""
    entries = json.loads((made[0] / "000000" / "cameras.json").read_text())
    wrong = tmp_path / "other" / "000000@3"
    wrong.mkdir(parents=True)
    turn = np.array([[0, 0, 1.0], [1, 0, 0], [0, 1, 0]])
    angle = np.radians(10)
    off = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    for image in entries["images"]:
        pose = np.array(image["camera_from_world"])
        rotation, translation = pose[:, :3] @ turn, 2.5 * pose[:, 3]
        if image["name"].startswith("00"):
            rotation, translation = off @ rotation, off @ translation  # about its own centre
        image["camera_from_world"] = np.c_[rotation, translation].tolist()
    (wrong / "cameras.json").write_text(json.dumps(entries))
    found = records(replace(asked(made, tmp_path / "out"), predictions=(("turned", tmp_path / "other"),)))
    by = {(r.scene, r.views): r for r in found}
    three = by["000000", 3]
    assert three.pair_errors is not None
    np.testing.assert_allclose(sorted(three.pair_errors.rotation), [0, 10, 10], atol=1e-5)
    assert three.figures["ate"] < 1e-6  # centres are right
    assert by["000000", 10].status == "failed" and by["000000", 10].why == f"no prediction in {tmp_path / 'other'}"


def test_the_nearest_photo_is_what_it_says(made, tmp_path):
    found = records(Evaluation("nvs", made[0], tmp_path, methods=("nearest photo",), views=(3,), size="64"))
    truth = made[0] / "000001"
    cameras = json.loads((truth / "cameras.json").read_text())["images"]
    centers = [-np.array(c["camera_from_world"])[:, :3].T @ np.array(c["camera_from_world"])[:, 3] for c in cameras]
    nearest = min((0, 5, 9), key=lambda i: np.linalg.norm(centers[i] - centers[HELD[0]]))  # evenly among the others
    a, b = (torch.from_numpy(np.array(Image.open(truth / "images" / f"{i:02d}.png"))).float() / 255 for i in (nearest, HELD[0]))
    assert found[1].figures["psnr_aligned"] == found[1].figures["psnr_transferred"] == pytest.approx(psnr(a, b), abs=1e-4)


def test_the_shipped_network_is_run_and_its_kept_cameras_serve_another_task(made, tmp_path):
    ask = Evaluation("poses", made[0], tmp_path, methods=("recon3d-small",), views=(3,), size="64")
    one = records(ask)
    assert all(r.status == "ok" and r.registered == 3 and r.seconds is not None for r in one)
    files = sorted(tmp_path.glob("kept/*/*.npz"))
    assert len(files) == 2
    shipped = table()["recon3d-small"].shipped_file
    assert shipped is not None
    digest = hashlib.sha256(shipped.read_bytes()).hexdigest()
    assert all(r.versions["recon3d-small"] == digest[:16] for r in one)
    before = [f.stat().st_mtime_ns for f in files]
    assert evaluate(replace(ask, task="points"), Progress()) == 2
    assert [f.stat().st_mtime_ns for f in files] == before
    shutil.copytree(tmp_path / "kept", tmp_path / "other" / "kept")  # answers of other weights are not those kept
    other = records(replace(ask, out=tmp_path / "other", weights=(("recon3d-small", "random"),)))
    assert len(list((tmp_path / "other").glob("kept/*/*.npz"))) == 4
    assert [r.versions["recon3d-small"] for r in other] == ["random", "random"]
    assert [r.pair_errors for r in other] != [r.pair_errors for r in one]


@pytest.mark.parametrize(
    ("words", "what"),
    [("small=x.pt", "'small' names no weights"), ("da3-base=none.pt", "none.pt"), ("x", "NAME=PLACE")],
)
def test_weights_that_are_nowhere_are_one_line(made, tmp_path, capsys, words, what):
    command = ["eval", "poses", str(made[0]), "--methods", "da3-base", "--weights", words, "--out", str(tmp_path / "out")]
    assert outcome(command) == 2 and what in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_shards_make_what_one_run_makes_and_merge_into_its_report(made, tmp_path, capsys):
    whole = asked(made, tmp_path / "whole")
    assert evaluate(whole, Progress()) == 4 and evaluate(whole, Progress()) == 0
    parts = [replace(whole, out=tmp_path / f"part{i}", shard=Shard(i, 2)) for i in (1, 2)]
    assert [evaluate(part, Progress()) for part in parts] == [2, 2]
    assert outcome(["eval", "merge", *(str(p.out) for p in parts), "--out", str(tmp_path / "merged")]) == 0
    write_report(whole.out)
    assert (tmp_path / "merged" / "report.json").read_text() == (whole.out / "report.json").read_text()
    assert "oracle" in capsys.readouterr().out


def test_a_killed_worker_started_again_ends_in_the_same_report(made, tmp_path):
    script = (
        "from tests.evaluation.test_engine import *\nfrom pathlib import Path\n"
        f"evaluate(Evaluation('nvs', Path({str(made[0])!r}), Path({str(tmp_path / 'killed')!r}), ('nearest photo',),"
        f" (('oracle', Path({str(made[1])!r})),), views=(3, None), size='64'), Progress())\n"
    )
    worker = subprocess.Popen([sys.executable, "-c", script], cwd=Path(__file__).parents[2])
    while not list((tmp_path / "killed").glob("results/*/*/[!.]*.json")):
        assert worker.poll() is None
        time.sleep(0.01)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    again, whole = (replace(asked(made, tmp_path / n, "nvs"), methods=("nearest photo",)) for n in ("killed", "whole"))
    assert 0 < evaluate(again, Progress()) < 8 or len(read_records(again.out)) == 8
    evaluate(whole, Progress())
    texts = []
    for found in (again, whole):
        write_report(found.out)
        texts.append((found.out / "report.json").read_text())
    assert texts[0] == texts[1]


def test_an_interruption_says_that_the_same_command_goes_on_and_it_does(made, tmp_path, monkeypatch, capsys):
    measured, left = engine.measured, iter((1, 2))

    def interrupted(*words):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return measured(*words)

    monkeypatch.setattr(engine, "measured", interrupted)
    command = ["eval", "poses", str(made[0]), "--predictions", f"oracle={made[1]}", "--views", "3,all", "--out", str(tmp_path)]
    assert outcome(command) == 130
    assert "interrupted; what was measured is in the folder of --out" in capsys.readouterr().err
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("results/*/*/[!.]*.json")}
    monkeypatch.undo()
    assert outcome(command) == 0 and len(kept) == 2 and len(read_records(tmp_path)) == 4
    assert all(path.stat().st_mtime_ns == before for path, before in kept.items())


def test_what_is_broken_is_named_and_the_run_goes_on(made, tmp_path):
    """A camera that is no number, a damaged photo, an unreadable prediction."""
    root = tmp_path / "broken"
    shutil.copytree(made[0], root)
    shutil.copytree(made[0] / "000000", root / "000002")
    cameras = root / "000000" / "cameras.json"
    (root / "000000" / "transforms.json").unlink()  # which is read first
    content = json.loads(cameras.read_text())
    content["images"][3]["camera_from_world"][0][3] = 1e400
    cameras.write_text(json.dumps(content).replace("Infinity", "NaN"))
    (root / "000001" / "images" / "04.png").write_bytes(b"no picture")
    wrong = tmp_path / "predicted"
    shutil.copytree(made[1], wrong)
    shutil.copytree(made[1] / "000000", wrong / "000002")
    (wrong / "000002" / "renders" / "04.png").write_bytes(b"")
    ask = Evaluation("nvs", root, tmp_path / "out", predictions=(("oracle", wrong),), views=(3,), size="64")
    found = {r.scene: r for r in records(ask)}
    assert found["000000"].status == "skipped" and "cameras.json" in str(found["000000"].why)
    assert found["000001"].status == "failed" and "04.png" in str(found["000001"].why)
    assert found["000002"].status == "failed" and "04.png" in str(found["000002"].why)
    write_report(ask.out)
    assert "cameras.json" in (ask.out / "report.md").read_text()


def test_a_failure_is_measured_again_and_so_is_a_prediction_that_has_changed(made, tmp_path):
    predicted = tmp_path / "predicted"
    shutil.copytree(made[1], predicted)
    broken = predicted / "000000" / "cameras.json"
    whole = broken.read_text()
    broken.write_text("{")
    ask = replace(asked(made, tmp_path / "out"), predictions=(("oracle", predicted),), views=(3,))
    assert [r.status for r in records(ask)] == ["failed", "ok"]
    broken.write_text(whole)
    assert evaluate(ask, Progress()) == 1 and [r.status for r in read_records(ask.out)] == ["ok", "ok"]
    assert evaluate(ask, Progress()) == 0
    depth = predicted / "000001" / "depth" / "00.npy"
    os.utime(depth, ns=(0, 0))
    assert evaluate(ask, Progress()) == 1
    (predicted / "000001@3").mkdir()  # another folder counts from now on, and it is empty
    assert evaluate(ask, Progress()) == 1 and [r.status for r in read_records(ask.out)] == ["ok", "failed"]
    assert evaluate(replace(ask, shard=Shard(1, 2)), Progress()) == 0  # the failure is the other shard's


def test_a_scene_that_was_mended_is_no_longer_told_as_skipped(made, tmp_path):
    shutil.copytree(made[0], tmp_path / "truth")
    broken = tmp_path / "truth" / "000000" / "transforms.json"
    whole = broken.read_text()
    broken.write_text("{}")
    (broken.parent / "cameras.json").write_text('{"images": 3}')
    ask = replace(asked((tmp_path / "truth", made[1]), tmp_path / "out"), views=(None,))
    assert [(r.scene, r.views, r.status) for r in records(ask)] == [("000000", 0, "skipped"), ("000001", VIEWS, "ok")]
    assert evaluate(ask, Progress()) == 0
    broken.write_text(whole)
    assert evaluate(ask, Progress()) == 1 and {(r.views, r.status) for r in read_records(ask.out)} == {(VIEWS, "ok")}


def test_a_record_that_another_shard_removes_meanwhile_is_none(made, tmp_path, monkeypatch):
    """Every shard removes what a scene that was mended had: one may do so between two steps of another."""
    ask = replace(asked(made, tmp_path / "out"), views=(3,))
    for scene in ("000000", "000001"):
        write_record(ask.out, engine.skipped(ask, "oracle", scene, 7, "it was broken"))
    evaluate(ask, Progress())
    monkeypatch.setattr(engine, "views_of_skipped", lambda _: 7)
    read = engine.read_record

    def removed_before(path: Path):
        if path.name.endswith("@7.json"):
            path.unlink()
        return read(path)

    monkeypatch.setattr(engine, "read_record", removed_before)
    assert evaluate(ask, Progress()) == 0 and {r.views for r in read_records(ask.out)} == {3}
    record_path(ask.out, "poses", "oracle", "000000", 3).write_text("{")
    with pytest.raises(InputError, match="no record"):
        evaluate(ask, Progress())


def test_renders_of_the_photos_size_are_brought_to_the_size_of_pictures_as_the_photos_are(made, tmp_path):
    """The photos themselves, drawn at their own size: measured at half of it nothing is lost."""
    views = records(replace(asked(made, tmp_path / "half", "nvs"), size="32"))
    assert views and all(r.status == "ok" and r.figures["psnr"] == 100 for r in views)
    cropped = records(replace(asked(made, tmp_path / "cropped", "nvs"), size="32x32"))
    assert all(r.status == "failed" and "04.png is measured at 32x32 pixels" in str(r.why) for r in cropped)


def test_renders_of_a_run_whose_photos_are_larger_than_it_draws_are_measured_too(made, tmp_path, monkeypatch):
    """A render of 46x34 would be 34x25 at --size 34, and its photo of 64x48 is 34x26."""
    monkeypatch.setattr(measuring, "RENDER_SIZE", 46)
    shutil.copytree(made[1], tmp_path / "runs")
    for path in (tmp_path / "runs").glob("*/renders/*.png"):
        Image.open(path).resize((46, 34), Image.Resampling.BOX).save(path)
    ask = replace(asked((made[0], tmp_path / "runs"), tmp_path / "foreign", "nvs"), size="34")
    assert all(r.status == "failed" and "34x26 or 64x48 pixels" in str(r.why) for r in records(ask))
    for scene in (tmp_path / "runs").iterdir():
        (scene / "report.json").write_text("{}")
        (scene / "sparse").mkdir(exist_ok=True)
    views = records(replace(ask, out=tmp_path / "ours"))
    assert views and all(r.status == "ok" and r.figures["psnr"] > 25 for r in views)
    large = records(replace(ask, out=tmp_path / "large", size="56"))  # what was never drawn is not made up
    assert all(r.status == "failed" and "measured at 56x42 or 64x48" in str(r.why) for r in large)


@pytest.mark.parametrize(
    ("words", "flag"),
    [
        (["--methods", "colmpa"], "--methods"), ([], "--methods"), (["--views", "some"], "--views"),
        (["--views", "1"], "--views"), (["--size", "12"], "--size"), (["--shard", "3/2"], "--shard"),
        (["--predictions", "a"], "--predictions"), (["--methods", "nearest photo"], "--methods"),
    ],
)  # fmt: skip
def test_a_wrong_flag_is_told_in_one_line(made, tmp_path, capsys, words, flag):
    assert outcome(["eval", "poses", str(made[0]), "--out", str(tmp_path / "out"), *words]) == 2
    assert flag in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_other_settings_are_refused_where_records_lie(made, tmp_path):
    evaluate(asked(made, tmp_path), Progress())
    with pytest.raises(InputError, match="seed 0"):
        evaluate(replace(asked(made, tmp_path), seed=1), Progress())


def test_an_empty_data_set_is_refused(tmp_path, capsys):
    (tmp_path / "none").mkdir()
    assert outcome(["eval", "poses", str(tmp_path / "none"), "--methods", "colmap", "--out", str(tmp_path / "out")]) == 2
    assert "no data set lies here" in capsys.readouterr().err


def test_refining_a_methods_splats_changes_nothing_of_its_cameras():
    for name in ("colmap", "colmap-few", "recon3d-small", "joint"):
        assert replace(methods.method(f"{name}+3dgs"), refined=False) == methods.method(name)
