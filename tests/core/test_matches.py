"""Observations of a network's matches: some views, views of more, several sets as one; and a geometry of some views."""

from dataclasses import replace

import torch

from recon3d.core.matches import Matches, together
from recon3d.core.synthetic import Synthetic, synthetic_geometry

MADE = Matches(
    torch.tensor([0, 1, 2, 2, 0]), torch.tensor([5, 5, 5, 9, 9]), torch.arange(10, dtype=torch.float64).reshape(5, 2), 512, "x"
)


def test_some_views_are_numbered_anew_and_the_others_observations_go():
    found = MADE.of_views(torch.tensor([2, 0]), 3)
    assert found.view.tolist() == [1, 0, 0, 1] and found.track.tolist() == [5, 5, 9, 9]
    assert found.xy[:, 0].tolist() == [0, 4, 6, 8]
    assert MADE.among([7, 3, 4]).view.tolist() == [7, 3, 4, 4, 7]


def test_tracks_of_several_sets_stay_apart():
    both = together([MADE, MADE.where(MADE.view < 0), MADE.among([1, 0, 3])])
    assert both.track.tolist() == [5, 5, 5, 9, 9, 15, 15, 15, 19, 19] and both.view.tolist() == [0, 1, 2, 2, 0, 1, 0, 3, 3, 1]


def test_a_geometry_of_some_views_has_their_matches():
    geometry = replace(synthetic_geometry(Synthetic(views=3)), matches=MADE)
    some = geometry[[2, 1]].matches
    assert some is not None and some.view.tolist() == [1, 0, 0] and some.track.tolist() == [5, 5, 9]
    one = geometry[torch.tensor([True, False, False])].matches
    assert one is not None and one.view.tolist() == [0, 0]
