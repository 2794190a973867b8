"""The kernels in their order, for one camera: forward with what the way back needs, and the way back. No autograd."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from recon3d.core.jit import run
from recon3d.rendering.constants import TILE
from recon3d.rendering.cpu import binning, compositing, projection, projection_gradient
from recon3d.rendering.cpu.layout import ROW, TILE_FLOATS, Z

Array = np.ndarray[Any, Any]
CHUNKS, CHUNK_MIN = 64, 1024  # Gaussians are binned in at most so many chunks of at least so many


@dataclass(frozen=True)
class Splats:
    """G Gaussians as flat float32 arrays; coefficients of one Gaussian are `sh_stride` floats after those of the last."""

    means: Array  # [G,3]
    quats: Array  # [G,4]
    scales: Array  # [G,3]
    opacities: Array  # [G]
    sh: Array  # flat
    sh_stride: int
    degree: int
    antialiased: bool = False  # opacities are lowered by `projection.compensation`


@dataclass(frozen=True)
class View:
    """One camera: float64 camera_from_world [3,4] and lens [6] (focal lengths, principal point, size in pixels)."""

    camera: Array
    lens: Array

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return int(self.lens[projection.WIDTH]), int(self.lens[projection.HEIGHT])

    @property
    def tiles(self) -> tuple[int, int]:
        width, height = self.size
        return -(-width // TILE), -(-height // TILE)


@dataclass(frozen=True)
class Projected:
    packed: Array  # [G,16], layout
    radii: Array  # [G,2] int32
    capacity: Array  # [G] int32


@dataclass(frozen=True)
class Lists:
    """Who is in which tile. Pairs of one Gaussian are count[g] slots from first_slot[g] on."""

    first_slot: Array  # [G] int64
    count: Array  # [G] int32, 0 where unseen
    slots: int
    starts: Array  # [tiles + 1] int64
    entries: Array  # [E,3] int32: Gaussian, slot, mask of blocks


@dataclass(frozen=True)
class Composited:
    rgb: Array  # [3,H,W]
    depth: Array  # [H,W], sum of w z
    alpha: Array  # [H,W]
    planes: Array  # flat, layout
    visited: Array  # [tiles] int64


@dataclass(frozen=True)
class Gradients:
    """Of all inputs, over all cameras of a call; d_sh is flat with (degree + 1)^2 coefficients for each Gaussian."""

    means: Array
    quats: Array
    scales: Array
    opacities: Array
    sh: Array

    @classmethod
    def like(cls, splats: Splats) -> Gradients:
        """Room for them, not yet written."""
        count = len(splats.means)
        sizes = ((count, 3), (count, 4), (count, 3), (count,), (count * 3 * (splats.degree + 1) ** 2,))
        return cls(*(np.empty(size, np.float32) for size in sizes))


def project(splats: Splats, view: View) -> Projected:
    count = len(splats.means)
    packed = np.empty((count, ROW), np.float32)
    radii, capacity = np.empty((count, 2), np.int32), np.empty(count, np.int32)
    inputs = splats.means, splats.quats, splats.scales, splats.opacities, splats.sh, splats.sh_stride, splats.degree
    outputs = packed, radii, capacity
    run(projection.project, count, *inputs, splats.antialiased, view.camera, view.lens, *outputs, grain=1024)
    return Projected(packed, radii, capacity)


def bin_into_tiles(projected: Projected, view: View) -> Lists:
    count = len(projected.packed)
    order, first_slot, totals = np.empty(count, np.uint32), np.empty(count, np.int64), np.zeros(2, np.int64)
    depths = np.ascontiguousarray(projected.packed[:, Z])
    run(binning.depth_order, 1, depths, projected.capacity, order, first_slot, totals)
    visible, slots = int(totals[0]), int(totals[1])
    order = order[:visible]

    tiles_x, tiles_y = view.tiles
    chunk = max(CHUNK_MIN, -(-visible // CHUNKS))
    chunks = -(-visible // chunk)
    pairs, pair_count = np.empty((slots, 2), np.int32), np.zeros(count, np.int32)
    histogram = np.zeros((chunks, tiles_x * tiles_y), np.int32)
    starts = np.zeros(tiles_x * tiles_y + 1, np.int64)
    run(binning.find_pairs, chunks, chunk, order, projected.packed, first_slot, tiles_x, tiles_y, pairs, pair_count, histogram)
    run(binning.list_starts, 1, histogram, starts)
    entries = np.empty((int(starts[-1]), 3), np.int32)
    run(binning.fill_lists, chunks, chunk, order, first_slot, pair_count, pairs, histogram, entries)
    return Lists(first_slot, pair_count, slots, starts, entries)


def composite(projected: Projected, lists: Lists, view: View) -> Composited:
    """Blend; lists.entries loses the blocks in which nothing was drawn."""
    (width, height), (tiles_x, tiles_y) = view.size, view.tiles
    tiles = tiles_x * tiles_y
    rgb, depth, alpha = (np.empty(size, np.float32) for size in ((3, height, width), (height, width), (height, width)))
    planes, visited = np.empty(tiles * TILE_FLOATS, np.float32), np.empty(tiles, np.int64)
    packed = projected.packed.reshape(-1)
    run(compositing.composite, tiles, tiles_x, packed, lists.starts, lists.entries, planes, visited, rgb, depth, alpha)
    return Composited(rgb, depth, alpha, planes, visited)


def composite_backward(projected: Projected, lists: Lists, view: View, drawn: Composited, g_rgb, g_depth, g_alpha) -> Array:
    """Sums over pixels for each (Gaussian, tile) pair: flat [slots, 16], columns of layout."""
    (tiles_x, tiles_y), packed = view.tiles, projected.packed.reshape(-1)
    sums = np.empty(lists.slots * ROW, np.float32)
    state = packed, lists.starts, lists.entries, drawn.planes, drawn.visited
    run(compositing.composite_backward, tiles_x * tiles_y, tiles_x, *state, g_rgb, g_depth, g_alpha, sums)
    return sums


def project_backward(
    splats: Splats, view: View, projected: Projected, lists: Lists, sums: Array, gradients: Gradients, accumulate: bool
) -> tuple[Array, Array]:
    """Into `gradients`; returns those of the camera [3,4] and of the projected centres [G,2]."""
    count = len(splats.means)
    chunks = -(-count // projection_gradient.CHUNK)
    d_camera = np.zeros((chunks, 3, 4), np.float64)
    d_pixels = np.empty((count, 2), np.float32)
    inputs = splats.means, splats.quats, splats.scales, splats.opacities, splats.sh, splats.sh_stride, splats.degree
    seen = splats.antialiased, view.camera, view.lens
    state = projected.packed, lists.first_slot, lists.count, sums, accumulate
    outputs = gradients.means, gradients.quats, gradients.scales, gradients.opacities, gradients.sh
    run(projection_gradient.project_backward, chunks, *inputs, *seen, *state, *outputs, d_camera, d_pixels)
    return d_camera.sum(0), d_pixels
