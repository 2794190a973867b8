"""COLMAP's incremental mapper and triangulation on a database of matches, and its model as arrays."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np

from recon3d.core.lens import Lens
from recon3d.progress import Progress
from recon3d.sfm.features import Camera, colmap_camera, image_id, image_name
from recon3d.sfm.pycolmap import colmap
from recon3d.sfm.settings import MIN_MATCHES, Settings

# COLMAP takes a lens beyond for impossible and leaves out its view, or only its points. Its own 1 moves a corner by 1 % where the
# focal length is 6 of the longest side; the corner itself is judged in `acceptance`.
MAX_DISTORTION_PARAMETER = 100.0
# The longest tracks by which the global mapper places a view; it triangulates the others afterwards. Street's 64 photos take 5.8
# s for 14, flower's 13 take 0.8 for 2.2; cameras and points are the same (six scenes, two seeds).
GLOBAL_TRACKS = 200

Poses = Mapping[int, Annotated[np.ndarray, "4 4"]]  # camera_from_world of views


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
    options.ba_refine_extra_params = options.mapper.abs_pose_refine_extra_params = settings.refine_distortion
    options.mapper.num_threads, options.mapper.random_seed = threads, seed
    options.mapper.init_min_num_inliers = settings.init_min_num_inliers
    options.mapper.init_min_tri_angle = settings.init_min_tri_angle
    options.mapper.abs_pose_min_num_inliers = settings.abs_pose_min_num_inliers
    options.mapper.filter_min_tri_angle = settings.filter_min_tri_angle
    options.triangulation.min_angle = settings.filter_min_tri_angle
    options.triangulation.ignore_two_view_tracks = not settings.two_view_tracks
    options.triangulation.random_seed = seed
    for part in (options, options.mapper, options.triangulation):
        part.max_extra_param = MAX_DISTORTION_PARAMETER
    return options


def starting_at(focal: float, cameras: tuple[Camera, ...]) -> tuple[Camera, ...]:
    """The cameras whose focal length nothing tells, starting at `focal` times their longest side."""

    def start(camera: Camera) -> Camera:
        lens = camera.lens
        params = (focal * max(lens.height, lens.width), *lens.params[1:])
        return camera if camera.focal_known else replace(camera, lens=replace(lens, params=params))

    return tuple(start(camera) for camera in cameras)


def write_lenses(database: Path, cameras: tuple[Camera, ...]) -> None:
    """Replace the lenses of a database's cameras."""
    file = colmap.Database.open(database)
    try:
        for number, camera in enumerate(cameras, 1):
            file.update_camera(colmap_camera(camera, number))
    finally:
        file.close()


def incremental_models(database: Path, count: int, options, progress: Progress, start: Path | None = None) -> list[Model]:
    """All models that the mapper finds, the largest (by views, then observations) first; `start`: a model to extend."""
    colmap.set_random_seed(options.random_seed)
    registered = 2

    def advance() -> None:
        nonlocal registered
        registered += 1
        progress.advance(min(registered, count), count, "mapping")

    with tempfile.TemporaryDirectory(dir=database.parent) as written:
        found = colmap.incremental_mapping(
            database, database.parent, written, options, "" if start is None else start, next_image_callback=advance
        )
    models = [model_of(reconstruction) for reconstruction in found.values()]
    return sorted(models, key=lambda m: (-len(m.views), -len(m.view)))


