"""The wheel is complete: it works in an environment that has nothing of this folder."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from recon3d import __version__
from tests.house.sources import ROOT

WINDOWS = os.name == "nt"
PROGRAMS = "Scripts" if WINDOWS else "bin"


def run(*words: object, folder: Path) -> str:
    """Standard output of a program that must succeed, run in `folder` without this checkout on its path."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run([str(w) for w in words], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, folder=ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture
def empty_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "somewhere else"
    folder.mkdir()
    return folder


def test_the_wheel_is_named_after_the_toolkit_and_holds_the_package_alone(wheel: Path):
    assert wheel.name.startswith(f"recon3d_toolkit-{__version__}-py3")
    names = zipfile.ZipFile(wheel).namelist()
    assert "recon3d/py.typed" in names
    assert {name.split("/")[0] for name in names} == {"recon3d", f"recon3d_toolkit-{__version__}.dist-info"}
    modules = {str(file.relative_to(ROOT).as_posix()) for file in (ROOT / "recon3d").rglob("*.py")}
    assert modules <= set(names)


def test_the_installed_wheel_runs_from_an_empty_folder(wheel: Path, tmp_path: Path, empty_folder: Path):
    """The libraries are borrowed from the environment of the tests by a .pth file, which does not bring this checkout."""
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=False)
    python = environment / PROGRAMS / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel, folder=empty_folder)
    (site,) = environment.rglob("site-packages")
    (site / "borrowed.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    place = run(python, "-c", "import recon3d; print(recon3d.__file__)", folder=empty_folder)
    assert Path(place.strip()).is_relative_to(site)
    command = environment / PROGRAMS / "recon3d"
    assert run(command, "--version", folder=empty_folder).strip() == f"recon3d {__version__}"
    assert "usage: recon3d COMMAND" in run(command, "--help", folder=empty_folder)
    assert "--out" in run(command, "run", "--help", folder=empty_folder)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_wheel_with_its_own_dependencies_reconstructs_the_sample(wheel: Path, tmp_path: Path, empty_folder: Path):
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=True)
    python = environment / PROGRAMS / "python"
    run(python, "-m", "pip", "install", "-c", ROOT / "constraints.txt", wheel, folder=empty_folder)
    shutil.copytree(ROOT / "datasets" / "sample" / "images", empty_folder / "photos")
    run(environment / PROGRAMS / "recon3d", "run", "photos", "--out", "scene.ply", "--refine", "20", folder=empty_folder)
    assert (empty_folder / "scene.ply").read_bytes().startswith(b"ply\n")
    assert (empty_folder / "scene.report.json").exists()
