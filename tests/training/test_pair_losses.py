"""Losses of point maps and matches of two pictures: what they must not depend on, and where they are least."""

from dataclasses import replace

import pytest
import torch

from recon3d.core.rotations import rotation_from_vector
from recon3d.core.similarity import Similarity
from recon3d.training.pair_losses import (
    TwoMaps,
    at_mean_distance_one,
    at_pixels,
    confidence_loss,
    in_first_camera,
    info_nce,
    pointmap_loss,
    scale_and_shift_free_distance,
)  # fmt: skip


def maps(seed: int, batch: int = 2) -> TwoMaps:
    generator = torch.Generator().manual_seed(seed)
    points = [torch.randn(batch, *size, 3, generator=generator, dtype=torch.float64) for size in ((5, 7), (8, 4))]
    valid = [torch.rand(batch, *size, generator=generator) < 0.7 for size in ((5, 7), (8, 4))]
    for some in points:
        some[..., 2] += 4
    return TwoMaps(points[0], points[1], valid[0], valid[1])


def ones(like: TwoMaps) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.ones_like(like.points1[..., 0]), torch.ones_like(like.points2[..., 0])


def test_the_scale_of_each_pair_and_the_pixels_without_truth_do_not_matter():
    predicted, truth = maps(0), maps(1)
    truth = replace(truth, valid1=predicted.valid1, valid2=predicted.valid2)
    loss = pointmap_loss(predicted, ones(truth), truth)
    resized = pointmap_loss(
        predicted.scaled(torch.tensor([3.0, 0.2])), ones(truth), truth.scaled(torch.tensor([0.1, 7.0]))
    )
    torch.testing.assert_close(resized, loss)
    unknown = truth.points1.masked_fill(~truth.valid1[..., None], torch.nan)
    torch.testing.assert_close(pointmap_loss(predicted, ones(truth), replace(truth, points1=unknown)), loss)


def test_the_mean_distance_of_both_pictures_together_is_one():
    known = at_mean_distance_one(maps(2)).known().norm(dim=-1)
    torch.testing.assert_close(known.nanmean(1), torch.ones(2, dtype=torch.float64))


def test_the_world_of_the_truth_does_not_matter():
    truth, camera = maps(3), torch.eye(4, dtype=torch.float64).repeat(2, 1, 1)
    move = Similarity.of(1.0, rotation_from_vector(torch.tensor([0.3, -1.0, 0.6])), torch.tensor([1.0, 2, 3]))
    camera[:, :3, :3], camera[:, :3, 3] = move.rotation, move.translation
    in_world = replace(truth, points1=move.apply(truth.points1), points2=move.apply(truth.points2))
    back = in_first_camera(in_world, camera)
    torch.testing.assert_close(back.points1, truth.points1)
    torch.testing.assert_close(back.points2, truth.points2)


def test_the_best_confidence_is_alpha_over_the_distance():
    """d/dc (c·l - a·log c) = 0."""
    distance = torch.tensor([0.1, 0.5, 4.0], dtype=torch.float64)
    confidence = (0.2 / distance).requires_grad_()
    confidence_loss(distance, confidence, alpha=0.2).backward()
    torch.testing.assert_close(confidence.grad, torch.zeros(3, dtype=torch.float64))


def test_pictures_without_a_valid_pixel_add_nothing_and_break_nothing():
    predicted, truth = maps(4), maps(4)
    nothing = torch.zeros_like(truth.valid2)
    predicted = replace(predicted, points1=predicted.points1.clone().requires_grad_(), valid2=nothing)
    loss = pointmap_loss(predicted, ones(truth), replace(truth, valid2=nothing))
    loss.backward()
    assert torch.isfinite(loss) and predicted.points1.grad is not None and predicted.points1.grad.isfinite().all()


def test_a_prediction_of_other_scale_and_depth_is_no_error_of_the_test():
    truth = maps(5)
    moved = truth.scaled(torch.tensor([2.0, 0.3])).nearer(torch.tensor([1.0, -0.5]))
    assert (
        float(scale_and_shift_free_distance(moved, truth)) < 1e-6 < float(scale_and_shift_free_distance(maps(6), truth))
    )


@pytest.mark.parametrize("kind", ["proper", "all", "dual"])
def test_matches_are_found_by_their_own_descriptors(kind):
    """Orthogonal descriptors of length a: own / all = 1 / (1 + (N - 1) e^(-a²/t)), in each of the two ways."""
    count, length, temperature = 6, 0.5, 0.05
    descriptors = length * torch.eye(count, dtype=torch.float64)[None]
    one_way = torch.log1p((count - 1) * torch.exp(torch.tensor(-(length**2) / temperature, dtype=torch.float64)))
    among_all = one_way + torch.log(torch.tensor(float(count)))
    expected = among_all if kind == "all" else 2 * one_way
    torch.testing.assert_close(info_nce(descriptors, descriptors, kind, temperature), expected.expand(1, count))


def test_blocks_of_matches_know_nothing_of_each_other():
    generator = torch.Generator().manual_seed(7)
    a, b = torch.randn(2, 2, 10, 4, generator=generator)
    parts = [info_nce(a[:, i : i + 4], b[:, i : i + 4]) for i in (0, 4, 8)]
    torch.testing.assert_close(info_nce(a, b, block=4), torch.cat(parts, 1))


def test_pixels_are_column_and_row():
    values = torch.arange(12).reshape(1, 3, 4)
    assert at_pixels(values, torch.tensor([[[3, 0], [0, 2]]])).tolist() == [[3, 8]]
