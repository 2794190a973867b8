"""The scripts in examples/ do what they say, as a reader would start them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from plyfile import PlyData

from tests.house.sources import ROOT

SAMPLE = ROOT / "datasets" / "sample" / "images"


def start(*words: object) -> str:
    done = subprocess.run([sys.executable, *map(str, words)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_reconstruct_folder_writes_the_splats_that_it_counts(tmp_path: Path):
    out = tmp_path / "scene.ply"
    told = start("examples/reconstruct_folder.py", SAMPLE, out, 20)
    assert told.startswith("10 photos have a camera")
    assert f" {PlyData.read(out)['vertex'].count} splats" in told


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_render_orbit_goes_from_what_the_first_photo_shows_to_what_the_last_shows(tmp_path: Path):
    scene, orbit = tmp_path / "scene", tmp_path / "orbit"
    start("-m", "recon3d.cli", "run", SAMPLE, "--out", scene, "--quality", "preview", "--refine", 100, "--seed", 0)
    start("examples/render_orbit.py", scene, orbit, 3)
    first, middle, last = (thumbnail(file) for file in sorted(orbit.iterdir()))
    first_photo, last_photo = thumbnail(SAMPLE / "00.jpg"), thumbnail(SAMPLE / "09.jpg")
    assert off(first, first_photo) < off(middle, first_photo) < off(last, first_photo)
    assert off(last, last_photo) < off(middle, last_photo) < off(first, last_photo)


def thumbnail(file: Path) -> np.ndarray:
    return np.asarray(Image.open(file).resize((16, 12), Image.Resampling.BOX), float)


def off(a: np.ndarray, b: np.ndarray) -> float:
    """Mean difference of two pictures, of 255."""
    return float(np.abs(a - b).mean())
