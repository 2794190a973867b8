"""Which views go through together: all of them, in full windows that overlap; each one's home is where it stands most central."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from recon3d.reconstruction.windows.cut import default_overlap, homes, windows


@given(st.integers(3, 20), st.integers(0, 60), st.data())
def test_windows_are_full_overlap_as_asked_and_hold_every_view(size, more, data):
    count, overlap = size + more, data.draw(st.integers(1, size - 1))
    order = data.draw(st.permutations(range(count)))
    cut = windows(order, size, overlap)
    assert {view for views in cut for view in views} == set(range(count))
    assert all(len(views) == size for views in cut)
    shared = [len(set(a) & set(b)) for a, b in itertools.pairwise(cut)]
    assert all(s == overlap for s in shared[:-1]) and all(s >= overlap for s in shared)


@given(st.integers(3, 20), st.integers(1, 60))
def test_a_view_comes_from_the_window_in_which_it_is_furthest_from_an_inner_end(size, more):
    cut = windows(range(size + more), size, default_overlap(size))

    def room(view: int, number: int) -> int:
        place = cut[number].index(view)
        ends = ([place] if number else []) + ([size - 1 - place] if number < len(cut) - 1 else [])
        return min(ends)

    home = homes(cut)
    assert sorted(home) == list(range(size + more))
    for view, number in home.items():
        assert room(view, number) == max(room(view, n) for n, views in enumerate(cut) if view in views)


def test_the_overlap_is_a_quarter_and_two_at_least():
    assert [default_overlap(size) for size in (2, 3, 6, 8, 16, 60)] == [1, 2, 2, 2, 4, 15]
