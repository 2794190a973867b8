"""Depth maps of a run: read back as any program's are, with the camera and the confidence beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from recon3d.io.depth_files import read_depth, write_depth

K = np.array([[50.0, 0, 4], [0, 50, 3], [0, 0, 1]])


def test_what_is_written_is_read_back_with_its_camera_and_a_picture(tmp_path: Path):
    depth = np.linspace(1, 9, 48, dtype=np.float32).reshape(6, 8)
    depth[0, :3] = 0
    confidence = np.where(depth > 0, 0.5, 0).astype(np.float16)
    path = tmp_path / "depth" / "sub" / "a.npz"
    write_depth(path, depth, confidence, K)
    assert np.array_equal(read_depth(path, (6, 8)), depth)
    with np.load(path) as stored:
        assert stored["confidence"].dtype == np.float32 and np.array_equal(stored["confidence"], confidence)
        assert np.array_equal(stored["K"], K)
    with Image.open(path.with_suffix(".png")) as picture:
        pixels = np.asarray(picture).astype(int)
    assert pixels.shape == (6, 8, 3) and (pixels[0, :3] == 0).all() and pixels[1:].sum(-1).min() > 0
    near, far = pixels[0, 4], pixels[-1, -1]
    assert near[0] > near[2] and far[2] > far[0]  # red is near


def test_a_view_of_which_nothing_is_known_is_written_all_the_same(tmp_path: Path):
    write_depth(tmp_path / "a.npz", np.zeros((4, 5)), np.zeros((4, 5)), K)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (5, 4) and not np.asarray(picture).any()
