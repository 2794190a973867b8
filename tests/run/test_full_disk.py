"""A disk that is full and a place that is forbidden get one line; what was finished stays for --resume."""

import errno
import os
from pathlib import Path

import pytest

from recon3d.atomic import atomic_file, atomic_folder, placed
from recon3d.cli import main
from recon3d.core.synthetic import synthetic_gaussians
from recon3d.pipeline import export, reconstruct
from tests.io.input_files import save

DEV_FULL = "/dev/full"  # of Linux: whoever writes to it is told that no space is left


def no_space(*arguments, **words):
    with open(DEV_FULL, "wb", buffering=0) as file:
        file.write(b"1")


def line_of(arguments: list, capsys, code: int = 2) -> str:
    assert main.outcome([str(argument) for argument in arguments]) == code
    said = capsys.readouterr().err
    assert ("Traceback" in said) == (code == 1)
    return said.splitlines()[-1]


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (errno.ENOSPC, 2, "out/a.npz: it cannot be written (No space left on device). Make room there"),
        (errno.EDQUOT, 2, "your share of it is used up"),
        (errno.EROFS, 2, "(Read-only file system). Give a path that can be written to"),
        (errno.EACCES, 2, "out/a.npz: it may not be used (Permission denied)"),
        (errno.EPERM, 2, "(Operation not permitted)"),
        (errno.EIO, 1, "this is a bug"),
        (errno.ENOENT, 1, "this is a bug"),
    ],
)
def test_what_the_system_refuses_is_one_line_and_all_else_a_bug(number, code, said, monkeypatch, capsys):
    def refused(arguments):
        raise OSError(number, os.strerror(number), "out/a.npz")

    monkeypatch.setattr(main, "dispatch", refused)
    line = line_of(["run"], capsys, code)
    assert said in line and ("--resume" in line) == (number in (errno.ENOSPC, errno.EDQUOT))


@pytest.mark.skipif(not os.path.exists(DEV_FULL), reason="this system has no /dev/full")
def test_a_full_disk_names_the_output_and_not_a_temporary_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for writing in (atomic_file, atomic_folder):
        for write in (lambda at: no_space(), lambda at: os.open(at / "in" / "it", os.O_WRONLY)):
            for path in (tmp_path / "scene.sog", Path("scene.sog")):
                with pytest.raises(OSError, match=r": '.*scene\.sog'$") as caught, writing(path) as at:
                    write(at)
                assert caught.value.filename == str(path)
    with pytest.raises(FileNotFoundError) as caught, atomic_file(tmp_path / "scene.sog"):
        (tmp_path / "other").read_bytes()
    assert caught.value.filename == str(tmp_path / "other")


def test_what_a_run_meets_elsewhere_is_not_told_of_its_output(tmp_path):
    elsewhere = tmp_path / "cache" / "x"
    for error in (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), PermissionError(errno.EACCES, "no", str(elsewhere))):
        before = error.filename
        with pytest.raises(type(error), match=r"refused|no") as caught, placed(tmp_path / "scene.ply", alone=False):
            raise error
        assert caught.value.filename == before
    with pytest.raises(OSError, match="full") as caught, placed(tmp_path / "scene.ply", alone=False):
        raise OSError(errno.ENOSPC, "full", str(tmp_path / ".scene.ply.partial" / "geometry.npz"))
    assert caught.value.filename == str(tmp_path / "scene.ply")


@pytest.mark.skipif(not os.path.exists(DEV_FULL), reason="this system has no /dev/full")
def test_a_run_and_an_export_on_a_full_disk(tmp_path, monkeypatch, capsys):
    save(tmp_path / "photos" / "a.png")
    command = ["run", tmp_path / "photos", "--out", tmp_path / "out"]

    def kept(request, found, progress, work):
        with atomic_file(work.path / "geometry.npz"):
            no_space()

    monkeypatch.setattr(reconstruct, "reconstruct", kept)
    line = line_of(command, capsys)
    assert f"{tmp_path / 'out'}: it cannot be written" in line and "--resume" in line
    monkeypatch.setattr(reconstruct, "reconstruct", no_space)  # of a log, on a disk that nobody names
    assert "error: output: it cannot be written" in line_of(command, capsys)
    assert (tmp_path / ".out.partial" / "fingerprint").exists()
    export.write(tmp_path / "scene.ply", "ply", synthetic_gaussians(5).splats(), export.Coding(), None)
    monkeypatch.setattr(export, "write", no_space)
    line = line_of(["export", tmp_path / "scene.ply", tmp_path / "scene.splat"], capsys)
    assert f"{tmp_path / 'scene.splat'}: it cannot be written" in line and "--resume" not in line
    assert not (tmp_path / "scene.splat").exists()
