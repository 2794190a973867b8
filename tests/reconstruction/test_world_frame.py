"""Upright worlds and smooth flights, on cameras whose frame is known."""

import numpy as np
import pytest
import torch
from scipy.interpolate import CubicHermiteSpline

from recon3d.core.rotations import rotation_angle, rotation_from_vector
from recon3d.core.similarity import Similarity
from recon3d.core.synthetic import Synthetic, arc_of_cameras, synthetic_geometry
from recon3d.reconstruction.camera_path import fly_through, spline
from recon3d.reconstruction.world_frame import least_turn, upright


def test_a_tilted_world_comes_out_with_its_up_at_minus_y_and_its_middle_at_the_origin():
    true = synthetic_geometry(Synthetic(views=6, arc=60))
    turn = rotation_from_vector(torch.tensor([0.9, -0.4, 1.3], dtype=torch.float64))
    tilted = true.transformed(Similarity.of(3.0, turn, torch.tensor([5.0, 6.0, 7.0])))
    turned = tilted.transformed(upright(tilted))
    up = -turned.cameras.camera_from_world[:, 1, :3].mean(0)
    assert torch.allclose(up / up.norm(), torch.tensor([0.0, -1.0, 0.0], dtype=torch.float64), atol=1e-9)
    assert turned.points.median(0).values.norm() < 0.2 * 3
    size = (turned.points[0] - turned.points[1]).norm() / (tilted.points[0] - tilted.points[1]).norm()
    assert float(size) == pytest.approx(1)


def test_photos_straight_down_and_turned_all_ways_are_put_below_their_cameras():
    geometry = synthetic_geometry(Synthetic(views=4))
    down = rotation_from_vector(torch.tensor([[0, 0, k * torch.pi / 2] for k in range(4)], dtype=torch.float64))
    poses = torch.eye(4, dtype=torch.float64).repeat(4, 1, 1)
    poses[:, :3, :3] = down
    poses[:, 2, 3] = 5
    geometry = geometry.with_cameras(
        type(geometry.cameras)(poses, geometry.cameras.K, geometry.cameras.sizes, geometry.cameras.camera_index)
    )
    turned = geometry.transformed(upright(geometry))
    forward = turned.cameras.camera_from_world[:, 2, :3]
    assert torch.allclose(forward, torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64).expand(4, 3), atol=1e-9)


def test_the_least_turn_between_opposite_directions_is_half_a_turn():
    y = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    turn = least_turn(y, -y)
    assert torch.allclose(turn @ y, -y) and torch.linalg.det(turn) == pytest.approx(1)
    assert float(rotation_angle(turn)) == pytest.approx(180)


def test_the_spline_is_scipys_hermite_spline_with_catmull_rom_tangents():
    knots = torch.tensor(np.random.default_rng(0).normal(size=(6, 3)))
    padded = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    oracle = CubicHermiteSpline(np.arange(6), knots.numpy(), (padded[2:] - padded[:-2]) / 2)
    at = np.linspace(0, 5, 57)
    assert np.allclose(spline(knots, torch.tensor(at)).numpy(), oracle(at), atol=1e-12)


def test_a_flight_begins_and_ends_at_the_first_and_last_camera_and_never_jumps():
    cameras = arc_of_cameras(Synthetic(views=5, height=241, width=321))
    flight = fly_through(cameras, 60, longest=200)
    assert torch.allclose(flight.camera_from_world[[0, -1]], cameras.camera_from_world[[0, -1]], atol=1e-6)
    steps = (flight.centers_in_world[1:] - flight.centers_in_world[:-1]).norm(dim=1)
    assert float(steps.max() / steps.min()) < 1.2
    assert (flight.sizes % 2 == 0).all() and int(flight.sizes.max()) <= 200
