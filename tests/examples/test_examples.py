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
def test_render_orbit_begins_with_what_the_first_photo_shows_and_turns_away_from_it(tmp_path: Path):
    scene, orbit = tmp_path / "scene", tmp_path / "orbit"
    start("-m", "recon3d.cli", "run", SAMPLE, "--out", scene, "--quality", "preview", "--refine", 100, "--seed", 0)
    start("examples/render_orbit.py", scene, orbit, 4)
    pictures = [np.asarray(Image.open(file), float) for file in sorted(orbit.iterdir())]
    assert len(pictures) == 4
    photo = np.asarray(Image.open(SAMPLE / "00.jpg").resize(pictures[0].shape[1::-1]), float)
    off = [np.abs(picture.mean((0, 1)) - photo.mean((0, 1))).mean() for picture in pictures]
    assert off[0] == min(off)
