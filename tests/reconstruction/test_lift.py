"""Depth lifted to Gaussians: they lie flat on the surface, none stands where other views see through, one wall stays one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from recon3d.core.geometry import Geometry
from recon3d.core.rotations import matrices_from_quats
from recon3d.core.synthetic import Synthetic, arc_of_cameras
from recon3d.errors import InputError
from recon3d.reconstruction.lift import LONGEST, SIZE, THICK, lift
from recon3d.reconstruction.surface_normals import axes_along, normals_at
from tests.reconstruction.scenes import bare_geometry, views_of

PIXELS = 48


def wall(views: int, slope: float = 0.0) -> Geometry:
    """A small arc of cameras with their true depth of the plane z = slope x."""
    cameras = arc_of_cameras(Synthetic(views=views, height=PIXELS, width=PIXELS, arc=20))
    normal, depth = torch.tensor([slope, 0.0, -1.0], dtype=torch.float64), []
    for i in range(views):
        rays = cameras.rays(i) @ cameras.world_from_camera[i, :3, :3].T
        depth.append((-(cameras.centers_in_world[i] @ normal) / (rays @ normal)).float())
    return replace(bare_geometry(cameras), depth=tuple(depth), confidence=tuple(torch.ones_like(d) for d in depth))


def photos(views: int):
    return views_of(torch.rand(views, 3, PIXELS, PIXELS, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("slope", [0.0, 0.7, -1.5])
def test_gaussians_lie_along_a_slanted_wall_as_large_as_their_pixels_there(slope):
    geometry = wall(1, slope)
    gaussians = lift(photos(1), geometry, 10**6)
    normal = torch.nn.functional.normalize(torch.tensor([slope, 0.0, -1.0]), dim=0)
    axes = matrices_from_quats(gaussians.quats)
    assert ((axes[:, :, 2] @ normal).abs() > 0.9999).all()
    towards = torch.nn.functional.normalize(geometry.cameras.centers_in_world[0].float() - gaussians.means, dim=1)
    size = SIZE * geometry.depth[0].flatten() / float(geometry.cameras.focal_lengths[0])
    slant = (towards @ normal).abs().clamp_min(1 / LONGEST)
    torch.testing.assert_close(gaussians.scales, torch.stack((size, size / slant, THICK * size), 1), rtol=1e-3, atol=0)
    # The long axis points where the surface tilts away: it has no part across the line of sight's plane.
    across = torch.linalg.cross(normal.expand_as(towards), towards)
    assert ((axes[:, :, 1] * across).sum(1).abs() < 1e-3).all()


def test_a_pixel_alone_at_its_depth_faces_the_camera():
    geometry = wall(1)
    lonely = torch.zeros(PIXELS, PIXELS)
    lonely[20, 30] = 2.0
    normals, towards = normals_at(replace(geometry, depth=(lonely,)), 0, torch.tensor([20 * PIXELS + 30]), 1)
    assert torch.equal(normals, towards)
    axes = axes_along(normals, towards)
    torch.testing.assert_close(axes @ axes.transpose(1, 2), torch.eye(3, dtype=torch.float64)[None])
    assert torch.linalg.det(axes) > 0


def noisy(geometry: Geometry, level: float, seed: int) -> Geometry:
    """Depth with an error of its own in each view, as of a network, and a little for each pixel."""
    random = torch.Generator().manual_seed(seed)
    found = []
    for depth in geometry.depth or ():
        coarse = torch.randn(1, 1, 4, 4, generator=random)
        smooth = torch.nn.functional.interpolate(coarse, depth.shape, mode="bicubic")[0, 0]
        found.append(depth * (level * (smooth + 0.25 * torch.randn(depth.shape, generator=random))).exp())
    return replace(geometry, depth=tuple(found))


@pytest.mark.parametrize("seed", [0, 1])
def test_a_wall_that_twelve_views_see_with_noise_stays_one_wall(seed):
    """2 % of noise at a distance d would be layers 0.02 d apart: one layer is left, a fraction of that thick, of as many
    Gaussians as one view has pixels, not twelve."""
    true = wall(12)
    geometry = noisy(true, 0.02, seed)
    distance = float(torch.stack(true.depth).mean())
    off = torch.cat([((a - b) / b).abs().flatten() for a, b in zip(geometry.depth, true.depth, strict=True)])
    gaussians = lift(photos(12), geometry, 10**6, one_layer=True)
    seen_by_all = gaussians.means[:, :2].norm(dim=1) < 0.5
    away = gaussians.means[seen_by_all, 2].abs() / distance
    assert (off > 0.02).double().mean() > 0.2 and (away > 0.02).double().mean() < 0.02
    assert away.square().mean().sqrt() < 0.5 * off.square().mean().sqrt()
    alone = lift(photos(1), true[[0]], 10**6)
    assert int(seen_by_all.sum()) < 1.6 * int((alone.means[:, :2].norm(dim=1) < 0.5).sum())


@pytest.mark.parametrize("one_layer", [True, False])
def test_what_other_views_see_through_makes_no_gaussian(one_layer):
    """A patch of one view's depth stands far before the wall that five others see behind it."""
    geometry = wall(6)
    depth = geometry.depth[2].clone()
    depth[18:30, 18:30] *= 0.6
    wrong = replace(geometry, depth=(*geometry.depth[:2], depth, *geometry.depth[3:]))
    gaussians = lift(photos(6), wrong, 10**6, one_layer)
    assert len(gaussians) > PIXELS * PIXELS and gaussians.means[:, 2].abs().max() < 0.05 * float(depth.mean())


def test_what_hides_the_wall_from_most_views_stays():
    """A near thing that two views see whole and agree on; the other four stand where it hides nothing or is out of sight."""
    geometry = wall(6)
    near = geometry.depth[0].clone()
    near[18:30, 18:30] *= 0.5
    # The views that see it say so; in the others its place is unknown, and says nothing.
    hidden = [torch.zeros_like(near)] * 4
    gaussians = lift(photos(6), replace(geometry, depth=(near, near, *hidden)), 10**6)
    assert len(gaussians) == 2 * PIXELS * PIXELS


@pytest.mark.parametrize("value", [1e-4, 0.05, 1.0])
def test_no_confidence_however_low_empties_a_scene_but_0_does(value):
    geometry = wall(2)
    alike = tuple(torch.full_like(d, value) for d in geometry.depth or ())
    assert len(lift(photos(2), replace(geometry, confidence=alike), 10**6)) == 2 * PIXELS * PIXELS
    nothing = tuple(torch.zeros_like(d) for d in geometry.depth or ())
    with pytest.raises(InputError, match="confident of no pixel"):
        lift(photos(2), replace(geometry, confidence=nothing), 10**6)
