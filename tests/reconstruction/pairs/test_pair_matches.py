"""Matches in the answer of a network of two pictures: the proved matching on each two pictures, in pixels of the photos."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recon3d.core.pairs import Pairs
from recon3d.models.dust3r.matching import matches_both_ways
from recon3d.models.dust3r.network import normalised
from recon3d.models.dust3r.preprocessing import preprocessed
from recon3d.models.pictures import Pass
from recon3d.reconstruction.pairs import answer as pair_answer
from recon3d.reconstruction.pairs.aligned import Aligned, geometry_of, middles, pinholes
from recon3d.reconstruction.pairs.answer import MATCH_STEP, answer, with_matches
from tests.models.dust3r_files import LINEAR, MATCHING, tiny, tiny_config

SIZES = ((90, 120), (120, 90), (90, 120))


@pytest.fixture
def aligned(monkeypatch) -> list[Pairs]:
    """What goes into the alignment, which takes seconds and is left out."""
    given: list[Pairs] = []

    def one_world(pairs: Pairs, _) -> Aligned:
        given.append(pairs)
        poses, K = torch.eye(4, dtype=torch.float64).repeat(3, 1, 1), pinholes(torch.full((3,), 60.0), middles(pairs))
        return Aligned(geometry_of(pairs, poses, K, tuple(torch.ones(pairs.size(i)) for i in range(3))))

    monkeypatch.setattr(pair_answer, "one_world", one_world)
    return given


def photos() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(0, 255, (*size, 3), np.uint8) for size in SIZES]


def test_the_answers_matches_are_those_of_each_two_pictures_once(aligned):
    network, given = tiny(tiny_config(MATCHING)), photos()
    matches = answer(network, given, Pass(matches=True)).matches
    assert matches is not None and (matches.longest, matches.source) == (64, "mast3r")
    pictures = preprocessed(given, 64, 16)
    found = {}
    for track in matches.track.unique():
        mine = matches.track == track
        i, j = matches.view[mine].tolist()
        found.setdefault((i, j), []).append(matches.xy[mine].flatten())
    assert set(found) == {(1, 0), (2, 0), (2, 1)}
    for (i, j), ours in found.items():
        first, second = network(normalised(pictures[i].images), normalised(pictures[j].images))
        direct = matches_both_ways(first.descriptors[0], second.descriptors[0], MATCH_STEP).double()
        photo = [torch.tensor([SIZES[v][1] / pictures[v].size[1], SIZES[v][0] / pictures[v].size[0]]) for v in (i, j)]
        torch.testing.assert_close(torch.stack(ours), direct * torch.cat(photo), rtol=0, atol=1e-9)


def test_what_is_aligned_is_the_same_to_the_bit_whether_matches_are_asked_for(aligned):
    network, given = tiny(tiny_config(MATCHING)), photos()
    assert answer(network, given, Pass()).matches is None
    answer(network, given, Pass(matches=True))
    plain, asked = aligned
    assert plain.matches is None and asked.matches is not None
    for name in ("points_i", "points_j", "confidence_i", "confidence_j"):
        assert all(torch.equal(a, b) for a, b in zip(getattr(plain, name), getattr(asked, name), strict=True))


def test_of_two_photos_no_more_are_kept_than_adjusting_takes(aligned, monkeypatch):
    network, given = tiny(tiny_config(MATCHING)), photos()
    every = answer(network, given, Pass(matches=True)).matches
    monkeypatch.setattr(pair_answer, "MOST_MATCHES", 3)
    few = answer(network, given, Pass(matches=True)).matches
    assert every is not None and few is not None and len(few) == 3 * 2 * 3 < len(every)
    assert {tuple(xy) for xy in few.xy.tolist()} <= {tuple(xy) for xy in every.xy.tolist()}


def test_a_network_without_descriptors_has_none(aligned):
    linear, matching = tiny_config(LINEAR), tiny_config(MATCHING)
    assert with_matches(linear, matching) is None and with_matches(matching, matching) == matching
    assert answer(tiny(linear), photos(), Pass(matches=True)).matches is None
