"""COLMAP's sparse models: cameras, images and points with tracks. The files themselves: colmap_binary.py, colmap_text.py.

COLMAP's world, axes and pixels are ours. Rigs and frames of newer versions are not needed: images hold poses.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch

from recon3d.core.known_camera import KnownCamera
from recon3d.core.lens import Lens
from recon3d.core.rotations import matrices_from_quats, quats_from_matrices
from recon3d.errors import InputError
from recon3d.io import colmap_binary, colmap_text
from recon3d.io.colmap_records import Image, Points, unreadable


@dataclass(frozen=True)
class ColmapModel:
    """What a model holds: cameras in the order of their names, P points, M observations of them."""

    cameras: tuple[KnownCamera, ...]
    points: Annotated[np.ndarray, "P 3"]  # float64, world
    colors: Annotated[np.ndarray, "P 3"]  # uint8 sRGB
    errors: Annotated[np.ndarray, "P"]  # float64, mean reprojection error in pixels of the photo
    track_view: Annotated[np.ndarray, "M"]  # int64, index into cameras
    track_point: Annotated[np.ndarray, "M"]  # int64, index into points
    track_xy: Annotated[np.ndarray, "M 2"]  # float64, pixels of the photo as stored

    def moved(self, shift: Annotated[np.ndarray, "3"]) -> ColmapModel:
        """The same model in a world whose points are moved by `shift`."""
        return replace(self, cameras=tuple(c.moved(shift) for c in self.cameras), points=self.points + shift)


def read_model(folder: Path | str) -> ColmapModel:
    """The model whose cameras, images and (where present) points3D lie in `folder`, as .bin or else as .txt.

    Observations without a point that the model holds are left out. InputError where a file lies, is cut or contradicts
    another, or where a camera model is not read.
    """
    folder = Path(folder)
    for suffix, codec in ((".bin", colmap_binary), (".txt", colmap_text)):
        files = [folder / f"{name}{suffix}" for name in ("cameras", "images", "points3D")]
        if files[0].is_file() and files[1].is_file():
            lenses, images = codec.read_cameras(files[0]), codec.read_images(files[1])
            points = codec.read_points(files[2]) if files[2].is_file() else Points.none()
            return _assembled(files[1], lenses, images, points)
    raise InputError(folder, "it holds no COLMAP model (cameras and images, .bin or .txt)", "Give the folder of a model")


def _assembled(path: Path, lenses: dict[int, Lens], images: list[Image], points: Points) -> ColmapModel:
    images = sorted(images, key=lambda image: image.name)
    for before, image in itertools.pairwise(images):
        if before.name == image.name:
            raise unreadable(path, f"it lists {image.name} twice")
    for image in images:
        if image.camera not in lenses:
            raise unreadable(path, f"{image.name} was taken by camera {image.camera}, which the model does not hold")
    order = np.argsort(points.ids, kind="stable")
    ids = points.ids[order]
    if (ids[1:] == ids[:-1]).any():
        raise unreadable(path, "two points of the model have one number")
    seen = [_observations(image, ids) for image in images]
    return ColmapModel(
        cameras=tuple(KnownCamera(i.name, lenses[i.camera], _pose(i)) for i in images),
        points=points.xyz[order],
        colors=points.rgb[order],
        errors=points.errors[order],
        track_view=np.repeat(np.arange(len(images)), [len(point) for point, _ in seen]),
        track_point=np.concatenate([np.zeros(0, np.int64), *(point for point, _ in seen)]),
        track_xy=np.concatenate([np.zeros((0, 2)), *(xy for _, xy in seen)]),
    )


def _observations(image: Image, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the points that an image observes, and where; `ids` are sorted."""
    if len(ids) == 0:
        return np.zeros(0, np.int64), np.zeros((0, 2))
    at = np.minimum(np.searchsorted(ids, image.points), len(ids) - 1)
    held = (ids[at] == image.points) & np.isfinite(image.xy).all(1)
    return at[held].astype(np.int64), image.xy[held]


def _pose(image: Image) -> Annotated[np.ndarray, "4 4"]:
    pose = np.eye(4)
    pose[:3, :3] = matrices_from_quats(torch.tensor(image.quat, dtype=torch.float64)).numpy()
    pose[:3, 3] = image.translation
    return pose


def _as_colmap(
    camera_from_world: Annotated[np.ndarray, "N 4 4"],
) -> tuple[Annotated[np.ndarray, "N 4"], Annotated[np.ndarray, "N 3"]]:
    """Unit quaternions and translations whose cameras stand where the given ones do.

    A quaternion is another rotation than a matrix that is orthonormal to fewer digits than a far world's zero is away, so
    the translation is that of the rotation that readers will make of it.
    """
    rotation, translation = camera_from_world[:, :3, :3], camera_from_world[:, :3, 3]
    quats = quats_from_matrices(torch.from_numpy(rotation.copy()))
    off = matrices_from_quats(quats).numpy() - rotation
    centers = -np.linalg.solve(rotation, translation[..., None])
    return quats.numpy(), translation - (off @ centers)[..., 0]


def write_model(
    folder: Path | str,
    names: Sequence[str],
    lenses: Sequence[Lens],
    camera_index: Annotated[np.ndarray, "N"],
    camera_from_world: Annotated[np.ndarray, "N 4 4"],
    points: Annotated[np.ndarray, "P 3"],
    colors: Annotated[np.ndarray, "P 3"],
    errors: Annotated[np.ndarray, "P"],
    track_view: Annotated[np.ndarray, "M"],
    track_point: Annotated[np.ndarray, "M"],
    track_xy: Annotated[np.ndarray, "M 2"],
) -> None:
    """Write cameras.bin, images.bin and points3D.bin into an existing folder.

    Images of one `camera_index` share a camera of the model, as long as their lenses are the same. Numbers start at 1:
    image i of `names` is i + 1, point p is p + 1.
    """
    folder = Path(folder)
    shared = list(dict.fromkeys(zip(np.asarray(camera_index).tolist(), lenses, strict=True)))
    number = {camera: i + 1 for i, camera in enumerate(shared)}
    quats, translations = _as_colmap(np.asarray(camera_from_world, np.float64))
    view, point = np.asarray(track_view, np.int64), np.asarray(track_point, np.int64)
    order = np.argsort(view, kind="stable")
    counts = np.bincount(view, minlength=len(names))
    starts = np.concatenate([[0], np.cumsum(counts)])
    images = []
    for i, name in enumerate(names):
        mine = order[starts[i] : starts[i + 1]]
        camera = number[int(camera_index[i]), lenses[i]]
        images.append(Image(name, camera, quats[i], translations[i], np.asarray(track_xy)[mine], point[mine] + 1))
    # An observation's place in its image, which is how tracks name it.
    place = np.empty(len(view), np.int64)
    place[order] = np.arange(len(view)) - np.repeat(starts[:-1], counts)
    colmap_binary.write_cameras(folder / "cameras.bin", [lens for _, lens in shared])
    colmap_binary.write_images(folder / "images.bin", images)
    table = Points(np.arange(1, len(points) + 1), np.asarray(points), np.asarray(colors), np.asarray(errors))
    colmap_binary.write_points(folder / "points3D.bin", table, point, view + 1, place)
