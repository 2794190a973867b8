"""Thinning keeps the number and what surfaces cover; what is brought near looks as before."""

import math
from dataclasses import replace

import torch

from recon3d.core.gaussians import Gaussians
from recon3d.core.synthetic import Synthetic, arc_of_cameras, synthetic_gaussians
from recon3d.reconstruction.pruning import FARTHEST, brought_near, thinned
from recon3d.rendering.render import render


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


def test_what_is_brought_near_looks_as_before_and_what_is_near_stays():
    """A shell a thousand times further away than it may be, behind a scene seen by cameras that reach 0.5."""
    generator = torch.Generator().manual_seed(0)
    near = synthetic_gaussians(300)
    directions = torch.nn.functional.normalize(torch.randn(200, 3, generator=generator), dim=1)
    far = replace(
        synthetic_gaussians(200), means=directions * 5e5, scales=torch.full((200, 3), 4e4), opacities=torch.full((200,), 0.9)
    )
    gaussians = joined(near, far)
    cameras = arc_of_cameras(Synthetic())
    moved = brought_near(gaussians, cameras)
    centers = cameras.centers_in_world
    reach = float((centers - centers.mean(0)).norm(dim=1).max())
    away = (moved.means - centers.mean(0)).norm(dim=1)
    assert float(away.max()) <= 1.001 * max(FARTHEST * reach, 100 * float(away.median())) < 0.1 * 5e5
    assert torch.equal(moved.means[:300], gaussians.means[:300]) and torch.equal(moved.scales[:300], gaussians.scales[:300])
    difference = (render(moved, cameras).rgb - render(gaussians, cameras).rgb).square().mean()
    assert -10 * math.log10(float(difference)) > 60
    assert brought_near(near, cameras) is near


def joined(a: Gaussians, b: Gaussians) -> Gaussians:
    return Gaussians(*(torch.cat((getattr(a, n), getattr(b, n))) for n in ("means", "quats", "scales", "opacities", "sh")))
