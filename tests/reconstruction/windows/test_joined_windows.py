"""Sixty frames in windows of sixteen, by an invented network whose truth is known: scale, trajectory, loops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from recon3d.core.similarity import Similarity
from recon3d.models.pictures import Answer
from recon3d.reconstruction.windows.answer import answer_in_windows, whole
from recon3d.reconstruction.windows.cut import homes
from recon3d.reconstruction.windows.join import Window
from recon3d.reconstruction.windows.looks import in_order, look
from recon3d.reconstruction.windows.loops import Matches, both_ends, candidates
from tests.shared_folder import shared
from tools.benchmarks.joined_windows import (
    DRIFTING,
    EXACT,
    OVERLAP,
    SIZE,
    InventedNetwork,
    Noise,
    World,
    ate,
    joined,
    lap,
    no_matches,
    scale_errors,
    street,
    true_matches,
)


@pytest.fixture(scope="module")
def drive() -> World:
    return street(shared("data/street").parent)


def test_sixty_frames_of_street_are_joined_with_the_right_relative_scale(drive):
    errors, ates = [], []
    for seed in range(3):
        found, scales = joined(drive, Noise(), seed, loops=False)
        assert len(found.cut) == 5 and all(edge.join.why is None for edge in found.joins)
        errors += scale_errors(found, scales)
        ates.append(ate(found, drive))
    assert np.sqrt(np.mean(np.square(errors))) < 0.01
    assert max(ates) < 0.01


def test_without_errors_windows_are_the_truth_again(drive):
    found, scales = joined(drive, EXACT, 0, loops=False)
    assert np.abs(scale_errors(found, scales)).max() < 1e-5 and ate(found, drive) < 1e-5
    true = torch.stack([drive.depth(i) for i in (0, 30, 59)])
    depth = found.answer.geometry.depth
    assert depth is not None
    torch.testing.assert_close(
        torch.stack([depth[i] for i in (0, 30, 59)]).double() / scales[0], true, atol=1e-3, rtol=1e-4
    )


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_loop_is_closed_and_takes_most_of_the_drift_away(seed):
    hall = lap()
    open_, closed = (joined(hall, DRIFTING, seed, loops)[0] for loops in (False, True))
    assert not open_.closed and closed.closed
    assert ate(open_, hall) > 0.008
    assert ate(closed, hall) < ate(open_, hall) / 2
    for loop in closed.closed:
        assert abs(loop.views[0] - loop.views[1]) > 40
        assert loop.before.degrees > 5 > 2 > loop.after.degrees and loop.before.scale > 0.1 > 0.05 > loop.after.scale


def told_alike(first: int, second: int, count: int = 60) -> torch.Tensor:
    """Looks in which two places, and no others far apart, are alike."""
    random = torch.Generator().manual_seed(0)
    looks = torch.randn(count, 64, generator=random)
    looks[second] = looks[first] + 0.1 * torch.randn(64, generator=random)
    return looks


def in_hall(network, matches, looks):
    return answer_in_windows(network, range(60), SIZE, OVERLAP, looks, matches)


def test_views_that_only_look_alike_close_no_loop():
    """Opposite sides of the hall, whose photos share no point."""
    hall = lap()
    random = torch.Generator().manual_seed(0)
    found = in_hall(InventedNetwork(hall, Noise(), 0), lambda i, j: true_matches(hall, i, j, random), told_alike(5, 31))
    assert found.loops[0].views == (5, 31) and found.loops[0].why == "their photos have 0 matches"
    assert not any(loop.views == (5, 31) for loop in found.closed)


def test_matches_that_contradict_the_network_close_no_loop():
    """Repeated patterns: the photos match as those of neighbours do, the network sees that the places differ."""
    hall = lap()
    random = torch.Generator().manual_seed(0)
    found = in_hall(InventedNetwork(hall, Noise(), 0), lambda i, j: true_matches(hall, i, i + 1, random), told_alike(5, 31))
    (loop,) = (loop for loop in found.loops if loop.views == (5, 31))
    assert loop.matches > 100 and loop.why is not None and "agrees with" in loop.why
    assert loop.agreeing is not None and loop.agreeing < 0.1


class Fooled(InventedNetwork):
    """Sees the second half of a pass over views 2 .. 9 and 28 .. 35 where the first half is."""

    def __call__(self, views: Sequence[int]) -> Answer:
        far = 28 in views and 5 in views
        return super().__call__([view % 26 if far else view for view in views])


def test_a_network_that_is_fooled_closes_no_loop_without_matches():
    hall = lap()
    few: Matches = (torch.rand(9, 2) * 30, torch.rand(9, 2) * 30)
    found = in_hall(Fooled(hall, EXACT, 0), lambda i, j: few, told_alike(5, 31))
    assert found.closed == () and ate(found, hall) < 1e-5


def test_a_pass_that_does_not_fit_its_windows_closes_no_loop():
    """Matches and pass agree with each other; but the pass' cameras of one end are not those of its window."""
    hall = lap()
    random = torch.Generator().manual_seed(0)

    def matches(i: int, j: int) -> Matches:
        return true_matches(hall, i, j % 26, random)

    found = in_hall(FooledOnce(hall, EXACT, 0), matches, told_alike(5, 31))
    (loop,) = (loop for loop in found.loops if loop.views == (5, 31))
    assert loop.agreeing is not None and loop.agreeing > 0.5
    assert loop.why is not None and "fits a window badly" in loop.why


