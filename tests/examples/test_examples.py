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
    photos = [thumbnail(SAMPLE / name) for name in ("00.jpg", "04.jpg", "09.jpg")]
    apart = np.array([[off(thumbnail(file), photo) for photo in photos] for file in sorted(orbit.iterdir())])
    assert apart.shape == (3, 3) and apart.argmin(0).tolist() == apart.argmin(1).tolist() == [0, 1, 2]


def thumbnail(file: Path) -> np.ndarray:
    return np.asarray(Image.open(file).resize((16, 12), Image.Resampling.BOX), float)


def off(a: np.ndarray, b: np.ndarray) -> float:
    """Mean difference of two pictures, of 255."""
    return float(np.abs(a - b).mean())
