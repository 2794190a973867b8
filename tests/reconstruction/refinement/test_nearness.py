"""What is near hides what is far behind it."""

import torch

from recon3d.core.gaussians import Gaussians
from recon3d.reconstruction.refinement import refine as refining
from recon3d.reconstruction.refinement.nearness import compared, known_surface, surroundings
from recon3d.reconstruction.refinement.refine import Refinement, refine
from recon3d.reconstruction.seeding.seed import seed
from recon3d.rendering.render import render
from tests.reconstruction.scenes import bare_geometry, plane_photos, splat_photos, views_of


def near_alpha(gaussians: Gaussians, geometry) -> torch.Tensor:
    """Of the wall alone [N,H,W], as all cameras see it: it lies within 2 units of the origin, the backdrop beyond 5."""
    near = (gaussians.means.norm(dim=1) < 4).nonzero()[:, 0]
    assert 0 < len(near) < len(gaussians)
    return render(gaussians[near], geometry.cameras, device="cpu").alpha


def test_no_backdrop_shines_through_a_wall(monkeypatch):
    views, geometry, _ = plane_photos(width=96, height=72)
    start = seed(views, geometry)
    leaks = []
    for every in (4, 1):
        monkeypatch.setattr(refining, "ALL_EVERY", every)
        refined = refine(views, geometry, start, Refinement(steps=100, half_until=0.0)).gaussians
        leaks.append(float(1 - near_alpha(refined, geometry)[:, 15:-15, 15:-15].mean()))
    assert leaks[0] < 0.6 * leaks[1], leaks


def test_what_is_far_has_the_colours_of_the_photos_where_nothing_is_near():
    """A wall of which the right half was cut away, so that photos show a red sky there."""
    views, geometry, _ = plane_photos(width=96, height=72)
    pictures = torch.stack([views.rgb(i) for i in range(len(views))])
    pictures[:, :, :, 60:] = torch.tensor([0.9, 0.1, 0.1])[:, None, None]
    sky = views_of(pictures)
    left = geometry.with_points(geometry.points[:, 0] < -0.2)
    refined = refine(sky, left, seed(sky, left), Refinement(steps=200, half_until=0.0)).gaussians
    shown = render(refined, left.cameras, device="cpu").rgb[:, :, 10:-10, 68:90]
    assert float((shown - pictures[:, :, 10:-10, 68:90]).abs().mean()) < 0.05


def test_surroundings_reach_as_far_as_most_points_and_a_scene_without_a_backdrop_has_none():
    _, geometry, _ = plane_photos()
    middle = geometry.cameras.centers_in_world.mean(0)
    distances = (geometry.points - middle).norm(dim=1)
    beyond = torch.cat([geometry.points, middle + torch.tensor([[0.0, 0, 2.3], [0, 0, 2.2]]) * distances.max()]).float()
    found = surroundings(geometry, beyond)
    assert found is not None and 2.2 * distances.median() < found.radius <= 2.25 * distances.max()
    assert found.hold(beyond)[:400].all() and not found.hold(beyond)[400]
    assert surroundings(geometry, geometry.points.float()) is None
    _, without_points, gaussians = splat_photos()
    assert surroundings(without_points, 100 * gaussians.means) is None
    assert surroundings(bare_geometry(geometry.cameras), beyond) is None


def test_a_trace_of_a_surface_is_enough_where_the_photo_shows_no_sky():
    photo, alpha = torch.tensor([0.6, 0.3, 0.2])[:, None, None].expand(3, 20, 40).clone(), torch.zeros(20, 40)
    photo[:, :10] = torch.tensor([0.3, 0.5, 0.9])[:, None, None]
    for column, value in ((0, 0.6), (10, 0.3), (20, 0.05)):
        alpha[:, column : column + 10] = value
    found = known_surface(alpha, photo)
    assert found[:, :10].all() and found[13:, 10:20].all() and not found[:7, 10:20].any() and not found[:, 20:].any()


def test_pixels_of_surfaces_are_compared_that_are_nearly_filled_and_all_where_none_is():
    alpha, mask = torch.zeros(20, 30), torch.zeros(20, 30, dtype=torch.bool)
    everywhere = torch.ones_like(mask)
    mask[:, :15] = True
    assert compared(alpha, everywhere, None).all() and torch.equal(compared(alpha, everywhere, mask), mask)
    alpha[8:12, 10:20] = 0.9
    assert torch.equal(compared(alpha, everywhere, None), alpha > 0.5)
    assert torch.equal(compared(alpha, everywhere, mask), (alpha > 0.5) & mask)
    assert torch.equal(compared(alpha, mask, None), (alpha > 0.5) & mask)
    only_at_the_edge = torch.zeros(20, 30)
    only_at_the_edge[:4] = 1.0  # SSIM says nothing about the five outermost rows
    assert compared(only_at_the_edge, everywhere, None).all()