def global_models(
    database: Path, count: int, cameras: tuple[Camera, ...], threads: int, seed: int, progress: Progress
) -> list[Model]:
    """All models of COLMAP's global mapper (GLOMAP, Pan et al. 2024), the largest first."""
    colmap.set_random_seed(seed)
    options = colmap.GlobalPipelineOptions()
    seeded = (options, options.mapper, options.mapper.rotation_averaging, options.mapper.global_positioning)
    for part in (*seeded, options.mapper.retriangulation):
        part.random_seed = seed
    options.mapper.retriangulation.max_extra_param = MAX_DISTORTION_PARAMETER
    options.mapper.track_required_tracks_per_view = GLOBAL_TRACKS
    options.num_threads = options.mapper.num_threads = threads
    options.min_num_matches = MIN_MATCHES
    options.mapper.global_positioning.use_gpu = options.mapper.bundle_adjustment.ceres.use_gpu = False
    adjusts = options.mapper.bundle_adjustment
    adjusts.refine_focal_length = adjusts.refine_extra_params = not all(camera.known for camera in cameras)
    progress.advance(0, count, "mapping")  # it does not say how far it is
    with tempfile.TemporaryDirectory(dir=database.parent) as written:
        found = colmap.global_mapping(database, database.parent, written, options)
    progress.advance(count, count, "mapping")
    models = [model_of(reconstruction) for reconstruction in found.values()]
    return sorted(models, key=lambda m: (-len(m.views), -len(m.view)))


def triangulated(
    database: Path, cameras: tuple[Camera, ...], poses: Poses, options, folder: Path, refine_lenses: bool = False
) -> Model:
    """Points of all matches of views with known camera_from_world, poses held; written to `folder` too.

    Lenses are held as well, unless `refine_lenses` and none of them is known: then they are adjusted to the poses.
    """
    colmap.set_random_seed(options.random_seed)
    posed = colmap.Reconstruction()
    for number, camera in enumerate(cameras, 1):
        posed.add_camera_with_trivial_rig(colmap_camera(camera, number))
    owner = {view: number for number, camera in enumerate(cameras, 1) for view in camera.views}
    for view, camera_from_world in sorted(poses.items()):
        image = colmap.Image(name=image_name(view), camera_id=owner[view], image_id=image_id(view))
        posed.add_image_with_trivial_frame(image, colmap.Rigid3d(camera_from_world[:3]))
    folder.mkdir(exist_ok=True)
    adjust = refine_lenses and not any(camera.known for camera in cameras)
    return model_of(colmap.triangulate_points(posed, database, database.parent, folder, True, options, adjust))


def with_lenses(cameras: tuple[Camera, ...], model: Model) -> tuple[Camera, ...]:
    """The cameras with the lenses that a model found for them; known ones stay as given."""
    lens = dict(zip(model.views, model.lenses, strict=True))
    return tuple(c if c.known else replace(c, lens=next((lens[v] for v in c.views if v in lens), c.lens)) for c in cameras)


def poses_of(model: Model) -> Poses:
    """camera_from_world of every registered view."""
    return dict(zip(model.views, model.camera_from_world, strict=True))


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


def only_views(model: Model, views: Sequence[int]) -> Model:
    """The model without its other views, and without points that fewer than two of these see."""
    kept_views = [model.views.index(view) for view in views]
    number = np.full(len(model.views), -1, np.int64)
    number[kept_views] = np.arange(len(kept_views))
    fewer = only_observations(model, number[model.view] >= 0)
    return replace(
        fewer, views=tuple(views), camera_from_world=model.camera_from_world[kept_views],
        lenses=tuple(model.lenses[i] for i in kept_views), view=number[fewer.view],
    )  # fmt: skip


def only_observations(model: Model, stays: Annotated[np.ndarray, "M"]) -> Model:
    """The model without its other observations (`stays`: bool), and without points that have fewer than two of these."""
    enough = np.bincount(model.point[stays], minlength=len(model.points)) >= 2
    stays = stays & enough[model.point]
    return replace(
        model, points=model.points[enough], errors=model.errors[enough], view=model.view[stays],
        point=(np.cumsum(enough) - 1)[model.point[stays]], feature=model.feature[stays], xy=model.xy[stays],
    )  # fmt: skip


def lens_of(camera) -> Lens:
    """A pycolmap camera's lens."""
    return Lens(camera.model.name, tuple(float(p) for p in camera.params), camera.height, camera.width)
