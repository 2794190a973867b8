"""Depth of many views as one surface: one layer of it, nearer the truth than any of them, and nothing hidden lost."""

from dataclasses import replace

import torch

from recon3d.core.geometry import Geometry
from recon3d.core.synthetic import Synthetic, arc_of_cameras
from recon3d.reconstruction.depth_fusion import AGREE, one_surface
from recon3d.reconstruction.lift import lift
from tests.reconstruction.scenes import bare_geometry, views_of

SIZE = 48
ALL = torch.arange(SIZE * SIZE)


def walls(distances: list[float]) -> Geometry:
    """Every view of a small arc with the true depth of the plane z = its own distance, where the true one is z = 0."""
    cameras = arc_of_cameras(Synthetic(views=len(distances), height=SIZE, width=SIZE, arc=20))
    depth = []
    for i, distance in enumerate(distances):
        rays = cameras.rays(i) @ cameras.world_from_camera[i, :3, :3].T
        depth.append(((distance - cameras.centers_in_world[i, 2]) / rays[..., 2]).float())
    return replace(bare_geometry(cameras), depth=tuple(depth), confidence=tuple(torch.ones_like(d) for d in depth))


def world_points(geometry: Geometry, kept) -> list[torch.Tensor]:
    """By a whole depth map of what was kept of each view."""
    found = []
    for i, (pixels, depth) in enumerate(kept):
        whole = torch.zeros(SIZE * SIZE, dtype=torch.float64)
        whole[pixels] = depth
        points, known = geometry.cameras.unproject(i, whole.view(SIZE, SIZE))
        found.append(points[known])
    return found


def test_views_that_agree_leave_one_layer_at_their_mean() -> None:
    off = 0.3 * AGREE * float(walls([0.0] * 4).depth[0].mean())
    geometry = walls([off, -off, off, -off])
    kept = one_surface(geometry, [ALL] * 4)
    assert len(ALL) <= sum(len(p) for p, _ in kept) < 1.6 * len(ALL)  # and what lies in one picture only
    points = torch.cat(world_points(geometry, kept))
    seen_by_all = points[:, :2].norm(dim=1) < 0.5
    assert seen_by_all.sum() > 50 and points[seen_by_all, 2].abs().mean() < 0.25 * off


def test_surfaces_that_disagree_all_stay() -> None:
    distance = float(walls([0.0] * 2).depth[0].mean())
    kept = one_surface(walls([0.0, 3 * AGREE * distance]), [ALL] * 2)
    assert [len(p) for p, _ in kept] == [len(ALL)] * 2


def test_a_view_that_sees_a_place_much_coarser_gives_way_whatever_its_number() -> None:
    geometry = walls([0.0] * 2)
    K = geometry.cameras.K.clone()
    for first in (0, 1):
        sharp = K.clone()
        sharp[first, :2, :2] *= 2  # a longer lens: half of the wall at twice the resolution
        cameras = replace(geometry.cameras, K=sharp)
        rays = cameras.rays(first) @ cameras.world_from_camera[first, :3, :3].T
        depth = list(geometry.depth)
        depth[first] = (-cameras.centers_in_world[first, 2] / rays[..., 2]).float()
        kept = one_surface(replace(geometry, cameras=cameras, depth=tuple(depth)), [ALL] * 2)
        assert len(kept[first][0]) == len(ALL)
        assert 0.65 * len(ALL) < len(kept[1 - first][0]) < 0.85 * len(ALL)


def test_unknown_depth_takes_no_part() -> None:
    geometry = walls([0.0] * 3)
    depth = (geometry.depth[0], torch.zeros_like(geometry.depth[1]), geometry.depth[2])
    geometry = replace(geometry, depth=depth)
    gaussians = lift(views_of(torch.rand(3, 3, SIZE, SIZE)), geometry, 10**6, one_layer=True)
    assert len(ALL) <= len(gaussians) < 1.6 * len(ALL)
    assert gaussians.means.isfinite().all() and gaussians.means[:, 2].abs().max() < 0.01  # half a pixel of a slope


def test_a_budget_is_met_by_a_wider_grid() -> None:
    geometry = walls([0.0] * 3)
    views = views_of(torch.rand(3, 3, SIZE, SIZE))
    counts = [len(lift(views, geometry, most, one_layer=True)) for most in (2000, 500, 7)]
    assert 1200 < counts[0] <= 2000 and 300 < counts[1] <= 500 and 1 <= counts[2] <= 7
