"""Pairs know their shapes and say which pair is wrong."""

from dataclasses import replace

import pytest
import torch

from recon3d.core.pairs import Pairs

SIZES = ((3, 4), (4, 3))


def pairs(edges: tuple[tuple[int, int], ...] = ((0, 1), (1, 0))) -> Pairs:
    """Confidences of pair e are e + 1, of the second picture half more."""
    return Pairs(
        torch.tensor(edges),
        tuple(torch.zeros(*SIZES[i], 3) for i, _ in edges), tuple(torch.zeros(*SIZES[j], 3) for _, j in edges),
        tuple(torch.full(SIZES[i], 1.0 + e) for e, (i, _) in enumerate(edges)),
        tuple(torch.full(SIZES[j], 1.5 + e) for e, (_, j) in enumerate(edges)),
        torch.tensor(SIZES),
    )  # fmt: skip


def test_the_best_confidence_of_a_picture_is_over_all_pairs_and_both_sides():
    of_first, of_second = pairs().best_confidence()
    assert torch.equal(of_first, torch.full((3, 4), 2.5)) and torch.equal(of_second, torch.full((4, 3), 2.0))
    assert pairs(((0, 1),)).best_confidence()[0].max() == 1.0


def test_maps_must_have_the_size_of_their_picture():
    right = pairs()
    turned = tuple(x.transpose(0, 1) for x in right.points_i)
    with pytest.raises(ValueError, match="confidence_i"):
        replace(right, points_i=turned)
    with pytest.raises(ValueError, match=r"points_i\[0\] has shape \[4, 3, 3\], picture 0 is 3 x 4"):
        replace(right, points_i=turned, confidence_i=tuple(x.T for x in right.confidence_i))


def test_edges_must_join_two_pictures_that_exist():
    with pytest.raises(ValueError, match="leave the 2 pictures"):
        replace(pairs(), edges=torch.tensor([[0, 1], [2, 0]]))
    with pytest.raises(ValueError, match="pairs picture 1 with itself"):
        replace(pairs(), edges=torch.tensor([[0, 1], [1, 1]]))


def test_the_check_names_the_pair():
    pairs().check("network")
    wrong = pairs()
    wrong.points_j[1][0, 0, 0] = float("nan")
    with pytest.raises(ValueError, match="network: 1 points of the pair of pictures 1 and 0 are not finite"):
        wrong.check("network")
    unsure = pairs()
    unsure.confidence_i[0][0, 0] = 0.5
    with pytest.raises(ValueError, match="a confidence of the pair of pictures 0 and 1"):
        unsure.check("network")
