"""A folder that a run of ours wrote, read as a prediction as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recon3d.errors import InputError
from recon3d.io.depth_files import write_depth
from tests.evaluation.test_predictions import (
    SIZE,
    of,
    put,
    refusal,
    write_cameras_json,
    write_transforms_json,
)


def as_run(folder: Path) -> None:
    put(folder / "report.json", "{}")
    (folder / "sparse").mkdir()


def test_a_run_of_ours_tells_its_cameras_once(tmp_path):
    write_cameras_json(tmp_path / "garden")
    write_transforms_json(tmp_path / "garden")
    assert "cameras.json and transforms.json" in refusal(lambda: of(tmp_path))
    as_run(tmp_path / "garden")
    assert list(of(tmp_path).cameras or ()) == ["images/a.jpg"]


def test_a_run_of_ours_has_its_depth_in_npz_files_and_pictures_of_it_beside_them(tmp_path):
    write_cameras_json(tmp_path / "garden")
    as_run(tmp_path / "garden")
    depth, K = np.full(SIZE, 3.0), np.diag([30.0, 31, 1])
    for name in ("images/a", "images/c.d"):
        for folder in ("depth", "renders"):
            (tmp_path / "garden" / folder / "images").mkdir(parents=True, exist_ok=True)
        write_depth(tmp_path / f"garden/depth/{name}.npz", depth, depth, K)
        Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(tmp_path / f"garden/renders/{name}.png")
    found = of(tmp_path)
    assert {p: f.name for p, f in found.depth_files.items()} == {"images/a.jpg": "a.npz", "images/c.d.png": "c.d.npz"}
    assert (found.depth("images/a.jpg", SIZE) == 3).all() and set(found.render_files) == set(found.depth_files)
    assert found.depth("images/a.jpg", (2 * SIZE[0], 2 * SIZE[1])).shape == SIZE  # worked at half of its photo's size
    assert "but its photo" in refusal(lambda: found.depth("images/a.jpg", (SIZE[1], SIZE[0])))
    (tmp_path / "garden/report.json").unlink()  # of another program, either may be its depth
    with pytest.raises(InputError):
        of(tmp_path)
