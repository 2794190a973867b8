"""Frames about a far origin: what is given comes back in double precision."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from recon3d.core.origin import local_origin, moved_pose
from recon3d.core.scene import Scene
from recon3d.core.similarity import Similarity
from recon3d.core.synthetic import synthetic_gaussians

UTM = np.array([500000.0, 120.5, 4650000.0])


def test_an_origin_is_a_round_place_among_far_points_and_none_among_near_ones():
    points = np.random.default_rng(0).normal(size=(500, 3)) * 5
    assert local_origin(points).tolist() == [0, 0, 0] == local_origin(points + 300).tolist()
    far = local_origin(points + UTM)
    assert np.abs(far - UTM).max() < 2 and (far == np.round(far)).all()
    assert local_origin(points * 1e-3 + [0, 0, 1]).any()  # it is the ratio that float32 feels
    assert not local_origin(np.tile(UTM, (3, 1))).any() and not local_origin(np.zeros((0, 3))).any()


def test_cameras_of_a_moved_world_see_moved_points_at_the_same_place():
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = Rotation.random(random_state=2).as_matrix(), (1, 2, 3)
    point = np.array([0.3, -0.2, 4.0])
    seen = moved_pose(pose, UTM)[:3] @ [*(point + UTM), 1]
    assert np.abs(seen - pose[:3] @ [*point, 1]).max() < 2e-9
    assert (moved_pose(np.stack([pose, pose]), np.zeros(3)) == pose).all()


@pytest.mark.parametrize("shift", [None, -UTM, [1.0, 2.0, 3.0]])
def test_far_splats_are_moved_without_becoming_rounder(shift):
    near = synthetic_gaussians(200).splats()
    far = near.placed(near.positions + UTM)
    assert np.abs(far.positions - near.positions - UTM).max() < 1e-6  # float32 of the scene's size, not of the way to zero
    turn = Rotation.random(random_state=3).as_matrix()
    moved = far.moved(turn, 2.0, None if shift is None else 2.0 * turn @ shift)
    expected = 2.0 * (near.positions + UTM + (0 if shift is None else shift)) @ turn.T
    assert np.abs(moved.positions - expected).max() < 2e-6
    assert moved.origin.any() == (shift is None or np.any(shift != -UTM))


def test_a_translation_to_far_away_makes_an_origin():
    near = synthetic_gaussians(200).splats()
    moved = near.moved(np.eye(3), 1.0, UTM)
    assert moved.origin.any() and np.abs(moved.positions - near.positions - UTM).max() < 1e-6
    scene = replace(Scene(synthetic_gaussians(200)), origin=tuple(UTM.tolist()))
    turned = scene.transformed(Similarity.of(2.0, translation=torch.tensor([1.0, 2, 3])))
    assert np.abs(turned.splats().positions - 2 * (near.positions + UTM) - [1, 2, 3]).max() < 1e-6
