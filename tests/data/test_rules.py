"""Rules of the published loaders, and samplers where no list names frames."""

import dataclasses

import pytest
import torch

from recon3d.data.chunks import scene_of
from recon3d.data.frames import Choice
from recon3d.data.posed_scene import PosedScene, Skipped
from recon3d.data.rules import RULES, Rules, fields_of_view, why_not
from recon3d.data.samplers import Bounded, bounded, spread
from tests.data.made_scenes import camera_rows, entry

CHOICE = Choice("a", (0, 2), (1,))


def made(cameras: torch.Tensor | None = None) -> PosedScene:
    scene = scene_of({**entry("a"), "cameras": camera_rows(4) if cameras is None else cameras}, "a")
    assert isinstance(scene, PosedScene)
    return scene


def changed(change) -> torch.Tensor:
    rows = camera_rows(4)
    change(rows)
    return rows


BAD_ROWS = {
    "frame 1: the camera is not finite": changed(lambda rows: rows[1, 9].fill_(float("nan"))),
    "frame 1: the rotation is not orthonormal (off by inf)": changed(lambda rows: rows[1, 6:9].zero_()),
    "frame 1: the focal length is -57.6": changed(lambda rows: rows[1, 1].neg_()),
}


@pytest.mark.parametrize("reason", BAD_ROWS)
def test_a_camera_that_is_none_skips_the_scene_only_where_it_is_used(reason):
    scene = made(BAD_ROWS[reason])
    assert why_not(scene, CHOICE, RULES["none"]) == reason
    assert why_not(scene, Choice("a", (0, 2), (3,)), RULES["none"]) is None


def test_frames_that_are_not_there_skip_the_scene():
    assert why_not(made(), Choice("a", (0, 4), (1,)), RULES["none"]) == "frame 4 is asked for, and it has 4"


def test_fields_of_view_are_the_published_ones():
    """2 atan(1 / 2f) where the principal point is in the middle; any frame of the scene counts."""
    rows = camera_rows(4)
    rows[:, 2:4] = 0.5
    rows[3, 0] = 0.4
    scene = made(rows)
    expected = torch.rad2deg(2 * torch.atan(0.5 / rows[:, :2].double()))
    torch.testing.assert_close(fields_of_view(scene.cameras), expected, rtol=0, atol=1e-4)
    assert why_not(scene, CHOICE, Rules(widest=100.0)) == "its field of view is 102.7 degrees, over 100"
    assert why_not(scene, CHOICE, Rules(widest=103.0)) is None


def test_pictures_of_another_size_skip_the_scene():
    assert why_not(made(), CHOICE, Rules(stored=(360, 640))) == "its pictures have 64x36 pixels, not 640x360"
    assert why_not(made(), CHOICE, Rules(stored=(36, 64))) is None


def test_context_cameras_at_one_place_skip_the_scene_only_where_it_is_scaled_by_them():
    rows = camera_rows(4)
    rows[:, 6:] = rows[0, 6:]
    assert why_not(made(rows), CHOICE, RULES["none"]) is None
    reason = why_not(made(rows), CHOICE, dataclasses.replace(RULES["none"], unit_baseline=True))
    assert reason == "its context cameras are 0 apart, under 0.001"


def test_bounded_frames_keep_their_gap_and_never_come_twice():
    sampler = Bounded(contexts=4, targets=3, least_gap=10, most_gap=20)
    found = [bounded(f"scene{i}", 40, sampler, seed=3) for i in range(50)]
    for choice in found:
        assert isinstance(choice, Choice)
        first, last = choice.context[0], choice.context[-1]
        assert 10 <= last - first <= 20 and last < 40 and len(set(choice.frames)) == 7
        assert all(first < i < last for i in choice.target)
    assert len({choice.context for choice in found}) > 40
    assert found[7] == bounded("scene7", 40, sampler, seed=3) != bounded("scene7", 40, sampler, seed=4)


def test_a_scene_with_too_few_frames_is_skipped_with_the_reason():
    found = bounded("a", 40, Bounded(least_gap=45), 0)
    assert isinstance(found, Skipped) and found.reason == "its 40 frames are too few for context views 45 frames apart"
    assert isinstance(spread("a", 3, 3, 2, 0), Skipped)


def test_spread_frames_are_those_of_the_shared_tables():
    """25 photos, 8:4 held out, six views: round(linspace) over the 22 that remain."""
    found = spread("kitchen", 25, 6, 8, 4)
    assert isinstance(found, Choice)
    assert found.target == (4, 12, 20)
    assert found.context == (0, 5, 9, 15, 19, 24)
