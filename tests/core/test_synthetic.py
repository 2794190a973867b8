"""The synthetic scenes keep what their options say."""

import math

import pytest
import torch

from recon3d.core.synthetic import Synthetic, arc_of_cameras, look_at, synthetic_gaussians, synthetic_geometry


def residuals(options: Synthetic) -> torch.Tensor:
    """Distances in pixels of the observations from where their points project."""
    geometry = synthetic_geometry(options)
    assert geometry.tracks is not None
    pixels, _ = geometry.cameras.project(geometry.points)
    return (pixels[geometry.tracks.view, geometry.tracks.point] - geometry.tracks.xy).norm(dim=1)


def test_tracks_without_noise_are_the_projections_of_their_points():
    assert residuals(Synthetic()).max() == 0


def test_noise_has_the_deviation_that_was_asked_for():
    """Distances of two normal deviates of 2 px: a Rayleigh mean of 2 sqrt(pi / 2)."""
    options = Synthetic(points=2000, pixel_noise=2.0)
    assert float(residuals(options).mean()) == pytest.approx(2 * math.sqrt(math.pi / 2), rel=0.03)
    geometry = synthetic_geometry(options)
    assert float(geometry.errors.mean()) == pytest.approx(2 * math.sqrt(math.pi / 2), rel=0.05)


def test_outliers_and_gaps_are_as_many_as_asked_for():
    options = Synthetic(points=2000, outliers=0.2)
    assert float((residuals(options) > 1e-6).double().mean()) == pytest.approx(0.2, abs=0.02)
    full, gaps = synthetic_geometry(Synthetic(points=2000)), synthetic_geometry(Synthetic(points=2000, missing=0.3))
    assert full.tracks is not None and gaps.tracks is not None
    assert len(gaps.tracks) / len(full.tracks) == pytest.approx(0.7, abs=0.02)


def test_the_seed_decides_everything():
    a, b, c = (synthetic_geometry(Synthetic(pixel_noise=1.0, seed=seed)) for seed in (3, 3, 4))
    assert a.tracks is not None and b.tracks is not None
    assert torch.equal(a.points, b.points) and torch.equal(a.tracks.xy, b.tracks.xy)
    assert not torch.equal(a.points, c.points)
    assert torch.equal(synthetic_gaussians(9, 2, 5).means, synthetic_gaussians(9, 2, 5).means)


def test_cameras_look_at_the_origin_over_the_arc_that_was_asked_for():
    options = Synthetic(views=5, arc=120.0, field_of_view=60.0)
    cameras = arc_of_cameras(options)
    cameras.check("synthetic")
    pixels, depth = cameras.project(torch.zeros(1, 3))
    torch.testing.assert_close(pixels[:, 0], torch.tensor([160.0, 120.0], dtype=torch.float64).repeat(5, 1))
    assert (depth > 0).all()
    flat = torch.nn.functional.normalize(cameras.centers_in_world[:, [0, 2]], dim=1)
    assert math.degrees(math.acos(float(flat[0] @ flat[-1]))) == pytest.approx(120, abs=1e-4)
    assert math.degrees(2 * math.atan(160 / float(cameras.K[0, 0, 0]))) == pytest.approx(60)


def test_a_camera_that_looks_at_a_point_stands_where_it_was_put():
    center, target = torch.tensor([1.0, -2, 3]), torch.tensor([0.5, 0, -1])
    pose = look_at(center, target)
    torch.testing.assert_close(pose[:3, :3] @ pose[:3, :3].T, torch.eye(3, dtype=torch.float64))
    torch.testing.assert_close(pose[:3, :3] @ center.double() + pose[:3, 3], torch.zeros(3, dtype=torch.float64))
    ahead = pose[:3, :3] @ target.double() + pose[:3, 3]
    torch.testing.assert_close(ahead, torch.tensor([0, 0, float((target - center).norm())], dtype=torch.float64))


def test_splats_can_be_rendered_and_lie_in_the_unit_ball():
    gaussians = synthetic_gaussians(300, 3)
    gaussians.check("synthetic")
    assert gaussians.degree == 3 and gaussians.means.norm(dim=1).max() <= 1
