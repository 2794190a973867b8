"""A folder of captures end to end: what becomes of good, broken and unfinished ones, in one process, two, or a killed one."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from recon3d.cli.main import outcome
from recon3d.pipeline import batch as module
from recon3d.pipeline.lock import held

SAMPLE = Path(__file__).resolve().parents[2] / "datasets" / "sample"
QUICK = ["--max-size", "96", "--refine", "0", "--seed", "1"]
SMALL = 240  # pixels, the width of the photos
TIMED = re.compile(r"report\.json|batch\..*json")
GOOD = ("attic", "barn.2024", "cellar")


def put_capture(folder: Path, first: int) -> None:
    """Three photos of the sample from number `first` on, small, with their cameras."""
    (folder / "images").mkdir(parents=True)
    document = json.loads((SAMPLE / "cameras.json").read_text())
    document["images"] = document["images"][first : first + 3]
    for image in document["images"]:
        scale = SMALL / image["width"]
        image["width"], image["height"] = SMALL, round(image["height"] * scale)
        image["K"] = [[x * scale for x in image["K"][0]], [x * scale for x in image["K"][1]], image["K"][2]]
        photo = Image.open(SAMPLE / "images" / image["name"])
        photo.resize((SMALL, image["height"])).save(folder / "images" / image["name"], quality=95)
    (folder / "cameras.json").write_text(json.dumps(document))


def run(*arguments) -> int:
    """The exit code."""
    try:
        return outcome(["batch", *(str(a) for a in arguments)])
    except SystemExit as stop:
        return int(stop.code or 0)


def rows(scenes: Path, file: str = "batch.json") -> dict[str, dict]:
    return {row["name"]: row for row in json.loads((scenes / file).read_text())["captures"]}


def scene_files(scenes: Path) -> dict[str, bytes]:
    """Every file of every scene but those that hold times."""
    files = (file for file in scenes.rglob("*") if file.is_file() and not TIMED.match(file.name))
    return {str(file.relative_to(scenes)): file.read_bytes() for file in files}


@pytest.fixture(scope="module")
def captures(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("captures")
    for first, name in enumerate(GOOD):
        put_capture(folder / name, first)
    return folder


@pytest.fixture(scope="module")
def undisturbed(captures, tmp_path_factory) -> Path:
    """Scenes of the three captures, made in one process."""
    scenes = tmp_path_factory.mktemp("scenes") / "new" / "scenes"
    assert run(captures, "--out", scenes, *QUICK) == 0
    return scenes


def test_every_capture_becomes_a_scene_and_the_record_names_it(captures, undisturbed):
    found = rows(undisturbed)
    assert list(found) == list(GOOD) and {row["status"] for row in found.values()} == {"ok"}
    assert sorted(p.name for p in undisturbed.iterdir()) == [
        "attic",
        "barn_2024",
        "batch.1of1.json",
        "batch.json",
        "cellar",
    ]
    for row in found.values():
        scene, report = map(Path, row["paths"])
        assert (scene / "scene.ply").stat().st_size > 1000 and report == scene / "report.json"
        assert row["seconds"] > 0 and row["why"] == ""


def test_a_worker_killed_midway_and_started_again_leaves_what_an_undisturbed_one_does(captures, undisturbed, tmp_path):
    arguments = [str(captures), "--out", str(tmp_path / "scenes"), *QUICK]
    process = subprocess.Popen(
        [sys.executable, "-m", "recon3d.cli", "batch", *arguments], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    seen = ""
    for line in process.stderr:
        seen += line
        if line.strip() == "recon3d: splats" and "barn" in seen:
            break
    process.kill()
    process.communicate()
    scenes = tmp_path / "scenes"
    assert (scenes / "attic").is_dir() and not (scenes / "barn_2024").exists(), seen
    assert (scenes / ".barn_2024.partial" / "geometry.npz").exists()
    assert {name: row["status"] for name, row in rows(scenes).items()} == {"attic": "ok", "barn.2024": "failed"}
    first = (scenes / "attic" / "report.json").read_bytes()
    assert run(*arguments) == 0
    assert (scenes / "attic" / "report.json").read_bytes() == first
    report = json.loads((scenes / "barn_2024" / "report.json").read_text())
    assert next(stage for stage in report["stages"] if stage["name"] == "geometry")["resumed"]
    assert scene_files(scenes) == scene_files(undisturbed)
    assert sorted(p.name for p in scenes.iterdir()) == sorted(p.name for p in undisturbed.iterdir())
    assert list(rows(scenes)) == list(GOOD) and {row["status"] for row in rows(scenes).values()} == {"ok"}


@pytest.fixture
def made(monkeypatch) -> list[str]:
    """Names of the captures that a reconstruction was begun for, in a test that needs none to happen."""
    begun = []

    def run(inputs, request, output, progress):
        begun.append(inputs[0].name)
        output.path.mkdir()
        report = {
            "arguments": module.arguments_of(inputs, request, output),
            "refinement": {"interrupted": False},
            "stages": [{"seconds": 1.5}],
            "paths": [str(output.path), str(output.report)],
        }
        output.report.write_text(json.dumps(report))
        return report

    monkeypatch.setattr(module, "run", run)
    return begun


def test_two_shards_do_each_capture_once_and_their_records_are_joined(captures, made, tmp_path):
    assert run(captures, "--out", tmp_path, *QUICK, "--shard", "1/2") == 0
    assert made == ["attic", "cellar"] and list(rows(tmp_path)) == ["attic", "cellar"]
    assert run(captures, "--out", tmp_path, *QUICK, "--shard", "2/2") == 0
    assert made == ["attic", "cellar", "barn.2024"] and list(rows(tmp_path)) == list(GOOD)
    assert list(rows(tmp_path, "batch.1of2.json")) == ["attic", "cellar"]
    assert list(rows(tmp_path, "batch.2of2.json")) == ["barn.2024"]
    assert run(captures, "--out", tmp_path, *QUICK) == 0  # in one process: all is there
    assert len(made) == 3 and {row["seconds"] for row in rows(tmp_path).values()} == {1.5}


def test_a_corrupt_capture_is_named_and_the_others_are_made(captures, tmp_path, capsys):
    shutil.copytree(captures / "attic", tmp_path / "c" / "attic")
    put_corrupt(tmp_path / "c" / "broken" / "a.jpg")
    put_corrupt(tmp_path / "c" / "film.mp4")
    put_corrupt(tmp_path / "c" / "notes.txt")
    put_corrupt(tmp_path / "c" / "papers" / "notes.txt")
    put_corrupt(tmp_path / "c" / "cameras" / "transforms.json")
    assert run(tmp_path / "c", "--out", tmp_path / "s", *QUICK) == 2
    status = {name: row["status"] for name, row in rows(tmp_path / "s").items()}
    assert status == {
        "attic": "ok", "broken": "failed", "cameras": "failed", "film.mp4": "failed", "notes.txt": "skipped",
        "papers": "skipped",
    }  # fmt: skip
    assert "a.jpg" in rows(tmp_path / "s")["broken"]["why"]
    shown = capsys.readouterr()
    assert "1 ok, 3 failed, 2 skipped" in shown.out and "Traceback" not in shown.err
    assert sorted(p.name for p in (tmp_path / "s").iterdir()) == ["attic", "batch.1of1.json", "batch.json"]


def put_corrupt(file: Path) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"no such thing " * 50)


def test_a_bug_in_one_capture_is_told_with_its_traceback_and_ends_in_1(captures, made, monkeypatch, tmp_path, capsys):
    stub = module.run

    def buggy(inputs, *others):
        if inputs[0].name == "attic":
            raise ZeroDivisionError("of ours")
        return stub(inputs, *others)

    monkeypatch.setattr(module, "run", buggy)
    assert run(captures, "--out", tmp_path, *QUICK) == 1
    assert made == ["barn.2024", "cellar"] and "ZeroDivisionError: of ours" in rows(tmp_path)["attic"]["why"]
    assert 'raise ZeroDivisionError("of ours")' in capsys.readouterr().err


def test_scenes_of_other_flags_are_not_taken_for_these_and_overwrite_makes_them_again(
    captures, made, tmp_path, monkeypatch
):
    assert run(captures, "--out", tmp_path, *QUICK) == 0
    assert run(captures, "--out", tmp_path, *QUICK, "--exposure", "on") == 2
    assert all("--overwrite" in row["why"] for row in rows(tmp_path).values()) and len(made) == 3
    monkeypatch.setattr(Path, "mkdir", lambda *_, **__: None)  # of the stub, whose folders are there
    assert run(captures, "--out", tmp_path, *QUICK, "--exposure", "on", "--overwrite") == 0 and len(made) == 6
    assert run(captures, "--out", tmp_path, *QUICK, "--exposure", "on", "--overwrite") == 0 and len(made) == 6


def test_ctrl_c_in_refinement_ends_the_batch_and_that_scene_is_made_again(captures, made, monkeypatch, tmp_path):
    stub = module.run

    def interrupted(*arguments):
        report = stub(*arguments) | {"refinement": {"interrupted": True}}
        (tmp_path / "attic" / "report.json").write_text(json.dumps(report))
        return report

    monkeypatch.setattr(module, "run", interrupted)
    assert run(captures, "--out", tmp_path, *QUICK) == 130 and made == ["attic"]
    assert rows(tmp_path)["attic"]["status"] == "failed"
    monkeypatch.setattr(module, "run", lambda *a: shutil.rmtree(tmp_path / "attic", ignore_errors=True) or stub(*a))
    assert run(captures, "--out", tmp_path, *QUICK) == 0 and made == ["attic", "attic", "barn.2024", "cellar"]


def test_what_another_run_is_at_work_on_stays_beside_a_finished_scene(captures, made, tmp_path):
    assert run(captures, "--out", tmp_path, *QUICK) == 0
    work = tmp_path / ".attic.partial"
    with held(work / "lock"):
        assert run(captures, "--out", tmp_path, *QUICK) == 0 and (work / "lock").exists()
    assert run(captures, "--out", tmp_path, *QUICK) == 0 and not work.exists() and len(made) == 3


def test_a_name_that_two_captures_share_goes_to_the_first(made, tmp_path):
    for name in ("walk.mov", "walk.mp4"):
        put_corrupt(tmp_path / "c" / name)
    assert run(tmp_path / "c", "--out", tmp_path / "s") == 2
    assert made == ["walk.mov"] and "Rename" in rows(tmp_path / "s")["walk.mp4"]["why"]


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        (["none"], "none: there is no such"),
        (["photo.jpg"], "photo.jpg: it is no folder"),
        (["photos"], "photos: no captures in it"),
        (["c", "--shard", "3/2"], "--shard: "),
        (["c", "--shard", "1/2", "--ray", "auto"], "--shard: Ray makes"),
        (["c", "--refine", "long"], "--refine: "),
        (["c", "--cameras", "none.json"], "none.json: "),
        (["c", "--out", "c/scenes"], "--out: "),
    ],
)
def test_what_would_end_every_capture_is_told_before_the_first(arguments, where, made, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for file in ("photo.jpg", "photos/1.jpg", "c/film.mp4"):
        put_corrupt(Path(file))
    out = [] if "--out" in arguments else ["--out", "s"]
    assert run(*arguments, *out) == 2 and made == []
    assert capsys.readouterr().err.startswith(f"recon3d: error: {where}")
    assert not os.path.exists("s") and not os.path.exists("c/scenes")
