"""Compiling: the cache where there is room for one, and threads."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import recon3d
from recon3d.core import jit

SCRIPT = """
import torch
from recon3d.core import jit
from recon3d.metrics.image import ssim
picture = torch.rand(3, 12, 12, generator=torch.Generator().manual_seed(0))
print(jit.CACHE, round(float(ssim(picture, picture)), 6))
"""


def run_a_copy(folder: Path, **environment: str) -> str:
    """What SCRIPT prints, run against a copy of the package in `folder`, in a process of its own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA", "XDG"))}
    kept |= {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", **environment}
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=folder, env=kept, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_where_no_folder_is_writable_there_is_no_cache_and_no_crash(tmp_path):
    """Root may write anywhere, so files stand where numba would make its folders: beside the source, at home, as told."""
    package = tmp_path / "recon3d"
    shutil.copytree(Path(recon3d.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__", "static"))
    for folder in [package, *(p for p in package.rglob("*") if p.is_dir())]:
        (folder / "__pycache__").write_text("")
    nowhere = str(package / "__pycache__" / "below-a-file")
    assert run_a_copy(tmp_path, NUMBA_CACHE_DIR=nowhere, HOME=nowhere, XDG_CACHE_HOME=nowhere) == "False 1.0"


def test_the_cache_goes_where_it_is_told_and_is_found_again(tmp_path):
    package = tmp_path / "recon3d"
    shutil.copytree(Path(recon3d.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__", "static"))
    cache = tmp_path / "cache"
    assert run_a_copy(tmp_path, NUMBA_CACHE_DIR=str(cache)) == "True 1.0"
    written = {p: p.stat().st_mtime_ns for p in cache.rglob("*.nbc")}
    assert written
    assert run_a_copy(tmp_path, NUMBA_CACHE_DIR=str(cache)) == "True 1.0"
    assert {p: p.stat().st_mtime_ns for p in cache.rglob("*.nbc")} == written


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 7, 1000])
def test_every_item_is_handed_out_once(threads, count):
    hits = np.zeros(count, np.int64)

    def count_up(begin: int, end: int) -> None:
        hits[begin:end] += 1

    with jit.use_threads(threads):
        jit.run(count_up, count, grain=3)
    assert (hits == 1).all()


def test_an_error_in_a_thread_is_raised_in_the_caller():
    def fails(begin: int, end: int) -> None:
        if begin:
            raise ZeroDivisionError

    with jit.use_threads(2), pytest.raises(ZeroDivisionError):
        jit.run(fails, 100)
