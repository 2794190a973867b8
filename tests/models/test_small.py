"""recon3d-small: where it starts, and cameras from places that are known."""

import pytest
import torch

from recon3d.data.batch import Batch, rendered
from recon3d.data.shots import drawn
from recon3d.metrics.poses import pair_errors
from recon3d.models.pose_encoding import encoding_from_matrices
from recon3d.models.small.config import SmallConfig
from recon3d.models.small.network import Small, SmallNetwork
from recon3d.models.small.poses import cameras, depths
from recon3d.training.small_losses import true_places

TINY = SmallConfig(dim=64, heads=2, stem=(8, 16, 32), before=1, after=1, match_dim=32)


def test_an_untrained_network_says_one_camera_and_depth_one():
    torch.manual_seed(0)
    said = SmallNetwork(TINY)(torch.rand(2, 3, 3, 48, 64))
    matrices = torch.eye(4)[:3].expand(2, 3, 3, 4)
    K = torch.tensor([[0.95 * 64, 0, 32], [0, 0.95 * 64, 24], [0, 0, 1]]).expand(2, 3, 3, 3)
    torch.testing.assert_close(said.encodings, encoding_from_matrices(matrices, K, (48, 64)))
    assert (said.depth == 1).all() and said.depth.shape == (2, 3, 48, 64)


def test_the_first_view_stays_the_world_and_the_order_of_the_others_changes_nothing():
    torch.manual_seed(0)
    network = SmallNetwork(TINY).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, 0, 0.05)
    images = torch.rand(1, 4, 3, 48, 64)
    order = [0, 1, 3, 2]  # the first view is compared with the second
    one, two = network(images), network(images[:, order])
    torch.testing.assert_close(one.encodings[:, order], two.encodings, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(one.depth[:, order], two.depth, atol=1e-5, rtol=1e-4)
    assert one.encodings[0, 0, :7].tolist() == [0, 0, 0, 0, 0, 0, 1]


def told(batch: Batch, wrong: float = 0.0) -> Small:
    """An answer whose places are true but for a share that are anywhere; its cameras know nothing but K."""
    places, seen, _ = true_places(batch, 16)
    anywhere = torch.rand(places.shape, generator=torch.Generator().manual_seed(0)) * batch.size[1]
    off = torch.rand(seen.shape, generator=torch.Generator().manual_seed(1)) < wrong
    same = torch.eye(4).expand_as(batch.camera_from_world)[..., :3, :]
    depth = torch.where(batch.depth > 0, batch.depth, 10.0)
    return Small(
        encoding_from_matrices(same, batch.K, batch.size), depth, torch.ones_like(depth), torch.zeros(1), places, torch.zeros(1),
        torch.where(off[..., None], anywhere, places), torch.where(seen, 1.0, -1.0), torch.zeros(1),
    )  # fmt: skip


@pytest.mark.parametrize(("wrong", "right"), [(0.0, 1.0), (0.2, 0.6)])
def test_true_places_give_the_true_cameras(wrong, right):
    """All of them; six in ten views where a fifth of the places are anywhere."""
    good = []
    for seed in range(6):
        batch = rendered(drawn([7, seed], 3, (224, 224), 0.0))
        matrices, _, by_matches = cameras(told(batch, wrong), 16)
        truth = batch.camera_from_world[0].double()
        truth = truth @ torch.linalg.inv(truth[0])
        for view in by_matches.nonzero()[:, 0].tolist():
            square = torch.stack([torch.eye(4).double(), torch.cat([matrices[view], torch.eye(4).double()[3:]])])
            errors = pair_errors(square, truth[[0, view]])
            length = square[1, :3, 3].norm() / truth[view, :3, 3].norm()
            good.append(bool(errors.rotation < 1.5) and bool(errors.translation < 6) and bool((length - 1).abs() < 0.1))
    assert len(good) >= 8 and sum(good) >= right * len(good)


def test_places_that_agree_with_nothing_leave_what_the_network_said():
    batch = rendered(drawn([7, 0], 2, (224, 224), 0.0))
    matrices, _, by_matches = cameras(told(batch, 1.0), 16)
    assert not by_matches.any() and torch.equal(matrices, torch.eye(4).double()[:3].expand(2, 3, 4))


def test_depths_of_two_rays_are_where_they_meet():
    import numpy as np

    chance = np.random.default_rng(0)
    points = chance.uniform(-1, 1, (20, 3)) + [0, 0, 4]
    rotation, direction = np.eye(3), np.array([[0.6], [0.0], [0.8]])
    other = points + direction[:, 0]
    rays = [points[:, :2] / points[:, 2:], other[:, :2] / other[:, 2:]]
    np.testing.assert_allclose(depths(rays, np.ones(20, bool), rotation, direction), points[:, 2], rtol=1e-9)
