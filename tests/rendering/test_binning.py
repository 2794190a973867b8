"""Room for (Gaussian, tile) pairs is counted by one kernel and filled by another."""

import numpy as np

from recon3d.rendering.cpu import rasterizer
from recon3d.rendering.cpu.layout import REACH_X, X
from recon3d.rendering.cpu.rasterizer import Splats, View


def test_no_gaussian_has_more_pairs_than_room_where_its_edge_touches_the_next_tile():
    """Right edges of 100,000 Gaussians within 3e-5 pixels of a tile's first pixel centre: rounding decides between two."""
    count, random = 100_000, np.random.default_rng(0)
    view = View(np.eye(4)[:3].copy(), np.array([300.0, 300.0, 160.0, 120.0, 320, 240]))
    quats, scales = random.normal(size=(count, 4)).astype(np.float32), random.uniform(0.005, 0.03, (count, 3)).astype(np.float32)
    opacities, y = random.uniform(0.1, 0.9, count).astype(np.float32), random.uniform(-0.5, 0.5, count)

    def projected(x):
        means = np.stack([x, y, np.full(count, 2.0)], 1).astype(np.float32)
        return rasterizer.project(Splats(means, quats, scales, opacities, np.zeros(3 * count, np.float32), 3, 0), view)

    x = np.zeros(count)
    for _ in range(10):  # a Gaussian off the axis is a little wider, so its edge is found step by step
        packed = projected(x).packed
        x += (192.5 - 0.01 - packed[:, REACH_X] - packed[:, X]) / 300 * 2
    found = projected(x + random.uniform(-3e-5, 3e-5, count) / 300 * 2)
    lists = rasterizer.bin_into_tiles(found, view)
    assert (lists.count <= found.capacity).all()
