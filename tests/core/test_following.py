"""Cameras that nothing moved follow those around them."""

import torch

from recon3d.core.following import following
from recon3d.core.rotations import rotation_from_vector
from recon3d.core.similarity import Similarity
from recon3d.core.synthetic import Synthetic, arc_of_cameras

CAMERAS = arc_of_cameras(Synthetic(views=6))
TURN = rotation_from_vector(torch.tensor([[0.1, -0.2, 0.3]], dtype=torch.float64))[0]
MOVE = Similarity.of(1.3, TURN, torch.tensor([1.0, 2, 3]))


def test_cameras_that_stood_still_are_carried_along_by_the_similarity_of_the_others():
    moved = torch.tensor([True, False, True, True, False, True])
    everywhere = CAMERAS.transformed(MOVE)
    poses = torch.where(moved[:, None, None], everywhere.camera_from_world, CAMERAS.camera_from_world)
    found = following(CAMERAS, type(CAMERAS)(poses, CAMERAS.K, CAMERAS.sizes, CAMERAS.camera_index), moved)
    assert torch.allclose(found.camera_from_world, everywhere.camera_from_world, atol=1e-12)
    assert torch.equal(found.camera_from_world[moved], poses[moved])


def test_cameras_at_one_place_carry_others_by_a_motion():
    at_one_place = CAMERAS.camera_from_world.clone()
    at_one_place[:, :3, 3] = 0
    before = type(CAMERAS)(at_one_place, CAMERAS.K, CAMERAS.sizes, CAMERAS.camera_index)
    move = Similarity.of(1.0, MOVE.rotation, MOVE.translation)
    after = before.transformed(move)
    moved = torch.tensor([True, True, True, True, True, False])
    assert torch.allclose(following(before, after, moved).camera_from_world, after.camera_from_world, atol=1e-12)


def test_a_single_moved_camera_tells_nothing():
    moved = torch.tensor([True] + [False] * 5)
    found = following(CAMERAS, CAMERAS.transformed(MOVE), moved)
    assert torch.equal(found.camera_from_world[1:], CAMERAS.camera_from_world[1:])
