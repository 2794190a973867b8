"""Focal lengths from point maps whose camera is known."""

import math

import pytest
import torch

from recon3d.core.synthetic import Synthetic, arc_of_cameras
from recon3d.reconstruction.pairs.focal import PLAUSIBLE, median_focal, weiszfeld_focal

CAMERAS = arc_of_cameras(Synthetic(views=1, height=30, width=40))
CENTERS, FOCAL = CAMERAS.K[:, :2, 2], float(CAMERAS.K[0, 0, 0])


def point_map() -> torch.Tensor:
    depth = 2 + torch.rand(30, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return (CAMERAS.rays(0) * depth[..., None])[None]


def test_exact_maps_give_their_focal_at_any_scale():
    both = torch.cat([point_map(), point_map() * 7])
    for found in (weiszfeld_focal, median_focal):
        focals = found(both, CENTERS.expand(2, 2))
        assert torch.allclose(focals, torch.full_like(focals, FOCAL), rtol=1e-9)


def test_one_point_in_five_anywhere_moves_the_focal_by_less_than_two_percent():
    generator = torch.Generator().manual_seed(1)
    points = point_map()
    wrong = torch.rand(points.shape[:3], generator=generator) < 0.2
    points[wrong] = torch.randn(int(wrong.sum()), 3, generator=generator, dtype=torch.float64) + torch.tensor([0, 0, 3])
    assert float(weiszfeld_focal(points, CENTERS)) == pytest.approx(FOCAL, rel=0.02)
    assert float(median_focal(points, CENTERS)) == pytest.approx(FOCAL, rel=0.02)


def test_points_at_depth_zero_have_no_say():
    points = point_map()
    points[0, :3] = 0
    assert float(weiszfeld_focal(points, CENTERS)) == pytest.approx(FOCAL, rel=1e-9)
    assert float(median_focal(points, CENTERS)) == pytest.approx(FOCAL, rel=1e-9)


def test_maps_that_are_turned_inside_out_give_the_least_plausible_focal():
    inside_out = point_map() * torch.tensor([-1, -1, 1])
    base = 40 / (2 * math.tan(math.radians(30)))
    assert float(weiszfeld_focal(inside_out, CENTERS)) == pytest.approx(PLAUSIBLE[0] * base)
    assert float(weiszfeld_focal(point_map(), CENTERS, (2.0, 3.0))) == pytest.approx(2 * base)
