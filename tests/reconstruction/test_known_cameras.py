"""Known cameras for a prediction: it is moved to them, its depth solved again, and usual mistakes in them are named."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from recon3d.core.geometry import Geometry
from recon3d.core.views import Views
from recon3d.errors import InputError
from recon3d.pipeline.network_sources import say_unconfirmed
from recon3d.progress import Progress
from recon3d.reconstruction.depth_of_known import DepthFit, fitted, from_others, solved_again, unconfirmed
from recon3d.reconstruction.given_mistakes import disagreement
from recon3d.reconstruction.known_cameras import fit_to_known, moved_to_known
from tests.sfm.test_given_cameras import FLIP, FORWARD_LEFT_UP, HALF_TURN_Y, UNITY
from tools.benchmarks.known_cameras import Errors, off, predicted, true_scene

Scene = tuple[Views, Geometry]


@pytest.fixture(scope="module")
def scene() -> Scene:
    return true_scene(3, 4)


def known_of(truth: Geometry, rows: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    is_known = torch.zeros(len(truth), dtype=torch.bool)
    is_known[list(rows)] = True
    return torch.where(is_known[:, None, None], truth.cameras.camera_from_world, torch.nan), is_known


def solved(scene: Scene, prediction: Geometry, rows: tuple[int, ...]) -> tuple[Geometry, tuple[DepthFit, ...]]:
    known, is_known = known_of(scene[1], rows)
    moved, _ = moved_to_known(prediction, known, is_known)
    found, fits = solved_again(scene[0], moved, is_known)
    assert torch.equal(found.cameras.camera_from_world[is_known], scene[1].cameras.camera_from_world[is_known])
    return found, fits


def test_a_prediction_without_errors_is_moved_exactly_by_two_cameras(scene):
    _, truth = scene
    moved, fit = moved_to_known(predicted(truth, 0, Errors()), *known_of(truth, (0, 2)))
    assert float(fit.given_from_predicted.scale) == pytest.approx(1 / 0.37, rel=1e-5)
    assert torch.allclose(moved.cameras.camera_from_world, truth.cameras.camera_from_world, atol=1e-4)
    assert max(off(moved, truth)) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_with_all_cameras_known_noisy_points_come_within_2_percent_of_the_truth(scene, seed):
    noisy = predicted(scene[1], seed, Errors(degrees=2.0, centres=0.05, scales=0.1, shifts=0.1))
    before, _ = moved_to_known(noisy, *known_of(scene[1], (0, 1, 2, 3)))
    found, fits = solved(scene, noisy, (0, 1, 2, 3))
    assert max(off(before, scene[1])) > 0.05
    assert max(off(found, scene[1])) < 0.02
    assert {fit.way for fit in fits} == {"stereo"}


def test_with_two_views_known_their_points_come_within_2_percent_of_the_truth():
    two = true_scene(3, 2)
    found, _ = solved(two, predicted(two[1], 2, Errors(degrees=2.0, centres=0.05, scales=0.1)), (0, 1))
    assert max(off(found, two[1])) < 0.02


@pytest.mark.parametrize("times", [pytest.param(0.35, marks=pytest.mark.slow), 3.0])
def test_depth_several_times_too_far_comes_to_the_scale_of_the_cameras(scene, times):
    wrong = predicted(scene[1], 4, Errors(degrees=1.0, centres=0.02, scales=0.1, times=times))
    found, fits = solved(scene, wrong, (0, 1, 2, 3))
    assert max(off(found, scene[1])) < 0.02
    assert {fit.way for fit in fits} == {"stereo"}


def test_a_predicted_form_that_is_wrong_gives_way_to_stereo(scene):
    """Walls of one depth, three times too far, in place of what the photos show."""
    truth = scene[1]
    assert truth.depth is not None
    walls = replace(truth, depth=tuple(torch.full_like(depth, 3 * float(depth.median())) for depth in truth.depth))
    found, _ = solved(scene, walls, (0, 1, 2, 3))
    assert found.depth is not None and found.confidence is not None
    for i, (depth, true) in enumerate(zip(found.depth, truth.depth, strict=True)):
        told = (found.confidence[i] > 0) & (true > 0)
        assert float(told.double().mean()) > 0.4
        assert float((depth[told] / true[told] - 1).abs().median()) < 0.05


def test_depth_that_nothing_confirms_loses_its_confidence(scene):
    """A grey photo: stereo says nothing of it, and its depth lies on no surface of the others."""
    views, truth = scene
    assert truth.depth is not None
    grey = replace(views, images=(*views.images[:3], torch.full_like(views.images[3], 128)))
    ramp = torch.linspace(0.2, 5, truth.depth[3].shape[1]).expand_as(truth.depth[3]) * truth.depth[3].median()
    found, fits = solved((grey, truth), replace(truth, depth=(*truth.depth[:3], ramp)), (0, 1, 2, 3))
    assert found.confidence is not None
    assert unconfirmed(fits) == [3]
    assert not found.confidence[3].any() and all(bool(c.any()) for c in found.confidence[:3])


def test_a_scale_that_is_not_believed_moves_nothing(scene):
    """Columns too near, too far and between: their middle is a tenth too far, and hardly any surface is met by it."""
    truth = scene[1]
    assert truth.depth is not None
    columns = torch.tensor([0.75, 0.75, 1.1, 1.28, 1.28]).repeat(truth.depth[3].shape[1])[: truth.depth[3].shape[1]]
    fit = from_others(replace(truth, depth=(*truth.depth[:3], columns * truth.depth[3])), 3, [0, 1, 2])
    assert fit.way == "cameras" and fit.scale == 1
    assert fit.error is not None and fit.error > 0.1
    met = from_others(replace(truth, depth=(*truth.depth[:3], 1.1 * truth.depth[3])), 3, [0, 1, 2])
    assert met.way == "other views" and met.scale == pytest.approx(1 / 1.1, rel=0.02)


def test_where_nothing_is_confirmed_confidence_stays_and_it_is_told(scene):
    views, truth = scene
    grey = replace(views, images=tuple(torch.full_like(image, 128) for image in views.images))
    found, fits = solved((grey, truth), truth, (0, 1, 2, 3))
    assert found.confidence is not None and all(bool(c.any()) for c in found.confidence)
    progress = Progress()
    say_unconfirmed(fits, views.names, progress)
    assert unconfirmed(fits) == [0, 1, 2, 3]
    assert len(progress.notes) == 1 and "several times off" in progress.notes[0]


def test_with_some_cameras_known_the_depth_of_the_others_follows_theirs(scene):
    found, fits = solved(scene, predicted(scene[1], 3, Errors(degrees=0.3, centres=0.005, scales=0.1)), (0, 1, 3))
    assert max(off(found, scene[1])) < 0.02
    assert [fit.way for fit in fits] == ["stereo", "stereo", "other views", "stereo"]


def test_one_known_camera_gives_rotation_and_translation_only(scene):
    _, truth = scene
    there = predicted(truth, 0, Errors())
    moved, fit = moved_to_known(there, *known_of(truth, (1,)))
    assert not fit.scale_known and float(fit.given_from_predicted.scale) == 1
    assert torch.equal(moved.cameras.camera_from_world[1], truth.cameras.camera_from_world[1])
    between = (m.cameras.centers_in_world[0] - m.cameras.centers_in_world[2] for m in (moved, there))
    assert float(next(between).norm()) == pytest.approx(float(next(between).norm()), rel=1e-4)


def test_equal_centres_are_survived(scene):
    _, truth = scene
    given = truth.cameras.camera_from_world.clone()
    given[:, :3, 3] = 0
    moved, fit = moved_to_known(predicted(truth, 0, Errors()), given, torch.ones(4, dtype=torch.bool))
    assert not fit.scale_known and torch.isfinite(moved.cameras.camera_from_world).all()
    assert torch.equal(moved.cameras.camera_from_world, given)


def test_a_wrong_camera_among_many_does_not_move_the_others():
    _, truth = true_scene(3, 6)
    cameras = predicted(truth, 0, Errors()).cameras
    wrong = cameras.camera_from_world.clone()
    wrong[2, :3, :3] = torch.from_numpy(FLIP[:3, :3]) @ wrong[2, :3, :3]
    wrong[2, :3, 3] += 3
    fit = fit_to_known(replace(cameras, camera_from_world=wrong), truth.cameras.camera_from_world, 1.0)
    assert float(fit.given_from_predicted.scale) == pytest.approx(1 / 0.37, rel=0.01)
    others = [0, 1, 3, 4, 5]
    assert float(fit.rotation_degrees[others].max()) < 1 and int(fit.rotation_degrees.argmax()) == 2


def test_stereo_that_follows_something_else_is_not_believed():
    """One plane everywhere, where the prediction knows three depths: no scale and no line explains it."""
    depth = torch.ones(40, 50)
    depth[:, 16:], depth[:, 33:] = 2, 4
    plane = torch.full((20, 25), 2.0, dtype=torch.float64)
    assert fitted(depth, plane) is None
    assert fitted(depth, plane[:, :5].contiguous()) is None  # too few pixels
    straight = fitted(depth, torch.nn.functional.interpolate(1.2 * depth[None, None], (20, 25))[0, 0].double() + 0.5)
    assert straight is not None
    assert straight.scale == pytest.approx(1.2, rel=0.01) and straight.shift == pytest.approx(0.5, abs=0.02)


def slow(*case):
    return pytest.param(*case, marks=pytest.mark.slow)


MISTAKES = (
    (np.linalg.inv, "the matrices are inverse: they map cameras into the world would leave"),
    (lambda p: FLIP @ p, "the y and z axes of the cameras are flipped: half a turn about x, as between OpenGL and OpenCV"),
    slow(lambda p: np.linalg.inv(FLIP @ p), "the matrices are inverse: .*; and the y and z axes of the cameras are flipped"),
    slow(lambda p: HALF_TURN_Y @ p, "the cameras look the other way: half a turn about their y axis"),
    slow(lambda p: FORWARD_LEFT_UP @ p, "what should be right, down and forward is forward, left and up in the photos"),
    (lambda p: UNITY @ p @ UNITY, r"the cameras are mirrored, as where .* left-handed .* is right, up and forward"),
)


def judged(scene: Scene, prediction: Geometry, change, monkeypatch) -> tuple[dict, Progress]:
    """Photos are left out: the prediction alone judges."""
    from recon3d.reconstruction import given_mistakes

    monkeypatch.setattr(given_mistakes, "by_photos", lambda *_: {})
    poses = np.stack([change(pose) for pose in scene[1].cameras.camera_from_world.numpy()])
    views = replace(scene[0], known_camera_from_world=torch.from_numpy(poses))
    progress = Progress()
    return disagreement(views, views, prediction, 0, "cameras.json", progress), progress


@pytest.mark.parametrize(("mistake", "words"), MISTAKES)
def test_a_usual_mistake_in_known_cameras_is_named_by_a_prediction_with_errors(scene, mistake, words, monkeypatch):
    noisy = predicted(scene[1], 1, Errors(degrees=0.5, centres=0.02, scales=0.05))
    with pytest.raises(InputError, match=rf"^cameras\.json: only \d+% of the predicted surfaces can be .*{words}"):
        judged(scene, noisy, mistake, monkeypatch)


@pytest.mark.parametrize("degrees", [0.0, 1.0, 3.0])
def test_right_cameras_are_kept_whatever_the_prediction(scene, degrees, monkeypatch):
    noisy = predicted(scene[1], 1, Errors(degrees, centres=degrees / 40, scales=0.1))
    found, progress = judged(scene, noisy, lambda pose: pose, monkeypatch)
    assert found["explanation"] is None and found["by"] == "prediction"
    assert bool(progress.notes) == found["disagrees"] and (not found["disagrees"] or degrees == 3.0)
