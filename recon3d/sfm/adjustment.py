"""COLMAP's bundle adjustment of a model's arrays."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace
from typing import Annotated

import numpy as np

from recon3d.sfm.acceptance import MAX_REPROJECTION
from recon3d.sfm.features import Camera, colmap_camera, image_id, image_name
from recon3d.sfm.models import Model, lens_of, only_observations
from recon3d.sfm.pycolmap import colmap

TO_THE_MINIMUM = 500  # iterations at most; the slowest of the scenes of tools/benchmarks/planar.py took 230
LOSS_SCALE = 2.0  # pixels: what is farther off counts less (half of COLMAP's filter); twice as much with lenses held


def adjusted(
    model: Model, cameras: tuple[Camera, ...], refine_focal: bool = True, refine_distortion: bool = False,
    iterations: int = 100, fixed: Set[int] = frozenset(), robust: bool = True,
) -> Model:  # fmt: skip
    """The model with poses, points and the lenses of which nothing is told adjusted to its observations.

    A focal length from EXIF is held: a plane seen from the front would lead it anywhere (beach-drone, 6 photos: to 0). With
    lenses held, what is far off counts more, as cameras that are only guessed need it. Poses of the views `fixed` are held.
    Without `robust` everything counts by its square, as in COLMAP's mapper.
    """
    made, numbers = _reconstruction(model, cameras)
    options = colmap.BundleAdjustmentOptions()
    options.refine_focal_length, options.refine_extra_params = refine_focal, refine_distortion
    losses = colmap.LossFunctionType
    options.ceres.loss_function_type = losses.CAUCHY if refine_focal else losses.SOFT_L1
    if not robust:
        options.ceres.loss_function_type = losses.TRIVIAL
    options.ceres.loss_function_scale = LOSS_SCALE if refine_focal else 2 * LOSS_SCALE
    options.ceres.solver_options.num_threads = 1
    options.ceres.solver_options.max_num_iterations = iterations
    config = colmap.BundleAdjustmentConfig()
    for view in model.views:
        config.add_image(image_id(view))
        if view in fixed:
            config.set_constant_rig_from_world_pose(made.image(image_id(view)).frame_id)
    for number, camera in enumerate(cameras, 1):
        if camera.focal_known:
            config.set_constant_cam_intrinsics(number)
    config.fix_gauge(colmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    colmap.create_default_ceres_bundle_adjuster(options, config, made).solve()
    images = [made.image(image_id(view)) for view in model.views]
    camera_from_world = model.camera_from_world.copy()
    camera_from_world[:, :3] = [image.cam_from_world().matrix() for image in images]
    lenses = tuple(lens_of(made.camera(image.camera_id)) for image in images)
    points = np.array([made.point3D(number).xyz for number in numbers]).reshape(-1, 3)
    return replace(model, camera_from_world=camera_from_world, lenses=lenses, points=points)


def at_minimum(model: Model, cameras: tuple[Camera, ...], distortion: bool) -> Model:
    """A model of the mapper's at the minimum of the mapper's own sum of squares, without the observations that then lie off.

    The mapper ends where the gradient is small. Long lenses and flat scenes leave valleys in which it is small far from the
    minimum: of nearly planar scenes (tools/benchmarks/planar.py) models 2 to 5 degrees off come within 0.5 degrees by nothing
    but this. Where the mapper reached the minimum nothing changes.
    """
    found = adjusted(model, cameras, True, distortion, TO_THE_MINIMUM, robust=False)
    off = distances(found)
    near = off < MAX_REPROJECTION
    count = np.maximum(np.bincount(found.point[near], minlength=len(found.points)), 1)
    errors = np.bincount(found.point[near], off[near], len(found.points)) / count
    return only_observations(replace(found, errors=errors), near)


def distances(model: Model) -> Annotated[np.ndarray, "M"]:
    """How far every observation is from its point's projection, pixels; infinite for a point behind the camera."""
    camera = model.camera_from_world[model.view]
    in_camera = np.einsum("mij,mj->mi", camera[:, :3, :3], model.points[model.point]) + camera[:, :3, 3]
    found = np.full(len(model.view), np.inf)
    for i, lens in enumerate(model.lenses):
        mine = (model.view == i) & (in_camera[:, 2] > 0)
        seen = lens.pixels_of_rays(in_camera[mine, :2] / in_camera[mine, 2:])
        found[mine] = np.linalg.norm(seen - model.xy[mine], axis=1)
    return found


def _reconstruction(model: Model, cameras: tuple[Camera, ...]):
    """The model as COLMAP's, and the numbers of its points there."""
    made = colmap.Reconstruction()
    lens = dict(zip(model.views, model.lenses, strict=True))
    owner = {}
    for number, camera in enumerate(cameras, 1):
        its = next((lens[view] for view in camera.views if view in lens), camera.lens)
        made.add_camera_with_trivial_rig(colmap_camera(replace(camera, lens=its), number))
        owner |= dict.fromkeys(camera.views, number)
    row = np.zeros(len(model.view), np.int64)  # of an observation, in its view
    for i, view in enumerate(model.views):
        mine = np.flatnonzero(model.view == i)
        row[mine] = np.arange(len(mine))
        image = colmap.Image(
            name=image_name(view), camera_id=owner[view], image_id=image_id(view), keypoints=model.xy[mine]
        )
        made.add_image_with_trivial_frame(image, colmap.Rigid3d(model.camera_from_world[i][:3]))
    order = np.argsort(model.point, kind="stable")
    ends = np.searchsorted(model.point[order], np.arange(len(model.points) + 1))
    numbers = []
    for p, xyz in enumerate(model.points):
        track = colmap.Track()
        for k in order[ends[p] : ends[p + 1]]:
            track.add_element(image_id(model.views[model.view[k]]), int(row[k]))
        numbers.append(made.add_point3D(xyz, track))
    return made, numbers
