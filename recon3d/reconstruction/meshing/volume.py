"""A volume of signed distances that depth of views is fused into, held in blocks where surfaces are, and its triangles.

Source: Curless & Levoy 1996 (the weighted mean of signed distances), Niessner et al. 2013 (blocks), Lewiner et al. 2003
(marching cubes, scikit-image's).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from recon3d.core.jit import run
from recon3d.reconstruction.meshing.seen import SeenView
from recon3d.reconstruction.meshing.volume_kernels import SIDE, integrate, mark_blocks

SLAB = 8  # blocks across: so much of the volume is laid out at once to find triangles in it


@dataclass(frozen=True)
class Box:
    """What is fused: where the volume begins, and how many voxels it has along each axis."""

    low: Annotated[np.ndarray, "3"]  # float64, world: the first lattice point
    voxel: float  # edge length, world units
    blocks: tuple[int, int, int]  # of SIDE voxels each

    @staticmethod
    def around(low: np.ndarray, high: np.ndarray, resolution: int) -> Box:
        """`resolution` voxels along the longest side."""
        voxel = float((high - low).max()) / resolution
        x, y, z = (max(1, int(np.ceil(side / (voxel * SIDE)))) for side in high - low)
        return Box(low.astype(np.float64), voxel, (x, y, z))

    def holds(self, points: Annotated[np.ndarray, "P 3"]) -> Annotated[np.ndarray, "P"]:
        """bool: which world points lie in it."""
        high = self.low + self.voxel * SIDE * np.array(self.blocks)
        return np.all((points >= self.low) & (points < high), axis=1)


@dataclass(frozen=True)
class Volume:
    """Blocks [B,8,8,8] of lattice points. A distance is a share of `reach`, positive before the surface."""

    box: Box
    reach: float
    numbers: Annotated[np.ndarray, "X Y Z"]  # int32: which block lies there, -1 where none does
    distances: Annotated[np.ndarray, "B 8 8 8"]  # float32
    weights: Annotated[np.ndarray, "B 8 8 8"]  # float32
    seen: Annotated[np.ndarray, "B 8 8 8"]  # uint16: views that have a surface within reach


def fused(views: Sequence[SeenView], box: Box, reach: float) -> Volume:
    """All views in blocks about their surfaces; `reach` is how far from a surface distances are kept, in world units."""
    there = np.zeros(box.blocks, np.bool_)
    for view in views:
        world_from_camera = np.linalg.inv(view.camera_from_world)
        place = view.depth, world_from_camera, view.lens, box.low, box.voxel, reach
        run(mark_blocks, len(view.depth), *place, there)
    places = np.argwhere(there)
    numbers = np.full(box.blocks, -1, np.int32)
    numbers[there] = np.arange(len(places))
    shape = (len(places), SIDE, SIDE, SIDE)
    distances, weights, seen = np.zeros(shape, np.float32), np.zeros(shape, np.float32), np.zeros(shape, np.uint16)
    for view in views:
        inputs = view.depth, view.weight, view.camera_from_world, view.lens, box.low, box.voxel, reach
        run(integrate, len(places), *inputs, places, distances, weights, seen)
    return Volume(box, reach, numbers, distances, weights, seen)


def triangles(volume: Volume, fewest: int) -> tuple[Annotated[np.ndarray, "V 3"], Annotated[np.ndarray, "F 3"]]:
    """World points (float64) and faces of the zero of the distances, among lattice points that `fewest` views have near it.

    Slab by slab, so that memory does not grow with the volume; vertices in the planes between slabs are joined.
    """
    vertices: list[np.ndarray] = []
    faces: list[np.ndarray] = []
    count = 0
    for first in range(0, volume.box.blocks[0], SLAB):
        found = slab_triangles(volume, first, min(first + SLAB, volume.box.blocks[0]), fewest)
        if found is not None:
            vertices.append(found[0])
            faces.append(found[1] + count)
            count += len(found[0])
    if not count:
        return np.zeros((0, 3)), np.zeros((0, 3), np.int32)
    points, corners = joined(np.concatenate(vertices), np.concatenate(faces))
    return volume.box.low + points * volume.box.voxel, corners


def slab_triangles(volume: Volume, first: int, last: int, fewest: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Lattice coordinates and faces of the blocks [first, last) and the plane that the next ones begin with."""
    from skimage.measure import marching_cubes

    _, across, down = volume.box.blocks
    shape = ((last - first) * SIDE + 1, across * SIDE, down * SIDE)
    distances, known = np.ones(shape, np.float32), np.zeros(shape, np.bool_)
    for x in range(first, min(last + 1, volume.box.blocks[0])):
        depth = SIDE if x < last else 1
        for y, z in np.argwhere(volume.numbers[x] >= 0).tolist():
            number = volume.numbers[x, y, z]
            at = (slice((x - first) * SIDE, (x - first) * SIDE + depth), *(slice(a * SIDE, (a + 1) * SIDE) for a in (y, z)))
            distances[at] = volume.distances[number, :depth]
            known[at] = (volume.weights[number, :depth] > 0) & (volume.seen[number, :depth] >= fewest)
    cubes = np.zeros(shape, np.bool_)  # at its last corner, where scikit-image looks
    cubes[1:, 1:, 1:] = known[1:, 1:, 1:]
    for i, j, k in np.ndindex(2, 2, 2):
        cubes[1:, 1:, 1:] &= known[i : shape[0] - 1 + i, j : shape[1] - 1 + j, k : shape[2] - 1 + k]
    inside = cubes & (distances < 0)
    if not inside.any() or not (distances[known] > 0).any():
        return None
    try:
        points, corners, _, _ = marching_cubes(distances, 0.0, mask=cubes, gradient_direction="descent")
    except RuntimeError:  # no cube of the mask holds a surface
        return None
    return points.astype(np.float64) + (first * SIDE, 0, 0), corners.astype(np.int64)


def joined(points: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points that lie in the same place in a plane between slabs become one; faces without area are left out."""
    shared = np.flatnonzero(np.isclose(points[:, 0] % (SLAB * SIDE), 0, atol=1e-6))
    keys = np.round(points[shared] * 4096).astype(np.int64)
    _, one, which = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    numbers = np.arange(len(points))
    numbers[shared] = shared[one[which.ravel()]]
    faces = numbers[faces]
    a, b, c = faces.T
    faces = faces[(a != b) & (b != c) & (c != a)]
    used, numbers = np.unique(faces, return_inverse=True)
    return points[used], numbers.reshape(-1, 3).astype(np.int32)
