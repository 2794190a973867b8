"""One camera placed among others that are held: by the points that its photo shows, with how sure that is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import cv2
import numpy as np

from recon3d.core.lens import Lens
from recon3d.core.origin import center_of
from recon3d.sfm.acceptance import MAX_REPROJECTION, MIN_POINTS
from recon3d.sfm.adjustment import LOSS_SCALE, distances
from recon3d.sfm.features import Camera, colmap_camera
from recon3d.sfm.focal_deviation import LEAST_NOISE, UNDETERMINED, derivatives
from recon3d.sfm.models import Model
from recon3d.sfm.pycolmap import colmap
from recon3d.sfm.sightings import Sightings
from recon3d.sfm.twin import lead

STEPS = 30  # of Levenberg and Marquardt; 5 to 10 are enough where the start is good
START_ERROR = 8.0  # pixels within which a sighting agrees with the first camera: its point still stands on few rays
DISTORTION_DEVIATION = 0.2  # of the first coefficient, before anything was seen
GROUPS = 5  # of the scene's photos, each left out in turn
# By which a lens of the photo's own must fit better than the scene's: standard deviations (`twin`), and a share of the error,
# for with thousands of points the errors of the scene's cameras show (flower's 018.jpg: 5.1 standard deviations, 1 %).
CLEARLY, BY_MUCH = 4.0, 0.9


@dataclass(frozen=True)
class Start:
    """A lens to begin with, at the size of the feature picture."""

    source: str  # "the scene's", "EXIF" or "estimated"
    lens: Lens
    held: bool  # not to be adjusted
    focal_deviation: float = UNDETERMINED  # of the focal length, as a share, before anything was seen


@dataclass(frozen=True)
class Placed:
    """A camera among held ones, S sightings that agree with it, and how sure it is."""

    start: Start
    sightings: Sightings
    agrees: Annotated[np.ndarray, "S"]  # bool: what the camera was adjusted to
    model: Model  # of these: the scene's views and the photo as the last one
    covariance: Annotated[np.ndarray, "8 8"]  # of turn (radians) and shift in the camera, log focal length, distortion

    @property
    def lens(self) -> Lens:
        return self.model.lenses[-1]

    @property
    def camera_from_world(self) -> Annotated[np.ndarray, "4 4"]:
        return self.model.camera_from_world[-1]

    @property
    def center(self) -> Annotated[np.ndarray, "3"]:
        """Of the camera, in the world."""
        return center_of(self.camera_from_world)

    @property
    def error(self) -> float:
        """Root mean square distance of the photo's sightings to their points' projections, pixels of the feature picture."""
        off = np.minimum(distances(self.model)[-len(self.model.points) :], MAX_REPROJECTION)
        return float(np.sqrt((off**2).mean()))

    @property
    def center_deviation(self) -> float:
        """Standard deviation of the camera's centre, world units: root of the sum over the axes.

        The noise of the pixels says too little, since the scene's cameras have errors of their own: what leaving out some of
        these changes counts where it is more. A shift s in the camera moves the centre by -R^T s, a turn does not move it.
        """
        return max(float(np.sqrt(np.trace(self.covariance[3:6, 3:6]))), deviation_by_views(self))

    @property
    def focal_deviation(self) -> float:
        """Standard deviation of the focal length, as a share of it; 0 where it is held."""
        return float(np.sqrt(self.covariance[6, 6]))


def placed(found: Sightings, start: Start, seed: int) -> Placed | None:
    """The camera of the photo that made the sightings; None where too few of them agree on one.

    COLMAP's absolute pose first (P3P, or with the focal length where it is not known, in LO-RANSAC), then camera and points
    adjusted together, the scene's cameras held.
    """
    options = colmap.AbsolutePoseEstimationOptions()
    options.estimate_focal_length = not start.held and start.focal_deviation >= UNDETERMINED
    options.ransac.max_error, options.ransac.random_seed = START_ERROR, seed
    camera = colmap_camera(Camera((0,), start.lens, start.held, start.held), 1)
    first = colmap.estimate_absolute_pose(found.xy, found.model.points, camera, options) if len(found) >= 4 else None
    if first is None:
        return None
    pose, lens = np.eye(4), start.lens
    pose[:3] = first["cam_from_world"].matrix()
    if options.estimate_focal_length:
        lens = replace(lens, params=tuple(float(p) for p in camera.params))
    agrees = np.asarray(first["inlier_mask"], bool)
    for _ in range(2):
        if agrees.sum() < 4:
            return None
        best = adjusted_photo(found[agrees].with_camera(pose, lens), start)
        pose, lens = best.camera_from_world[-1], best.lenses[-1]
        agrees = distances(found.with_camera(pose, lens))[-len(found) :] < MAX_REPROJECTION
    return fitted(found, agrees, pose, lens, start)


def fitted(found: Sightings, agrees: Annotated[np.ndarray, "S"], pose: np.ndarray, lens: Lens, start: Start) -> Placed:
    """The camera adjusted to given ones of the sightings."""
    model = adjusted_photo(found[agrees].with_camera(pose, lens), start)
    return Placed(start, found, agrees, model, covariance(model, start))


def deviation_by_views(found: Placed) -> float:
    """Standard deviation of the centre by what changes where a part of the scene's photos is left out, world units.

    The jackknife of groups (Efron & Tibshirani 1993, section 11.5); 0 where too little is left without one of them.
    """
    mine = found.sightings[found.agrees]
    views = np.unique(mine.model.view)
    groups = min(GROUPS, len(views))
    centers = []
    for g in range(groups):
        rest = mine.without(views[g::groups])
        if len(rest) < MIN_POINTS:
            return 0.0
        pose = adjusted_photo(rest.with_camera(found.camera_from_world, found.lens), found.start).camera_from_world[-1]
        centers.append(center_of(pose))
    return float(np.sqrt((groups - 1) * np.var(centers, 0).sum())) if groups > 1 else 0.0


def better(own: Placed | None, scenes: Placed | None) -> Placed | None:
    """The one with the scene's lens, unless a lens of the photo's own fits clearly better."""
    if own is None or scenes is None:
        return own or scenes
    both = own.agrees | scenes.agrees
    one, other = (fitted(p.sightings, both, p.camera_from_world, p.lens, p.start) for p in (own, scenes))
    nearer = one.error < BY_MUCH * other.error and lead(one.model, other.model) >= CLEARLY
    return own if nearer else scenes


@dataclass(frozen=True)
class Equations:
    """Normal equations of the photo's camera (8: turn, shift, log focal length, distortion) and P points."""

    by_camera: Annotated[np.ndarray, "8 8"]
    by_points: Annotated[np.ndarray, "P 3 3"]
    coupling: Annotated[np.ndarray, "P 8 3"]
    of_camera: Annotated[np.ndarray, "8"]  # gradient
    of_points: Annotated[np.ndarray, "P 3"]
    cost: float
    noise: float  # pixels: standard deviation of an observation


