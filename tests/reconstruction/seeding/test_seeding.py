"""Where splats start: on a wall whose place is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial import KDTree

from recon3d.core.cameras import Cameras
from recon3d.core.rotations import rotation_from_vector
from recon3d.errors import InputError
from recon3d.metrics.image import psnr
from recon3d.reconstruction.seeding.backdrop import backdrop
from recon3d.reconstruction.seeding.dense import dense_points
from recon3d.reconstruction.seeding.plane_sweep import neighbours, swept, unprojected
from recon3d.reconstruction.seeding.plane_sweep_kernels import RADIUS
from recon3d.reconstruction.seeding.seed import gaps, seed
from recon3d.rendering.render import render
from tests.reconstruction.scenes import bare_geometry, plane_photos


def test_dense_points_lie_on_the_wall_that_was_photographed():
    views, geometry, normal = plane_photos()
    found = dense_points(views, geometry)
    distance = np.abs(found.points.numpy() @ normal)
    assert len(found.points) > 3000
    assert np.median(distance) < 0.01  # of a distance of 4 to the cameras
    assert np.quantile(distance, 0.95) < 0.05


def test_depth_reaches_the_borders_of_the_pictures():
    """The outermost pixels, whose windows are cut off, of the photos between others: their distance from the wall."""
    views, geometry, normal = plane_photos()
    small, depths = swept(views, geometry)
    for i in range(1, len(views) - 1):
        ring = np.ones(depths[i].shape, bool)
        ring[RADIUS:-RADIUS, RADIUS:-RADIUS] = False
        known = ring & (depths[i] > 0)
        assert known.sum() > 0.4 * ring.sum()
        assert np.median(np.abs(unprojected(depths[i], small[i])[known] @ normal)) < 0.03


def test_dense_points_leave_out_what_is_masked_in_every_photo_that_would_give_it():
    views, geometry, _ = plane_photos()
    mask = torch.ones(144, 192, dtype=torch.bool)
    mask[:, :96] = False
    found = dense_points(replace(views, masks=(mask,) * len(views)), geometry)
    everywhere = dense_points(views, geometry)
    assert 0.2 * len(everywhere.points) < len(found.points) < 0.8 * len(everywhere.points)
    inside = torch.stack([geometry.cameras.project(found.points)[0][i, :, 0] >= 96 for i in range(len(views))])
    assert inside.any(0).all()


def test_photos_that_share_no_points_give_no_dense_points():
    views, geometry, _ = plane_photos()
    assert neighbours(bare_geometry(geometry.cameras)) == [[]] * len(views)
    assert len(dense_points(views, bare_geometry(geometry.cameras)).points) == 0


def test_seeds_already_look_like_the_photos():
    views, geometry, _ = plane_photos()
    gaussians = seed(views, geometry)
    gaussians.check("seeds")
    picture = render(gaussians, geometry.cameras[[1]], device="cpu").rgb[0]
    assert psnr(picture, views.rgb(1)) > 18


def test_a_camera_that_looks_past_the_photos_sees_the_backdrop_and_not_black():
    views, geometry, _ = plane_photos()
    points, colors, sizes = backdrop(views, geometry)
    assert len(points) == len(colors) == len(sizes) > 100
    gaussians = seed(views, geometry)
    pose = geometry.cameras.camera_from_world[:1].clone()
    pose[0, :3] = rotation_from_vector(torch.tensor([0.0, 0.35, 0.0], dtype=torch.float64)) @ pose[0, :3]
    turned = Cameras(pose, *(x[:1] for x in (geometry.cameras.K, geometry.cameras.sizes, geometry.cameras.camera_index)))
    assert float((render(gaussians, turned, device="cpu").alpha > 0.5).float().mean()) > 0.95


def test_gaps_are_mean_distances_to_three_neighbours():
    points = torch.rand(60, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = torch.cdist(points, points).sort(1).values[:, 1:4].mean(1)
    assert torch.allclose(gaps(points), expected)
    assert KDTree(points.numpy()).n == 60


def test_too_few_points_are_the_users_to_mend():
    views, geometry, _ = plane_photos()
    with pytest.raises(InputError, match="only 0 sparse points"):
        seed(views, bare_geometry(geometry.cameras))
