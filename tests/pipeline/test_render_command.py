"""Pictures of written scenes: what is said where they show nothing."""

import json

import numpy as np
import pytest

from recon3d.core.synthetic import Synthetic, arc_of_cameras, synthetic_gaussians
from recon3d.io.cameras_json import write_cameras
from recon3d.io.ply import write_ply
from recon3d.pipeline.render import render_film, render_pictures
from recon3d.progress import Progress

NAMES = [f"{i}.jpg" for i in range(8)]


@pytest.mark.parametrize(
    ("away", "named"),
    [([], None), ([3, 5], "3.jpg, 5.jpg: no splat"), (range(8), "0.jpg, 1.jpg, 2.jpg, 3.jpg, 4.jpg and 3 more: no splat")],
)
def test_cameras_that_show_no_splat_are_named(tmp_path, away, named):
    """A camera in another world is told from one that looks past most of the scene."""
    write_ply(tmp_path / "scene.ply", synthetic_gaussians(200).splats())
    write_cameras(tmp_path / "cameras.json", NAMES, arc_of_cameras(Synthetic()))
    document = json.loads((tmp_path / "cameras.json").read_text())
    for i in away:
        document["images"][i]["camera_from_world"] = np.eye(4)[:3].tolist()[:2] + [[0.0, 0, 1, -4e6]]
    (tmp_path / "cameras.json").write_text(json.dumps(document))
    progress = Progress()
    render_pictures(tmp_path / "scene.ply", tmp_path / "cameras.json", tmp_path / "out", False, "cpu", progress)
    assert len(list((tmp_path / "out").iterdir())) == 8
    assert [note[: len(named or "")] for note in progress.notes] == ([] if named is None else [named])


def test_a_flight_through_nothing_is_said(tmp_path):
    write_ply(tmp_path / "scene.ply", synthetic_gaussians(200).splats())
    cameras = arc_of_cameras(Synthetic())
    cameras.camera_from_world[:, 2, 3] -= 4e6
    write_cameras(tmp_path / "cameras.json", NAMES, cameras)
    progress = Progress()
    render_film(tmp_path / "scene.ply", tmp_path / "cameras.json", tmp_path / "a.mp4", False, 0.1, "cpu", progress)
    assert progress.notes and progress.notes[0].startswith("frame 1, frame 2, frame 3: no splat in the picture")