def equations(model: Model, start: Start, given: Lens) -> Equations:
    """Of a model whose last view is free. Observations far off count less (Cauchy); lenses are tied to the `given` one."""
    by_pose, by_lens, by_point, off = derivatives(model, True)
    d2 = (off**2).sum(1) / LOSS_SCALE**2
    weight = (1 / (1 + d2))[:, None]
    mine = np.arange(len(off)) >= len(off) - len(model.points)
    J = np.concatenate([by_pose[mine], by_lens[mine]], 2)
    by_points, of_points = np.zeros((len(model.points), 3, 3)), np.zeros((len(model.points), 3))
    np.add.at(by_points, model.point, np.einsum("mki,mkj->mij", weight[..., None] * by_point, by_point))
    np.add.at(of_points, model.point, np.einsum("mki,mk->mi", by_point, weight * off))
    w = weight[mine]
    redundancy = max(off.size - 3 * len(model.points) - 8, 1) / off.size
    noise = max(np.sqrt(float((weight * off**2).mean()) / redundancy), LEAST_NOISE)
    by_camera, of_camera = np.einsum("mki,mkj->ij", w[..., None] * J, J), np.einsum("mki,mk->i", J, w * off[mine])
    priors = np.array([np.log(model.lenses[-1].params[0] / given.params[0]), model.lenses[-1].param("k1") - given.param("k1")])
    precision = noise**2 / np.array([start.focal_deviation, DISTORTION_DEVIATION]) ** 2
    by_camera[[6, 7], [6, 7]] += precision
    of_camera[6:] += precision * priors
    cost = LOSS_SCALE**2 * float(np.log1p(d2).sum()) + float((precision * priors**2).sum())
    coupling = np.einsum("mki,mkj->mij", w[..., None] * J, by_point[mine])
    return Equations(by_camera, by_points, coupling, of_camera, of_points, cost, noise)


