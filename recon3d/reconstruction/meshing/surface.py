"""The steps from what views see to a mesh: fused, cut at zero, cleaned of islands, coloured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from recon3d.core.mesh import Mesh
from recon3d.core.origin import center_of
from recon3d.reconstruction.meshing.seen import SeenView
from recon3d.reconstruction.meshing.volume import Box, fused, triangles

REACH = 4.0  # voxels from a surface within which distances are kept, at least
# Where depth is noisier than that, views no longer meet within it and leave holes: of photos it reaches as far as three times
# over which light is taken (fountain-P11: 2.5 voxels; procedural scenes: 0.1 to 0.8), but no farther than so much of the box.
NOISE, FARTHEST = 3.0, 0.04
THICKEST = 0.06  # of the box's longest side: a pixel whose light is taken over a longer way shows no surface
FEWEST = 2  # views that have a surface near a place before it is believed: what one alone sees may stand at any depth
ISLAND = 0.001  # of all the area: a piece of less is left out
VEILED = 1.5  # reaches: so far behind a view's surface a vertex may lie to take colour from it


@dataclass(frozen=True)
class Made:
    """A mesh, and what it was made with."""

    mesh: Mesh
    box: Box
    views: tuple[SeenView, ...]  # without the pixels that show no surface
    islands: int  # pieces that were left out


def surface(
    views: Sequence[SeenView], low: Annotated[np.ndarray, "3"], high: Annotated[np.ndarray, "3"], resolution: int
) -> Made:
    """The surface within a box of the world, of `resolution` voxels along its longest side. The mesh may be empty."""
    box = Box.around(low, high, resolution)
    size = float((high - low).max())
    sharp = tuple(view.sharp(THICKEST * size) for view in views)
    reach = max(REACH * box.voxel, min(NOISE * thickness_within(box, sharp), FARTHEST * size))
    vertices, faces = triangles(fused(sharp, box, reach), min(FEWEST, len(sharp)))
    bare = Mesh(vertices, faces, np.zeros((len(vertices), 3), np.uint8))
    kept, islands = without_islands(bare)
    return Made(Mesh(kept.vertices, kept.faces, colors(kept, sharp, reach)), box, sharp, islands)


def thickness_within(box: Box, views: Sequence[SeenView]) -> float:
    """The median way over which the light of pixels in a box is taken, world units; 0 where there are none."""
    found = np.concatenate([view.thickness[view.depth > 0][box.holds(view.points())] for view in views])
    return float(np.median(found)) if len(found) else 0.0


def without_islands(mesh: Mesh) -> tuple[Mesh, int]:
    """The mesh without pieces of little area, and how many were left out."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not len(mesh.faces):
        return mesh, 0
    a, b, c = mesh.faces.T
    edges = np.concatenate([a, b]), np.concatenate([b, c])
    count, piece = connected_components(
        coo_array((np.ones(len(edges[0]), np.bool_), edges), (len(mesh.vertices),) * 2), directed=False
    )
    of_face = piece[a]
    area = np.bincount(of_face, areas(mesh), count)
    large = area >= min(ISLAND * area.sum(), area.max())
    return mesh.kept(large[of_face]), int(count - large.sum())


def areas(mesh: Mesh) -> Annotated[np.ndarray, "F"]:
    corner = mesh.vertices[mesh.faces].astype(np.float64)
    return np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1) / 2


def normals(mesh: Mesh) -> Annotated[np.ndarray, "V 3"]:
    """Unit normals of vertices, outward; each face counts by its area."""
    corner = mesh.vertices[mesh.faces].astype(np.float64)
    of_faces = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    total = np.stack([
        np.bincount(mesh.faces.ravel(), np.repeat(of_faces[:, axis], 3), len(mesh.vertices)) for axis in range(3)
    ], 1)  # fmt: skip
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-300)


def colors(mesh: Mesh, views: Sequence[SeenView], reach: float) -> Annotated[np.ndarray, "V 3"]:
    """uint8: the mean of what views show of each vertex, those that see it from the front and from near by counting most;
    of the nearest other vertex where none does.
    """
    facing = normals(mesh)
    total, weight = np.zeros((len(mesh.vertices), 3)), np.zeros(len(mesh.vertices))
    for view in views:
        pose = view.camera_from_world
        x, y, z = (mesh.vertices @ pose[:3, :3].T + pose[:3, 3]).T
        height, width = view.depth.shape
        with np.errstate(divide="ignore", invalid="ignore"):
            u, v = view.lens[0] * x / z + view.lens[2], view.lens[1] * y / z + view.lens[3]
            (mine,) = np.nonzero((z > 0) & (u >= 0) & (u < width) & (v >= 0) & (v < height))
        column, row = u[mine].astype(int), v[mine].astype(int)
        to_camera = center_of(pose) - mesh.vertices[mine]
        cosine = (facing[mine] * to_camera).sum(1) / np.linalg.norm(to_camera, axis=1)
        seen = (np.abs(view.depth[row, column] - z[mine]) < VEILED * reach) & (cosine > 0)
        mine, row, column = mine[seen], row[seen], column[seen]
        share = (cosine[seen] / z[mine]) ** 2
        total[mine] += share[:, None] * view.rgb[:, row, column].T
        weight[mine] += share
    found = weight > 0
    if not found.any():
        return np.full((len(weight), 3), 128, np.uint8)
    mean = total / np.where(found, weight, 1)[:, None]
    if not found.all():
        from scipy.spatial import KDTree

        near = KDTree(mesh.vertices[found]).query(mesh.vertices[~found])[1]
        mean[~found] = mean[found][near]
    return np.rint(mean.clip(0, 1) * 255).astype(np.uint8)
