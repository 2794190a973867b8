"""ATE and RPE against golden cases, closed forms and evo."""

import math

import numpy as np
import pytest
import torch

from recon3d.core.rotations import rotation_from_vector
from recon3d.core.similarity import Similarity
from recon3d.core.synthetic import Synthetic, arc_of_cameras
from recon3d.metrics.trajectory import trajectory_figures
from tests.metrics.golden import check, golden_cases, tensors

SQUARE = [[1.0, 1, 0], [1, -1, 0], [-1, -1, 0], [-1, 1, 0]]


def cameras_at(centers) -> torch.Tensor:
    """camera_from_world of cameras with the axes of the world."""
    cameras = torch.eye(4, dtype=torch.float64).repeat(len(centers), 1, 1)
    cameras[:, :3, 3] = -torch.tensor(centers, dtype=torch.float64)
    return cameras


def rotation(*vector: float) -> torch.Tensor:
    return rotation_from_vector(torch.tensor(vector, dtype=torch.float64))


@golden_cases("trajectory")
def test_trajectory_errors_are_those_of_the_golden_case(case):
    golden = tensors(case)
    found = trajectory_figures(torch.linalg.inv(golden["in.prediction"]), torch.linalg.inv(golden["in.truth"]))
    rpe = {"rpe_translation_rmse": found.rpe_translation, "rpe_rotation_rmse_deg": found.rpe_rotation}
    check(case, {"ate_rmse": found.ate, **rpe})


def test_a_moved_turned_and_scaled_trajectory_has_no_error():
    cameras = arc_of_cameras(Synthetic(views=6))
    moved = cameras.transformed(Similarity.of(2.5, rotation(0.3, -0.7, 1.1), torch.tensor([1.0, 2.0, -3.0])))
    found = trajectory_figures(moved.camera_from_world, cameras.camera_from_world)
    assert max(found.ate, found.rpe_translation, found.rpe_rotation) < 1e-6
    assert (found.views, found.steps) == (6, 5)


def test_centres_off_by_what_no_similarity_takes_away_err_by_that():
    """A square whose true corners are lifted by +h, -h, +h, -h, without force, torque or stretch: the fit is the identity.

    Each of the three steps then errs by 2h.
    """
    lifted = [[x, y, 0.1 * (-1) ** i] for i, (x, y, _) in enumerate(SQUARE)]
    found = trajectory_figures(cameras_at(SQUARE), cameras_at(lifted))
    assert found.ate == pytest.approx(0.1, abs=1e-12)
    assert found.rpe_translation == pytest.approx(0.2, abs=1e-12)
    assert found.rpe_rotation == pytest.approx(0, abs=1e-12)


def test_a_camera_turned_in_its_place_errs_in_the_steps_that_touch_it_only():
    """Camera 1 of 4, turned by 7 degrees about z: two of three rotations, and the step of length 2 that is seen from it."""
    turned = cameras_at(SQUARE)
    angle = math.radians(7)
    turned[1, :3] = rotation(0, 0, angle) @ turned[1, :3]
    found = trajectory_figures(turned, cameras_at(SQUARE))
    assert found.ate == pytest.approx(0, abs=1e-12)
    assert found.rpe_rotation == pytest.approx(7 * math.sqrt(2 / 3), abs=1e-9)
    assert found.rpe_translation == pytest.approx(2 * 2 * math.sin(angle / 2) / math.sqrt(3), abs=1e-12)


def test_views_that_are_not_registered_do_not_count_whatever_they_hold():
    cameras = arc_of_cameras(Synthetic(views=6)).camera_from_world
    estimated = cameras.clone()
    estimated[2] = torch.nan
    found = trajectory_figures(estimated, cameras, torch.arange(6) != 2)
    assert (found.views, found.steps) == (5, 3)
    assert max(found.ate, found.rpe_translation, found.rpe_rotation) < 1e-6


def test_no_two_neighbours_have_no_step_to_compare():
    cameras = arc_of_cameras(Synthetic(views=5)).camera_from_world
    found = trajectory_figures(cameras, cameras, torch.tensor([1, 0, 1, 0, 1]))
    assert found.ate < 1e-6 and found.steps == 0
    assert math.isnan(found.rpe_translation) and math.isnan(found.rpe_rotation)


@pytest.mark.parametrize("count", [0, 2])
def test_fewer_than_three_cameras_have_no_similarity(count):
    cameras = arc_of_cameras(Synthetic(views=5)).camera_from_world
    with pytest.raises(ValueError, match="three points"):
        trajectory_figures(cameras, cameras, torch.arange(5) < count)


def test_errors_are_those_of_evo():
    metrics = pytest.importorskip("evo.core.metrics")
    PosePath3D = pytest.importorskip("evo.core.trajectory").PosePath3D
    generator = torch.Generator().manual_seed(0)
    truth = arc_of_cameras(Synthetic(views=9)).camera_from_world
    estimated = truth.clone()
    estimated[:, :3] = rotation_from_vector(0.1 * torch.randn(9, 3, generator=generator).double()) @ truth[:, :3]
    estimated[:, :3, 3] += 0.05 * torch.randn(9, 3, generator=generator).double()
    ours = trajectory_figures(estimated, truth)

    def path(cameras):
        return PosePath3D(poses_se3=list(np.linalg.inv(cameras.numpy())))

    pair = path(truth), path(estimated)
    pair[1].align(pair[0], correct_scale=True)
    relation, frames = metrics.PoseRelation, metrics.Unit.frames
    oracles = {
        ours.ate: metrics.APE(relation.translation_part),
        ours.rpe_translation: metrics.RPE(relation.translation_part, delta=1, delta_unit=frames),
        ours.rpe_rotation: metrics.RPE(relation.rotation_angle_deg, delta=1, delta_unit=frames),
    }
    for figure, oracle in oracles.items():
        oracle.process_data(pair)
        assert figure == pytest.approx(oracle.get_statistic(metrics.StatisticsType.rmse), rel=1e-6)
        assert figure > 1e-3