def reduced(e: Equations, damping: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What is left for the camera when the points are taken out (Triggs et al. 2000, section 6.1): the inverses of the
    points' blocks, the matrix and the gradient."""
    damped = e.by_points + damping * e.by_points * np.eye(3) + 1e-12 * np.trace(e.by_points, 0, 1, 2)[:, None, None] * np.eye(3)
    inverse = np.linalg.inv(damped)
    through = e.coupling @ inverse
    matrix = e.by_camera * (1 + damping * np.eye(8)) - np.einsum("pij,pkj->ik", through, e.coupling)
    return inverse, matrix, e.of_camera - np.einsum("pij,pj->i", through, e.of_points)


def adjusted_photo(model: Model, start: Start) -> Model:
    """The model with the last view's camera and all points adjusted; the other cameras are held.

    Levenberg and Marquardt (Triggs et al. 2000, section 4): there are few unknowns once the points are taken out.
    """
    damping, given = 1e-3, start.lens
    free = slice(0, 6 if start.held else 8)
    now = equations(model, start, given)
    for _ in range(STEPS):
        inverse, matrix, gradient = reduced(now, damping)
        step = np.zeros(8)
        step[free] = -np.linalg.solve(matrix[free, free], gradient[free])
        of_points = -np.einsum("pij,pj->pi", inverse, now.of_points + np.einsum("pij,i->pj", now.coupling, step))
        tried = moved(model, step, of_points)
        then = equations(tried, start, given)
        if np.isfinite(then.cost) and then.cost < now.cost:
            done = now.cost - then.cost < 1e-5 * now.cost
            model, now, damping = tried, then, damping / 10
            if done:
                break
        else:
            damping *= 10
    return model


def moved(model: Model, step: Annotated[np.ndarray, "8"], of_points: Annotated[np.ndarray, "P 3"]) -> Model:
    """The model with its last view and its points moved."""
    motion = np.eye(4)
    motion[:3, :3], motion[:3, 3] = cv2.Rodrigues(step[:3])[0], step[3:6]
    cameras = model.camera_from_world.copy()
    cameras[-1] = motion @ cameras[-1]
    lens = model.lenses[-1]
    if step[6:].any():
        f, cx, cy, k = lens.params
        lens = replace(lens, params=(f * float(np.exp(np.clip(step[6], -0.5, 0.5))), cx, cy, k + float(step[7])))
    return replace(
        model, camera_from_world=cameras, lenses=(*model.lenses[:-1], lens), points=model.points + of_points
    )


def covariance(model: Model, start: Start) -> Annotated[np.ndarray, "8 8"]:
    """Of the last view's camera, the scene's cameras taken as true and the points as free."""
    e = equations(model, start, start.lens)
    _, matrix, _ = reduced(e, 0.0)
    free, found = slice(0, 6 if start.held else 8), np.zeros((8, 8))
    found[free, free] = e.noise**2 * np.linalg.pinv(matrix[free, free], hermitian=True)
    return found
