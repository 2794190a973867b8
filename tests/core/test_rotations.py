"""Rotations between their forms, against scipy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from recon3d.core.rotations import (
    matrices_from_quats,
    quats_from_matrices,
    rotation_angle,
    rotation_from_vector,
)


def some(count: int = 40, seed: int = 0) -> Rotation:
    return Rotation.random(count, random_state=seed)


def wxyz(rotation: Rotation) -> torch.Tensor:
    return torch.from_numpy(rotation.as_quat()[:, [3, 0, 1, 2]].copy())


def test_matrices_of_quaternions_of_any_length_are_scipys():
    quats = wxyz(some())
    for length in (1.0, 0.01, 30.0):
        np.testing.assert_allclose(matrices_from_quats(length * quats), some().as_matrix(), atol=1e-14)


def test_quaternions_of_matrices_are_scipys_with_w_not_negative():
    expected = wxyz(some())
    expected = torch.where(expected[:, :1] < 0, -expected, expected)
    torch.testing.assert_close(quats_from_matrices(torch.from_numpy(some().as_matrix())), expected)


@pytest.mark.parametrize("axis", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, -1, 1)])
def test_half_turns_survive_where_the_trace_has_no_digits_left(axis):
    turn = Rotation.from_rotvec(np.pi * np.array(axis) / np.linalg.norm(axis)).as_matrix()
    again = matrices_from_quats(quats_from_matrices(torch.from_numpy(turn[None])))[0]
    np.testing.assert_allclose(again, turn, atol=1e-14)


@settings(max_examples=40, deadline=None)
@given(st.tuples(*[st.floats(-3, 3)] * 3))
def test_a_rotation_vector_turns_as_scipys(vector):
    ours = rotation_from_vector(torch.tensor(vector, dtype=torch.float64))
    np.testing.assert_allclose(ours, Rotation.from_rotvec(vector).as_matrix(), atol=1e-12)


def test_a_rotation_vector_of_zero_has_the_gradient_of_the_cross_product():
    """d(R x)/dv at v = 0 is v × x."""
    x = torch.tensor([0.3, -0.7, 1.1], dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda v: rotation_from_vector(v) @ x, torch.zeros(3, dtype=torch.float64))
    expected = torch.stack([torch.linalg.cross(e, x) for e in torch.eye(3, dtype=torch.float64)], 1)
    torch.testing.assert_close(jacobian, expected)


@pytest.mark.parametrize("degrees", [0.0, 1e-6, 1e-3, 1.0, 90.0, 179.999, 180.0])
def test_angles_keep_their_digits_from_nothing_to_a_half_turn(degrees):
    turn = Rotation.from_rotvec(np.radians(degrees) * np.array([0.0, 0.6, 0.8])).as_matrix()
    assert float(rotation_angle(torch.from_numpy(turn))) == pytest.approx(degrees, rel=1e-8, abs=1e-12)
