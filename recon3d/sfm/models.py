"""COLMAP's incremental mapper on a database of matches, and its model as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

from recon3d.core.lens import Lens
from recon3d.progress import Progress
from recon3d.sfm.features import Camera, image_id
from recon3d.sfm.pycolmap import colmap
from recon3d.sfm.settings import MIN_MATCHES, Settings


@dataclass(frozen=True)
class Model:
    """A sparse model of R registered of N views, P points and M observations; pixels are those of feature pictures."""

    views: tuple[int, ...]  # registered, ascending
    camera_from_world: Annotated[np.ndarray, "R 4 4"]
    lenses: tuple[Lens, ...]  # R
    points: Annotated[np.ndarray, "P 3"]
    errors: Annotated[np.ndarray, "P"]  # mean reprojection error, pixels
    view: Annotated[np.ndarray, "M"]  # of every observation: index into `views`,
    point: Annotated[np.ndarray, "M"]  # into `points`,
    feature: Annotated[np.ndarray, "M"]  # into the features of its view,
    xy: Annotated[np.ndarray, "M 2"]  # and where it is, pixels


def pipeline_options(cameras: tuple[Camera, ...], settings: Settings, threads: int, seed: int):
    """COLMAP's options of incremental mapping: known cameras are held, colours are left to us."""
    options = colmap.IncrementalPipelineOptions()
    options.num_threads, options.random_seed = threads, seed
    options.min_num_matches = MIN_MATCHES
    options.extract_colors = False
    options.constant_cameras = {number for number, camera in enumerate(cameras, 1) if camera.known}
    options.mapper.num_threads, options.mapper.random_seed = threads, seed
    options.mapper.init_min_num_inliers = settings.init_min_num_inliers
    options.mapper.init_min_tri_angle = settings.init_min_tri_angle
    options.mapper.abs_pose_min_num_inliers = settings.abs_pose_min_num_inliers
    options.mapper.filter_min_tri_angle = settings.filter_min_tri_angle
    options.triangulation.min_angle = settings.filter_min_tri_angle
    options.triangulation.random_seed = seed
    return options


def incremental_models(database: Path, count: int, options, progress: Progress) -> list[Model]:
    """All models that the mapper finds, the largest (by views, then observations) first."""
    colmap.set_random_seed(options.random_seed)
    registered = 2

    def advance() -> None:
        nonlocal registered
        registered += 1
        progress.advance(min(registered, count), count, "mapping")

    found = colmap.incremental_mapping(database, database.parent, database.parent, options, next_image_callback=advance)
    models = [model_of(reconstruction) for reconstruction in found.values()]
    return sorted(models, key=lambda m: (-len(m.views), -len(m.view)))


def model_of(reconstruction) -> Model:
    """A pycolmap reconstruction as arrays; points in the order of their numbers."""
    numbers = sorted(reconstruction.point3D_ids())
    points = [reconstruction.point3D(number) for number in numbers]
    index = {number: i for i, number in enumerate(numbers)}
    ids = sorted(reconstruction.reg_image_ids())
    camera_from_world = np.tile(np.eye(4), (len(ids), 1, 1))
    lenses, view, point, feature, xy = [], [], [], [], []
    reconstruction.update_point_3d_errors()
    for i, number in enumerate(ids):
        image = reconstruction.image(number)
        camera_from_world[i, :3] = image.cam_from_world().matrix()
        lenses.append(lens_of(reconstruction.camera(image.camera_id)))
        for k in image.get_observation_point2D_idxs():
            seen = image.point2D(k)
            view.append(i)
            point.append(index[seen.point3D_id])
            feature.append(k)
            xy.append(seen.xy)
    return Model(
        tuple(number - image_id(0) for number in ids), camera_from_world, tuple(lenses),
        np.array([p.xyz for p in points]).reshape(-1, 3), np.array([p.error for p in points]),
        np.array(view, np.int64), np.array(point, np.int64), np.array(feature, np.int64), np.array(xy).reshape(-1, 2),
    )  # fmt: skip


def lens_of(camera) -> Lens:
    """A pycolmap camera's lens."""
    return Lens(camera.model.name, tuple(float(p) for p in camera.params), camera.height, camera.width)
