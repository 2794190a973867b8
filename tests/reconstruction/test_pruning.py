"""Thinning keeps the number and what surfaces cover."""

import torch

from recon3d.core.synthetic import synthetic_gaussians
from recon3d.reconstruction.pruning import thinned


def test_no_more_than_asked_for_stay_and_together_they_cover_as_much():
    gaussians = synthetic_gaussians(2000)
    few = thinned(gaussians, 500, seed=1)
    assert len(few) == 500
    area, before = (float(g.scales.square().sum()) for g in (few, gaussians))
    assert 0.8 < area / before < 1.25
    assert torch.equal(few.means, thinned(gaussians, 500, seed=1).means)
    assert set(map(tuple, few.means.tolist())) <= set(map(tuple, gaussians.means.tolist()))


def test_a_scene_within_the_limit_is_left_alone():
    gaussians = synthetic_gaussians(10)
    assert thinned(gaussians, 10, seed=0) is gaussians