class FooledOnce(InventedNetwork):
    """The same place for both ends, and its cameras in another order than they are."""

    def __call__(self, views: Sequence[int]) -> Answer:
        if not (31 in views and 5 in views):
            return super().__call__(views)
        seen = [view if view == 5 else 5 if view == 31 else (17 * view) % 60 for view in views]
        return super().__call__(seen)


def test_an_order_is_taken_as_given_where_neighbours_look_alike_and_found_where_not():
    hall = lap(40, again=1)
    network = InventedNetwork(hall, EXACT, 0)
    looks = torch.stack([look(x) for x in network.features(range(40))])
    assert in_order(looks) is None
    shuffled = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    found = in_order(looks[shuffled])
    assert found is not None
    steps = torch.tensor([int(shuffled[v]) for v in found]).diff().abs() % 39
    assert float(((steps <= 3) | (steps >= 36)).double().mean()) > 0.8


def test_candidates_are_a_window_apart_and_not_twice_of_one_place():
    looks = told_alike(5, 31)
    order = tuple(range(59, -1, -1))
    found = candidates(looks, order, 16, 8)
    assert set(found[0]) == {5, 31} and len(found) == 8
    assert all(abs(i - j) >= 16 for i, j in found)
    assert all(abs(a - c) > 8 or abs(b - d) > 8 for n, (a, b) in enumerate(found) for c, d in found[:n])


def test_a_pass_over_both_ends_has_half_of_its_views_about_each():
    views = both_ends(range(60), (1, 40), 8)
    assert views == (0, 1, 2, 3, 38, 39, 40, 41)


def test_metres_of_all_windows_count():
    """Windows that say 2, 1 and 0.5 times the true metres: the whole is in the true ones."""
    network = InventedNetwork(lap(12), EXACT, 0)
    wrong = iter((2.0, 1.0, 0.5))

    def in_metres(views: Sequence[int]) -> Answer:
        answer = network(views)
        known = answer.geometry.transformed(Similarity.of(next(wrong) / network.scales[-1]))
        return replace(answer, geometry=replace(known, scale="metres"))

    found = answer_in_windows(in_metres, range(12), 6, 2, None, no_matches)
    assert found.answer.geometry.scale == "metres"
    depth = found.answer.geometry.depth
    assert depth is not None
    assert float(depth[0].median()) == pytest.approx(float(network.world.depth(0).median()), rel=1e-3)


def test_every_view_keeps_its_own_pictures_and_unposed_ones_their_names():
    network = InventedNetwork(lap(12), EXACT, 0)
    cut = ((0, 1, 2, 3, 4, 5), (4, 5, 6, 7, 8, 9))
    passes = [Window(views, replace(network(views), unposed=(5,))) for views in cut]
    found = whole(passes, homes(cut), [Similarity.identity()] * 2)
    assert found.unposed == (9,)  # view 5 is at home in the second window, which placed it
    assert len(found.geometry.cameras) == 10 and len(found.photo_rects) == 10
