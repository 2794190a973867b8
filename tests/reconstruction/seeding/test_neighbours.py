"""Which views are compared: the same for some of the views as for all of them, by every pair's shared points."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from recon3d.core.geometry import Geometry, Tracks
from recon3d.reconstruction.seeding.plane_sweep import NEIGHBOURS, neighbours
from tests.reconstruction.scenes import bare_geometry
from tools.benchmarks.known_cameras import true_scene

VIEWS, POINTS = 12, 300


def at_random(seed: int) -> Geometry:
    """Views on a line, the last two at one place, see points at random; view 5 sees too few."""
    rng = torch.Generator().manual_seed(seed)
    cameras = true_scene(3, VIEWS)[1].cameras
    poses = torch.eye(4, dtype=torch.float64).repeat(VIEWS, 1, 1)
    poses[:, :3, 3] = torch.rand(VIEWS, 3, generator=rng, dtype=torch.float64)
    poses[-1] = poses[-2]
    points = 4 * torch.rand(POINTS, 3, generator=rng, dtype=torch.float64) + torch.tensor([0.0, 0, 2])
    sees = torch.rand(VIEWS, POINTS, generator=rng) < 0.4
    sees[5, 7:] = False
    view, point = sees.nonzero().T
    none = torch.zeros(POINTS, 3, dtype=torch.uint8)
    return replace(
        bare_geometry(replace(cameras, camera_from_world=poses)), points=points, colors=none, errors=none[:, 0].double(),
        tracks=Tracks(view, point, torch.zeros(len(view), 2, dtype=torch.float64)),
    )  # fmt: skip


def by_all_pairs(geometry: Geometry) -> list[list[int]]:
    """Rays of all views to all points, in numpy."""
    assert geometry.tracks is not None
    sees = np.zeros((VIEWS, POINTS), bool)
    sees[geometry.tracks.view, geometry.tracks.point] = True
    rays = geometry.points.numpy()[None] - geometry.cameras.centers_in_world.numpy()[:, None]
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    angles = np.degrees(np.arccos((rays[:, None] * rays[None]).sum(-1).clip(-1, 1)))
    useful = np.minimum(angles / 4, 1) * np.minimum(40 / np.maximum(angles, 1e-6), 1) ** 2
    both = sees[:, None] & sees[None]
    scores = (useful * both).sum(-1) * (both.sum(-1) >= 8)
    np.fill_diagonal(scores, 0)
    return [[int(j) for j in np.argsort(-row, kind="stable")[:NEIGHBOURS] if row[j] > 0] for row in scores]


@pytest.mark.parametrize("seed", [0, 1])
def test_neighbours_are_those_of_all_pairs_for_every_view_that_gets_them(seed):
    geometry = at_random(seed)
    every = neighbours(geometry)
    assert every == by_all_pairs(geometry) and every[5] == [] and sum(map(bool, every)) == VIEWS - 1
    some = neighbours(geometry, 4)
    rows = [i for i in range(VIEWS) if some[i]]
    assert rows == [0, 3, 8, 11] and [some[i] for i in rows] == [every[i] for i in rows]
