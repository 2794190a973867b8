"""Worlds that contradict their joins least: closed forms of a ring, and truth from a start that is off."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from recon3d.core.rotations import rotation_angle, rotation_from_vector
from recon3d.core.similarity import Similarity
from recon3d.reconstruction.windows.join import Join
from recon3d.reconstruction.windows.pose_graph import Edge, chained, error_of, optimised


def edge(first: int, second: int, similarity: Similarity, why: str | None = None) -> Edge:
    center = torch.tensor([0.3, -0.2, 1.0], dtype=torch.float64)
    return Edge(first, second, Join(similarity, (0, 1), (0, 1), center, 2.0, 0.0, 0.0, 0.0, why))


def turned(degrees: float) -> torch.Tensor:
    return rotation_from_vector(torch.tensor([0, math.radians(degrees), 0], dtype=torch.float64))


def drawn(count: int, spread: float = 1.0) -> list[Similarity]:
    random = torch.Generator().manual_seed(1)
    return [
        Similarity.of(
            math.exp(spread * float(torch.randn(1, generator=random))),
            rotation_from_vector(spread * torch.randn(3, generator=random, dtype=torch.float64)),
            spread * torch.randn(3, generator=random, dtype=torch.float64),
        )
        for _ in range(count)
    ]


def between(nodes: list[Similarity], a: int, b: int) -> Similarity:
    return nodes[a].inverse() @ nodes[b]


def test_true_edges_give_the_truth_from_a_start_that_is_off():
    true = drawn(6)
    true = [true[0].inverse() @ node for node in true]
    edges = [edge(a, b, between(true, a, b)) for a, b in ((0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (0, 5), (1, 4))]
    off = [true[0], *(node @ wrong for node, wrong in zip(true[1:], drawn(5, 0.3), strict=True))]
    assert max(error_of(e, off).degrees for e in edges) > 10
    for found, wanted in zip(optimised(off, edges), true, strict=True):
        assert float(found.scale) == pytest.approx(float(wanted.scale), rel=1e-7)
        torch.testing.assert_close(found.rotation, wanted.rotation, atol=1e-7, rtol=0)
        torch.testing.assert_close(found.translation, wanted.translation, atol=1e-6, rtol=0)


def test_what_a_ring_misses_in_scale_is_shared_equally():
    """Five joins of scale 1.02 that should close to 1: least squares of logarithms leaves each off by log 1.02 and none else."""
    edges = [edge(i, i + 1, Similarity.of(1.02)) for i in range(4)] + [edge(0, 4, Similarity.of(1 / 1.02))]
    start = chained(5, edges[:4])
    assert float(start[4].scale) == pytest.approx(1.02**4)
    found = optimised(start, edges)
    for e in edges:
        assert error_of(e, found).scale == pytest.approx(0.02, abs=2e-3)
    # Turns and shifts stay nearly none: a scale about one place moves the other ones a little.
    assert max(error_of(e, found).degrees for e in edges) < 0.1


def test_what_a_ring_misses_in_rotation_is_shared_equally():
    """Turns about one axis through the places of the joins commute: six of 61° are 6° too many, one each."""
    about = torch.tensor([0.3, -0.2, 1.0], dtype=torch.float64)
    turn = Similarity.of(1.0, turned(61), about - turned(61) @ about)
    back = turn
    edges = [edge(i, i + 1, turn) for i in range(5)] + [edge(5, 0, back)]
    start = chained(6, edges[:5])
    assert error_of(edges[-1], start).degrees == pytest.approx(6, abs=1e-6)
    for e in edges:
        assert error_of(e, optimised(start, edges)).degrees == pytest.approx(1, abs=1e-3)


def test_a_join_that_nothing_determines_gives_way():
    wrong = Similarity.of(3.0, turned(40))
    edges = [
        edge(0, 1, Similarity.of()),
        edge(1, 2, wrong, "only 1 of 4 shared cameras agree"),
        edge(2, 3, Similarity.of()),
        edge(0, 3, Similarity.of()),
    ]
    found = optimised(chained(4, edges[:3]), edges)
    for node in found:
        assert float(node.scale) == pytest.approx(1, abs=1e-3)
        assert float(rotation_angle(node.rotation)) < 0.01


def test_a_chain_goes_by_determined_joins_where_there_are_some():
    edges = [edge(0, 1, Similarity.of(2.0), "unknown"), edge(0, 2, Similarity.of()), edge(2, 1, Similarity.of(0.5))]
    assert np.allclose([float(x.scale) for x in chained(3, edges)], [1, 0.5, 1])


def test_windows_that_nothing_ties_are_told():
    with pytest.raises(ValueError, match="1 windows share no view"):
        chained(3, [edge(0, 1, Similarity.of())])
