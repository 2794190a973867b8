"""Pose errors against golden cases, closed forms and evo."""

import math

import numpy as np
import pytest
import torch

from recon3d.core.rotations import rotation_from_vector
from recon3d.core.similarity import Similarity
from recon3d.core.synthetic import Synthetic, arc_of_cameras
from recon3d.metrics.poses import PairErrors, auc, auc_exact, pair_errors, pose_figures, pose_figures_of_scenes
from tests.metrics.golden import check, golden_cases, tensors


@golden_cases("poses")
def test_pose_errors_are_those_of_the_golden_case(case):
    golden = tensors(case)
    errors = pair_errors(golden["in.prediction"], golden["in.truth"], golden["in.registered"])
    figures = pose_figures(errors)
    names = {"rra": "rra", "rta": "rta", "auc": "auc", "auc_sign_free": "auc_sign_free", "auc_exact_sign_free": "auc_exact"}
    shares = {f"{names[f]}_{limit}": v for f in names for limit, v in getattr(figures, f).items()}
    check(case, {"rotation_error": errors.rotation, "translation_error": errors.translation, **shares})


def test_a_moved_turned_and_scaled_world_has_no_pose_error():
    cameras = arc_of_cameras(Synthetic(views=5))
    turn = rotation_from_vector(torch.tensor([0.3, -0.7, 1.1], dtype=torch.float64))
    moved = cameras.transformed(Similarity.of(2.5, turn, torch.tensor([1.0, 2.0, -3.0])))
    errors = pair_errors(moved.camera_from_world, cameras.camera_from_world)
    assert float(errors.worst.max()) < 1e-6


def test_a_turned_camera_errs_by_its_angle_in_its_own_pairs_only():
    cameras = arc_of_cameras(Synthetic(views=4)).camera_from_world
    turned = cameras.clone()
    turned[0, :3] = rotation_from_vector(torch.tensor([0, math.radians(7.0), 0], dtype=torch.float64)) @ turned[0, :3]
    errors = pair_errors(turned, cameras)
    assert torch.allclose(errors.rotation, torch.tensor([7.0, 7, 7, 0, 0, 0], dtype=torch.float64), atol=1e-6)


def test_a_mirrored_translation_errs_by_180_degrees_and_not_at_all_without_sign():
    cameras = arc_of_cameras(Synthetic(views=2)).camera_from_world
    mirrored = cameras.clone()
    between = cameras[1, :3, :3] @ cameras[0, :3, :3].T
    step = cameras[1, :3, 3] - between @ cameras[0, :3, 3]
    mirrored[1, :3, 3] -= 2 * step
    errors = pair_errors(mirrored, cameras)
    assert float(errors.translation) == pytest.approx(180, abs=1e-6)
    assert float(errors.translation_sign_free) == pytest.approx(0, abs=1e-6)


def test_cameras_left_in_one_place_have_no_right_direction():
    reference = torch.eye(4, dtype=torch.float64).repeat(3, 1, 1)
    reference[1, 0, 3] = 1.0
    found = pair_errors(torch.eye(4).repeat(3, 1, 1), reference)  # views 0 and 2 do stand in one place
    assert found.translation.tolist() == [90, 0, 90] and found.rotation.tolist() == [0, 0, 0]


def test_pairs_of_an_unregistered_view_fail_whatever_its_matrix_holds():
    cameras = arc_of_cameras(Synthetic(views=3)).camera_from_world
    estimated = cameras.clone()
    estimated[2] = torch.nan
    errors = pair_errors(estimated, cameras, torch.tensor([True, True, False]))
    assert errors.worst.tolist() == pytest.approx([0, 180, 180], abs=1e-6)
    assert auc(errors.worst, 30) == pytest.approx(1 / 3)


def test_exact_auc_of_one_error_is_the_area_of_a_ramp_and_a_step():
    assert auc_exact(torch.tensor([2.0]), 10) == pytest.approx((0.5 * 2 * 1 + 8) / 10)
    assert auc_exact(torch.tensor([50.0]), 10) == 0


def errors_of(*degrees: float) -> PairErrors:
    """Pairs that err by the same angle in rotation and translation."""
    return PairErrors(torch.tensor(degrees), torch.tensor(degrees))


def test_the_mean_over_scenes_weighs_scenes_and_not_their_pairs():
    """One pair at 2 degrees, three at 20: at 15, a quarter of all pairs and the mean of 1 and 0."""
    figures = pose_figures_of_scenes([errors_of(2), errors_of(20, 20, 20)])
    assert (figures.over_pairs.rra[15], figures.over_scenes.rra[15]) == (0.25, 0.5)
    assert (figures.over_pairs.rta[30], figures.over_scenes.rta[30]) == (1, 1)
    # An error e counts at the whole degrees above it: (30 - e) / 30 of them.
    assert figures.over_pairs.auc[30] == pytest.approx((28 + 3 * 10) / 4 / 30)
    assert figures.over_scenes.auc[30] == pytest.approx((28 + 10) / 2 / 30)


def test_figures_without_sign_forgive_a_mirrored_translation_only():
    figures = pose_figures(PairErrors(torch.tensor([1.0, 1.0]), torch.tensor([179.5, 1.5])))
    assert (figures.rta[5], figures.rta_sign_free[5]) == (0.5, 1)
    assert (figures.auc[5], figures.auc_sign_free[5]) == pytest.approx((4 / 10, 4 / 5))


def test_a_scene_without_a_pair_is_refused():
    with pytest.raises(ValueError, match="two views"):
        pose_figures_of_scenes([errors_of(2), errors_of()])


def test_rotation_errors_are_those_of_evo():
    lie = pytest.importorskip("evo.core.lie_algebra")
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    cameras = arc_of_cameras(Synthetic(views=5)).camera_from_world
    estimated = cameras.clone()
    estimated[:, :3] = rotation_from_vector(0.2 * vectors) @ estimated[:, :3]
    errors = pair_errors(estimated, cameras)
    expected = []
    for i in range(5):
        for j in range(i + 1, 5):
            a = lie.relative_se3(np.linalg.inv(estimated[j].numpy()), np.linalg.inv(estimated[i].numpy()))
            b = lie.relative_se3(np.linalg.inv(cameras[j].numpy()), np.linalg.inv(cameras[i].numpy()))
            between = lie.relative_so3(a[:3, :3], b[:3, :3])
            expected.append(math.degrees(lie.so3_log_angle(between)))
    assert errors.rotation.tolist() == pytest.approx(expected, abs=1e-6)
