"""A closed, coarse mesh about a surface, for physics: nothing falls through it, and its inside is inside."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from recon3d.core.mesh import Mesh
from recon3d.reconstruction.meshing.surface import areas

FINEST, COARSEST = 96, 12  # voxels along the longest side that are tried
MOST_FACES = 6000
SKIN = 0.9  # voxels from the surface to the lattice's level: more than half a voxel's diagonal, so that no sheet is missed
THIN = 0.2  # voxels from the surface at which vertices end: the mesh is twice as thick, and its two sides stay apart
FINER = 0.25  # of a voxel: the surface is sampled so densely
SMALLER = 0.85  # from one resolution that is tried to the next


def closed_about(mesh: Mesh, resolution: int | None) -> tuple[Mesh, float]:
    """A thin skin about the surface, and about what that encloses, and its voxel in world units. Without a resolution (voxels
    along the longest side) the finest with at most MOST_FACES faces. Each vertex has the colour of the surface's nearest one.

    Simplifying a finer skin by quadrics (fast-simplification) would follow edges better, but joins sheets at single edges,
    so that the mesh is no longer closed.
    """
    from scipy.spatial import KDTree

    size = float(np.ptp(mesh.vertices, 0).max())
    # Two sides of about two and a half faces for each voxel of area are expected; where it is more, coarser ones are tried.
    expected = size / math.sqrt(5 * float(areas(mesh).sum()) / MOST_FACES)
    tried = min(FINEST, max(COARSEST, int(expected))) if resolution is None else resolution
    points = samples(mesh, FINER * size / tried)
    tree = KDTree(points)
    while True:
        vertices, faces = skin(tree, mesh.vertices.min(0), mesh.vertices.max(0), size / tried)
        if resolution is not None or len(faces) <= MOST_FACES or tried <= COARSEST:
            break
        tried = max(COARSEST, int(SMALLER * tried))
    away, nearest = tree.query(vertices)
    outward = (vertices - points[nearest]) / np.maximum(away, 1e-300)[:, None]
    drawn_in = points[nearest] + outward * np.minimum(away, THIN * size / tried)[:, None]
    return Mesh(drawn_in, faces, mesh.colors[KDTree(mesh.vertices).query(drawn_in)[1]]), size / tried


def samples(mesh: Mesh, cell: float) -> Annotated[np.ndarray, "P 3"]:
    """Vertices and middles of faces, one of them in each cell of a lattice."""
    points = np.concatenate([mesh.vertices, mesh.vertices[mesh.faces].mean(1)])
    cells = np.floor((points - points.min(0)) / cell).astype(np.int64)
    _, y, z = (cells.max(0) + 1).tolist()
    return points[np.unique((cells[:, 0] * y + cells[:, 1]) * z + cells[:, 2], return_index=True)[1]]


def skin(tree, low: np.ndarray, high: np.ndarray, voxel: float) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and faces of the closed surface at SKIN voxels from the points of a tree, caves within it filled."""
    from scipy.ndimage import binary_dilation, binary_fill_holes
    from skimage.measure import marching_cubes

    start = low - 3 * voxel
    there = np.zeros(np.ceil((high - low) / voxel).astype(int) + 7, np.bool_)
    there[tuple(np.rint((tree.data - start) / voxel).astype(int).T)] = True
    near = np.argwhere(binary_dilation(there, np.ones((3, 3, 3)), 2))
    away = np.full(there.shape, 2 - SKIN)
    away[tuple(near.T)] = tree.query(near * voxel + start)[0] / voxel - SKIN
    filled = np.asarray(binary_fill_holes(away < 0), np.bool_)
    away = np.where(filled & (away >= 0), -1.0, away)
    vertices, faces, _, _ = marching_cubes(away.astype(np.float32), 0.0, gradient_direction="descent")
    return vertices * voxel + start, faces.astype(np.int32)
