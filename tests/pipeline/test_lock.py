"""A lock ends with its process, however that ends, and only one has it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from recon3d.cli.main import outcome
from recon3d.pipeline import artefacts
from recon3d.pipeline.lock import HeldElsewhere, held
from tests.io.input_files import save

HOLDER = """
import sys
from pathlib import Path
from recon3d.pipeline.lock import held
file = held(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_lock_of_another_process_holds_until_it_is_killed(tmp_path):
    path = tmp_path / "work" / "lock"
    root = Path(__file__).resolve().parents[2]
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin is not None and child.stdout is not None
    try:
        assert child.stdout.readline() == "held\n"
        with pytest.raises(HeldElsewhere):
            held(path)
    finally:
        child.kill()
        child.wait()
        child.stdin.close()
        child.stdout.close()
    held(path).close()  # nothing stale


def test_a_lock_that_was_removed_while_it_was_waited_for_is_made_anew(tmp_path, monkeypatch):
    """Between opening and locking, the run before removes its folder: the lock on the lost file would keep nobody out."""
    path, calls = tmp_path / "work" / "lock", []
    lock = held.__globals__["_lock"]

    def slow(handle: int) -> None:
        if not calls:
            shutil.rmtree(path.parent)
        calls.append(handle)
        lock(handle)

    monkeypatch.setitem(held.__globals__, "_lock", slow)
    with held(path) as file:
        assert len(calls) == 2 and os.path.samestat(os.fstat(file.fileno()), os.stat(path))


def test_a_second_run_with_the_same_output_is_refused_in_one_line(tmp_path, capsys):
    save(tmp_path / "photos" / "a.png")
    save(tmp_path / "photos" / "b.png")
    command = ["run", str(tmp_path / "photos"), "--out", str(tmp_path / "scene.ply")]
    with held(artefacts.work_folder(tmp_path / "scene.ply") / "lock"):
        (tmp_path / ".scene.ply.partial" / "geometry.npz").touch()
        for more in ([], ["--resume"]):
            assert outcome([*command, *more]) == 2
            said = capsys.readouterr().err
            assert "scene.ply: another run is writing it" in said and "Traceback" not in said
        assert (tmp_path / ".scene.ply.partial" / "geometry.npz").exists()


def test_the_result_of_a_run_that_ends_at_this_moment_is_not_replaced(tmp_path, monkeypatch, capsys):
    """Looked for before the lock is had, the output of the other run was not there yet."""
    save(tmp_path / "photos" / "a.png")
    save(tmp_path / "photos" / "b.png")
    made, scene = artefacts.WorkFolder, tmp_path / "scene.ply"

    def after_the_other(*arguments):
        scene.write_bytes(b"the other's")
        return made(*arguments)

    monkeypatch.setattr(artefacts, "WorkFolder", after_the_other)
    assert outcome(["run", str(tmp_path / "photos"), "--out", str(scene)]) == 2
    assert "it exists already" in capsys.readouterr().err and scene.read_bytes() == b"the other's"
    assert not artefacts.work_folder(scene).exists()


def test_what_an_ended_run_left_is_discarded_and_what_a_run_has_stays(tmp_path):
    scene = tmp_path / "scene"
    work = artefacts.work_folder(scene)
    artefacts.discard(scene)
    assert not work.exists()
    with held(work / artefacts.LOCK):
        (work / "geometry.npz").touch()
        artefacts.discard(scene)
        assert (work / "geometry.npz").exists()
        with pytest.raises(HeldElsewhere):
            held(work / artefacts.LOCK)
    artefacts.discard(scene)
    assert not work.exists()
