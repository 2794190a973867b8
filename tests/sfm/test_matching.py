"""Which photos are matched with which."""

import pytest

from recon3d.sfm.matching import EXHAUSTIVE_UP_TO, KEYFRAMES, OVERLAP, pairs_to_match


@pytest.mark.parametrize("count", [2, 17, EXHAUSTIVE_UP_TO])
def test_few_photos_are_matched_all_with_all(count):
    assert pairs_to_match(count) == [(i, j) for i in range(count) for j in range(i + 1, count)]


@pytest.mark.parametrize(("count", "sequence"), [(EXHAUSTIVE_UP_TO + 1, False), (50, True), (200, True)])
def test_a_sequence_is_matched_with_its_neighbours_and_by_keyframes_that_close_loops(count, sequence):
    pairs = pairs_to_match(count, sequence)
    assert pairs == sorted(set(pairs)) and all(0 <= i < j < count for i, j in pairs)
    near = {(i, i + d) for i in range(count) for d in range(1, OVERLAP + 1) if i + d < count}
    assert near <= set(pairs)
    assert (0, count - 1) in pairs  # the ends of a loop
    assert len(pairs) < count * (OVERLAP + 5) + KEYFRAMES**2 / 2


def test_a_short_sequence_is_matched_all_with_all():
    assert pairs_to_match(KEYFRAMES, sequence=True) == pairs_to_match(KEYFRAMES)
