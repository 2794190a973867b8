"""How well a model's observations determine its focal lengths: standard deviations from the normal equations."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from scipy.sparse import bsr_matrix, csr_matrix, hstack

from recon3d.sfm.models import Model, only_views

VIEWS_AT_ONCE = 150  # of more, groups are taken: what is left of the equations without the points is dense
UNDETERMINED = 1.0  # deviation before anything was seen, of the focal length's logarithm; larger ones come out as this
LEAST_NOISE = 0.01  # pixels; observations without any would determine everything
STEP = 1e-6  # of a ray (x/z, y/z), for the derivative of a lens


def focal_deviations(
    model: Model, camera: Annotated[np.ndarray, "R"], distortion: bool
) -> Annotated[np.ndarray, "R"]:
    """Standard deviation of the focal length of every view's camera, as a share of it.

    `camera` (int) tells which views share one. All else is free: points, places, turns, other focal lengths and, with
    `distortion`, the first coefficient of each lens. Source: bundle adjustment's normal equations without the points
    (Triggs et al. 2000, sections 6.1 and 9.2), which the freedom of the whole to move, turn and grow leaves singular.
    """
    found = np.full(int(camera.max(initial=-1)) + 1, UNDETERMINED)
    groups = max(1, -(-len(model.views) // VIEWS_AT_ONCE))
    for rows in np.array_split(np.arange(len(model.views)), groups):
        part = model if groups == 1 else only_views(model, [model.views[i] for i in rows])
        if len(part.points):
            numbers, owner = np.unique(camera[rows], return_inverse=True)
            found[numbers] = np.minimum(found[numbers], _of_group(part, owner, distortion))
    return found[camera]


def _of_group(model: Model, camera: Annotated[np.ndarray, "R"], distortion: bool) -> Annotated[np.ndarray, "C"]:
    by_pose, by_lens, by_point, off = derivatives(model, distortion)
    poses, lenses, points = 6 * len(model.views), by_lens.shape[2] * (int(camera.max()) + 1), 3 * len(model.points)
    # Every view has its own noise, so that one that is wrong makes no other uncertain.
    redundancy = max(off.size - points - poses - lenses, 1) / off.size
    mean = np.bincount(model.view, (off**2).sum(1)) / np.maximum(2 * np.bincount(model.view), 1)
    weight = 1 / np.maximum(np.sqrt(mean / redundancy), LEAST_NOISE)[model.view, None, None]
    by_pose, by_lens, by_point = weight * by_pose, weight * by_lens, weight * by_point
    J = hstack([_sparse(by_pose, model.view, poses), _sparse(by_lens, camera[model.view], lenses)]).tocsr()
    of_point = np.zeros((len(model.points), 3, 3))
    np.add.at(of_point, model.point, np.einsum("mki,mkj->mij", by_point, by_point))
    of_point += 1e-12 * np.trace(of_point, axis1=1, axis2=2)[:, None, None] * np.eye(3)
    P = _sparse(by_point, model.point, points)
    blocks = np.arange(len(of_point) + 1)
    coupling = J.T @ P
    reduced = (J.T @ J - coupling @ bsr_matrix((np.linalg.inv(of_point), blocks[:-1], blocks)) @ coupling.T).toarray()
    focal = poses + by_lens.shape[2] * np.arange(int(camera.max()) + 1)
    reduced[focal, focal] += UNDETERMINED**-2
    # Unknowns of unlike units are brought to like size. No focal length takes part in what the whole is free to do, so that
    # a little of the diagonal makes the equations solvable and leaves these deviations as they are.
    scale = np.sqrt(np.maximum(np.diag(reduced), 1e-12))
    reduced = reduced / (scale[:, None] * scale) + 1e-12 * np.eye(len(reduced))
    covariance = np.linalg.solve(reduced, np.eye(len(reduced))[:, focal])[focal].diagonal() / scale[focal] ** 2
    return np.where(covariance > 0, np.minimum(np.sqrt(np.abs(covariance)), UNDETERMINED), UNDETERMINED)


def _sparse(blocks: Annotated[np.ndarray, "M 2 k"], column: Annotated[np.ndarray, "M"], width: int):
    """One block a row, at its column of blocks."""
    rows, _, size = blocks.shape
    return csr_matrix(bsr_matrix((blocks, column, np.arange(rows + 1)), shape=(2 * rows, width), blocksize=(2, size)))


def derivatives(model: Model, distortion: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of every observation's pixels [M,2,.]: by its camera's turn and shift, by the logarithm of the focal length (and the
    distortion), by its point; and how far it is off [M,2]."""
    rotation = model.camera_from_world[model.view, :3, :3]
    p = np.einsum("mij,mj->mi", rotation, model.points[model.point]) + model.camera_from_world[model.view, :3, 3]
    rays = p[:, :2] / p[:, 2:]
    seen, by_ray = np.zeros((len(p), 2)), np.zeros((len(p), 2, 2))
    by_lens = np.zeros((len(p), 2, 2 if distortion else 1))
    for i, lens in enumerate(model.lenses):
        mine = model.view == i
        seen[mine] = lens.pixels_of_rays(rays[mine])
        for axis, step in enumerate(STEP * np.eye(2)):
            apart = lens.pixels_of_rays(rays[mine] + step) - lens.pixels_of_rays(rays[mine] - step)
            by_ray[mine, :, axis] = apart / (2 * STEP)
        by_lens[mine, :, 0] = seen[mine] - [lens.param("cx"), lens.param("cy")]
        if distortion:
            by_lens[mine, :, 1] = lens.param("fx") * rays[mine] * (rays[mine] ** 2).sum(1, keepdims=True)
    by_p = np.zeros((len(p), 2, 3))
    by_p[:, [0, 1], [0, 1]], by_p[:, :, 2] = 1 / p[:, 2:], -rays / p[:, 2:]
    by_p = by_ray @ by_p
    turned = np.zeros((len(p), 3, 3))  # of w x p by w
    turned[:, 0, 1], turned[:, 0, 2], turned[:, 1, 2] = p[:, 2], -p[:, 1], p[:, 0]
    turned -= turned.transpose(0, 2, 1)
    return np.concatenate([by_p @ turned, by_p], 2), by_lens, by_p @ rotation, seen - model.xy
