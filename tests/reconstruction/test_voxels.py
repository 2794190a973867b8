"""A cloud of many views is capped by joining what lies together, not by thinning."""

from __future__ import annotations

import torch

from recon3d.reconstruction.voxels import voxelised


def random(*size: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_points_that_share_a_voxel_become_their_mean():
    points = torch.tensor([[0.1, 0.1, 0.1], [0.3, 0.5, 0.7], [5.5, 0, 0]], dtype=torch.float64)
    colors = torch.tensor([[0, 100, 255], [100, 100, 0], [9, 8, 7]], dtype=torch.uint8)
    found, of_found = voxelised(points, colors, torch.ones(3, dtype=torch.float64), 10)
    order = found[:, 0].argsort()
    torch.testing.assert_close(found[order], torch.tensor([[0.2, 0.3, 0.4], [5.5, 0, 0]], dtype=torch.float64))
    assert of_found[order].tolist() == [[50, 100, 128], [9, 8, 7]]


def test_the_cap_is_met_and_every_place_keeps_points_however_often_it_was_seen():
    """A plate, one half of it seen by one view, the other by thirty: both halves end with about as many points."""
    left, right = random(20_000, 3) * torch.tensor([1, 1, 0.0]), random(600_000, 3, seed=1) * torch.tensor([1, 1, 0.0])
    points = torch.cat((left, right + torch.tensor([1.0, 0, 0])))
    sizes = torch.full((len(points),), 1 / 141, dtype=torch.float64)
    found, _ = voxelised(points, torch.zeros(len(points), 3, dtype=torch.uint8), sizes, 3000)
    assert 1500 < len(found) <= 3000
    halves = [int((found[:, 0] < 1).sum()), int((found[:, 0] >= 1).sum())]
    assert max(halves) < 1.1 * min(halves)


def test_what_was_seen_from_near_keeps_its_detail_beside_what_is_far():
    near, far = random(5000, 3), 1000 * random(5000, 3, seed=1) + 5000
    sizes = torch.cat((torch.full((5000,), 0.05), torch.full((5000,), 50.0))).double()
    found, _ = voxelised(torch.cat((near, far)), torch.zeros(10_000, 3, dtype=torch.uint8), sizes, 2000)
    count = int((found.norm(dim=1) < 10).sum())
    assert len(found) <= 2000 and count > 0.3 * len(found)
