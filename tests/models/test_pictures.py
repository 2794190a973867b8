"""The door of the networks: raw confidences become ranks of the scene, also for pictures of different sizes."""

import torch

from recon3d.models.pictures import geometry_in_network, ranked


def test_ranks_are_over_all_pictures_and_equal_values_share_one():
    low, high = ranked((torch.tensor([[1.0, 2.0], [2.0, 5.0]]), torch.tensor([[9.0, 5.0, 1.0]])))
    assert torch.allclose(low, torch.tensor([[2 / 7, 4 / 7], [4 / 7, 6 / 7]])) and low.shape == (2, 2)
    assert torch.allclose(high, torch.tensor([[1.0, 6 / 7, 2 / 7]]))
    assert all(torch.equal(x, torch.ones(2, 2)) for x in ranked(torch.full((3, 2, 2), 7.0)))


def test_no_rank_is_0_which_means_masked_or_sky():
    most_alike = torch.cat((torch.ones(99), torch.tensor([2.0])))[None]
    (found,) = ranked((most_alike,))
    assert found[0, 0] == 0.99 and found[0, 99] == 1


def test_pictures_of_one_size_may_come_stacked():
    K, poses = torch.eye(3).repeat(2, 1, 1), torch.eye(4).repeat(2, 1, 1)[:, :3]
    depth, confidence = torch.rand(2, 4, 5), torch.rand(2, 4, 5)
    stacked = geometry_in_network(poses, K, depth, confidence, "a network")
    apart = geometry_in_network(poses, K, tuple(depth), tuple(confidence), "a network")
    assert stacked.cameras.sizes.tolist() == apart.cameras.sizes.tolist() == [[4, 5], [4, 5]]
    assert stacked.confidence is not None and apart.confidence is not None
    assert all(torch.equal(a, b) for a, b in zip(stacked.confidence, apart.confidence, strict=True))
