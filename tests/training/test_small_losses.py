"""True matches against a search by hand, and losses of a perfect answer."""

import torch

from recon3d.data.batch import rendered
from recon3d.data.shots import drawn, stacked
from recon3d.models.pose_encoding import encoding_from_matrices
from recon3d.models.small.network import Small, compared_with
from recon3d.training.losses import dense_loss, normalised, truth_encodings
from recon3d.training.small_losses import depth_loss, losses, match_loss, true_places, truth_of

PATCH = 16


def test_true_places_are_where_points_are_seen():
    batch = rendered(drawn(4, 3, (96, 128)))
    places, seen, _ = true_places(batch, PATCH)
    points = batch.points_in_world()
    checked = 0
    for v, other in enumerate(compared_with(3)):
        for t in range(seen.shape[2]):
            row, column = divmod(t, 128 // PATCH)
            y, x = row * PATCH + PATCH // 2, column * PATCH + PATCH // 2
            p = batch.camera_from_world[0, other, :3, :3] @ points[0, v, y, x] + batch.camera_from_world[0, other, :3, 3]
            u, w = (batch.K[0, other] @ p)[:2] / p[2]
            there = bool(batch.depth[0, v, y, x] > 0 and p[2] > 0 and 0 <= u < 128 and 0 <= w < 96)
            there = there and bool((batch.depth[0, other, int(w), int(u)] - p[2]).abs() < 0.03 * p[2])
            assert bool(seen[0, v, t]) == there
            if there:
                torch.testing.assert_close(places[0, v, t], torch.stack([u, w]), rtol=0, atol=2e-3)
            checked += there
    assert checked > 40


def test_a_perfect_answer_costs_nothing_but_its_confidence():
    batch = rendered(drawn(4, 2, (96, 128)))
    truth = normalised(truth_of(batch), batch.depth > 0)
    places, seen, _ = true_places(batch, PATCH)
    said = Small(
        truth_encodings(truth, batch.K), truth.depth, torch.ones_like(truth.depth), torch.zeros(1, 2, 48, 48), places,
        torch.zeros(1, 2, 48, 81), places, torch.where(seen, 1e3, -1e3), torch.zeros(1, 2, 1, 6, 8),
    )  # fmt: skip
    found = losses(said, batch, PATCH)
    assert all(float(getattr(found, name)) < 1e-5 for name in ("camera", "depth", "place", "visible"))


def test_the_best_logits_put_the_mean_patch_where_the_place_is():
    """Gradient descent on the logits of one patch among 6 × 8 ends at shares whose mean is the place."""
    place = torch.tensor([[[[3.3, 4.1]]]])
    logits = torch.zeros(1, 1, 1, 48, requires_grad=True)
    optimiser = torch.optim.Adam([logits], 0.3)
    for _ in range(300):
        optimiser.zero_grad()
        match_loss(logits, place, 8).sum().backward()
        optimiser.step()
    y, x = torch.meshgrid(torch.arange(6) + 0.5, torch.arange(8) + 0.5, indexing="ij")
    share = logits.detach().softmax(-1).flatten()
    torch.testing.assert_close(share @ torch.stack([x, y], -1).flatten(0, 1), place.flatten(), rtol=0, atol=0.02)


def test_the_depth_loss_is_vggts_of_each_scene():
    batch = rendered(stacked([drawn(seed, 2, (48, 64)) for seed in (4, 5)]))
    chance = torch.Generator().manual_seed(0)
    depth = batch.depth + 0.3 * torch.randn(batch.depth.shape, generator=chance)
    confidence = 1 + torch.rand(batch.depth.shape, generator=chance)
    valid = batch.depth > 0
    expected = [
        dense_loss(depth[b, None, ..., None], confidence[b, None], batch.depth[b, None, ..., None], valid[b, None], "grad", 0)
        for b in range(2)
    ]
    found = depth_loss(depth, confidence, batch.depth, valid)
    torch.testing.assert_close(found, torch.stack([e.total for e in expected]).mean())


def test_encodings_of_the_truth_are_relative_to_the_first_camera():
    batch = rendered(drawn(5, 2, (64, 64)))
    truth = normalised(truth_of(batch), batch.depth > 0)
    first = encoding_from_matrices(torch.eye(4)[None, :3], batch.K[0, :1], (64, 64))
    torch.testing.assert_close(truth_encodings(truth, batch.K)[0, :1], first, atol=1e-6, rtol=0)
