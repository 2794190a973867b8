"""Which part of a scene is its subject, and that scenes far from the origin are shown about their middle."""

import base64
import json
from dataclasses import replace

import numpy as np
import pytest

from recon3d.cli.main import outcome
from recon3d.io.ply import read_ply, write_ply
from recon3d.io.splat_files import read_splats
from recon3d.viewer.framing import framed, spacing
from recon3d.viewer.scene_data import open_scene
from tests.viewer.small_scene import figure, run_folder, some_splats
from tests.viewer.test_single_page import element


def test_a_backdrop_is_no_part_of_the_subject_and_head_and_feet_are():
    """A figure of 0.5 x 1.8 x 0.4 before a shell of a quarter of all points, thirty times as far, in clumps as densified."""
    body = figure(3000)
    shell = np.random.default_rng(1).normal(size=(250, 3))
    shell = 30 * shell / np.linalg.norm(shell, axis=1, keepdims=True)
    clumps = (shell[:, None] + np.random.default_rng(2).normal(size=(250, 4, 3)) * 0.02).reshape(-1, 3)
    frame = framed(np.concatenate([body, clumps]))
    assert np.allclose(frame.low, body.min(0), atol=0.05) and np.allclose(frame.high, body.max(0), atol=0.05)
    assert frame.reach == pytest.approx(30, rel=0.1)
    assert min(frame.most) > 25 and max(frame.least) < -25  # the crop box still reaches all of it


@pytest.mark.parametrize("points", ["ball", "sheet", "line"])
def test_where_nothing_stands_apart_all_is_framed_and_nothing_ends_an_orbit(points):
    rng = np.random.default_rng(0)
    found = {
        "ball": rng.normal(size=(4000, 3)),
        "sheet": rng.uniform(-1, 1, (4000, 3)) * (3, 0.001, 2),
        "line": rng.uniform(-1, 1, (4000, 1)) * (1.0, 2.0, 3.0),
    }[points]
    frame = framed(found)
    inside = ((found >= frame.low) & (found <= frame.high)).all(1).mean()
    assert frame.reach is None and inside > 0.9


def test_spacing_is_that_of_the_neighbours_within_a_factor_of_three():
    """A square grid: the 24th neighbour is 2.83 steps away (5 x 5 about a point), wherever the grid is and however fine."""
    side = np.arange(60.0)
    grid = np.stack([*np.meshgrid(side, side, [0.0])], -1).reshape(-1, 3)
    for step in (1.0, 1e-3):
        found = spacing(grid * step + 5)
        assert (found >= 2.8 * step).all() and np.median(found) <= 3 * 2.83 * step


def shifted(splats, by):
    """As other programs' files have them: float32 far from zero, without an origin."""
    return replace(splats, means=(splats.means + np.asarray(by)).astype(np.float32))


def test_a_scene_far_from_the_origin_is_sent_about_its_middle(tmp_path):
    splats = some_splats()
    write_ply(tmp_path / "near.ply", splats)
    (tmp_path / "far").mkdir()
    write_ply(tmp_path / "far" / "scene.ply", shifted(splats, (1000.0, 0, -70_000)))
    near, far = open_scene(tmp_path / "near.ply")[0], open_scene(tmp_path / "far")[0]
    assert near.message.splats and near.message.splats.origin == (0, 0, 0) and near.splats == tmp_path / "near.ply"
    assert far.message.splats and isinstance(far.splats, bytes)
    (tmp_path / "sent.ply").write_bytes(far.splats)
    sent = read_ply(tmp_path / "sent.ply")
    assert np.abs(sent.means).max() < 10  # where half floats have a thousandth
    assert np.allclose(sent.means + far.message.splats.origin - (1000, 0, -70_000), splats.means, atol=0.01)


def test_a_page_of_one_file_holds_a_far_scene_as_exactly_as_a_near_one(tmp_path):
    splats = some_splats()
    shift = np.array((1000.0, -300, 5000))  # of which float32 keeps half a thousandth
    rows = [
        {"name": "a.jpg", "width": 64, "height": 48, "K": [[100.0, 0, 32], [0, 100, 24], [0, 0, 1]],
         "camera_from_world": [[1.0, 0, 0, -1000], [0, 1, 0, 300], [0, 0, 1, -4995]], "distortion": None}
    ]  # fmt: skip
    write_ply(run_folder(tmp_path / "run", rows) / "scene.ply", shifted(splats, shift))
    assert outcome(["export", str(tmp_path / "run"), str(tmp_path / "scene.html"), "--no-check"]) == 0
    text = (tmp_path / "scene.html").read_text(encoding="utf-8")
    message = json.loads(element(text, "recon3d-scene"))
    (tmp_path / "inside.sog").write_bytes(base64.b64decode(element(text, "recon3d-splats")))
    inside = read_splats(tmp_path / "inside.sog").splats.means + message["splats"]["origin"] - shift
    away = np.linalg.norm(inside[:, None] - splats.means, axis=2).min(1)  # a SOG has its own order
    assert away.max() < 2e-3
    assert message["cameras"][0]["camera_from_world"][3] == -1000  # cameras stay in the scene's world
