"""What another program predicted, as files that it wrote: one folder for each scene. How they are named and what their
numbers mean is on a page of its own, docs/predictions.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

from recon3d.core.cameras import fitted_size
from recon3d.core.known_camera import KnownCamera
from recon3d.errors import InputError, check_exists
from recon3d.evaluation.photo_names import by_photo, photos_of_timestamps
from recon3d.io import depth_files
from recon3d.io.cameras_json import read_cameras
from recon3d.io.colmap_model import read_model
from recon3d.io.detect import model_folder
from recon3d.io.photo_folders import is_run
from recon3d.io.photos import Source, read_photo
from recon3d.io.point_cloud import read_positions
from recon3d.io.splat_files import FORMATS
from recon3d.io.transforms_json import read_transforms
from recon3d.io.tum import read_trajectory

CAMERAS = ("cameras.json", "transforms.json", "sparse", "cameras.tum", "trajectory.txt")
DEPTH, RENDERS, POINTS, SPLATS = "depth", "renders", "points.ply", "splats"
SCALE = "scale.txt"  # of the PNG files in depth/
RENDER_SUFFIXES = (".png", ".jpg", ".jpeg")
SPLAT_SUFFIXES = tuple(dict.fromkeys(row.suffix for row in FORMATS.values()))


@dataclass(frozen=True)
class Prediction:
    """Of one scene, by photo name, in a world of its own. Cameras are read; all else is opened when it is asked for."""

    folder: Path
    of_run: bool  # whether a run of ours wrote it
    cameras: dict[str, KnownCamera] | None  # those with a pose, lens None where none is told; None: no such file
    depth_files: dict[str, Path]
    depth_scale: float  # one step of the integers of PNG files, in world units
    render_files: dict[str, Path]
    points_file: Path | None
    splats_file: Path | None

    def depth(self, photo: str, size: tuple[int, int]) -> Annotated[np.ndarray, "H W"]:
        """z-depth in world units (float32, 0: unknown) of a photo of (height, width) `size`; InputError for another size.

        A run of ours has its depth at the size that it worked at: the whole photo, made smaller.
        """
        path = self.depth_files[photo]
        if self.of_run and path.suffix == ".npz":
            size = fitted_size(*size, max(depth_files.npz_size(path)))
        return depth_files.read_depth(path, size, self.depth_scale)

    def render(self, photo: str, sizes: Sequence[tuple[int, int]]) -> Annotated[np.ndarray, "H W 3"]:
        """The picture (uint8 sRGB) that stands for a photo, of one of the (height, width) `sizes`; InputError for another."""
        path = self.render_files[photo]
        pixels, _ = read_photo(Source(path))
        height, width = pixels.shape[:2]
        if (height, width) not in sizes:
            wanted = " or ".join(f"{w}x{h}" for h, w in dict.fromkeys(sizes))
            what = f"it is {width}x{height}, and {Path(photo).name} is measured at {wanted} pixels"
            raise InputError(path, what, "Write it at that size, or say another with --size")
        return pixels

    def points(self) -> Annotated[np.ndarray, "P 3"] | None:
        """World points, float32."""
        return None if self.points_file is None else read_positions(self.points_file)


def prediction(folder: Path, scene: str, views: int | None, photo_names: Sequence[str]) -> Prediction | None:
    """What `folder` holds of a scene: in SCENE@VIEWS, where the number of input views is given, or else in SCENE.

    None where neither is there, or is empty. `photo_names` are all photos of the scene, targets included. InputError where
    files are named after no photo or after several, where cameras or splats are told twice, and where cameras are bad.
    """
    check_exists(folder, "Give the folder in which the predictions of each scene lie")
    place = place_of(folder, scene, views)
    if place is None:
        return None
    if not place.is_dir():
        raise InputError(place, "it is no folder", "Put the predictions of a scene into a folder of that name")
    if not any(_visible(place)):
        return None
    scale, of_run = place / DEPTH / SCALE, is_run(place)
    found = Prediction(
        folder=place,
        of_run=of_run,
        cameras=_cameras(place, photo_names),
        depth_files=_files(place / DEPTH, depth_files.SUFFIXES, photo_names, of_run),
        depth_scale=depth_files.read_scale(scale) if scale.exists() else 1.0,
        render_files=_files(place / RENDERS, RENDER_SUFFIXES, photo_names, of_run),
        points_file=place / POINTS if (place / POINTS).exists() else None,
        splats_file=_splats(place),
    )
    holds = found.depth_files or found.render_files or found.points_file or found.splats_file
    if found.cameras is None and not holds:
        known = f"{', '.join(CAMERAS)}, {DEPTH}/, {RENDERS}/, {POINTS} or {SPLATS}.ply"
        raise InputError(place, "it holds nothing that is read as a prediction", f"Name files as {known}")
    return found


def place_of(folder: Path, scene: str, views: int | None) -> Path | None:
    """Where the prediction of a scene lies, if there is one."""
    places = [folder / scene] if views is None else [folder / f"{scene}@{views}", folder / scene]
    return next((place for place in places if place.exists()), None)


def fingerprint(folder: Path, scene: str, views: int) -> str:
    """Of the files that a prediction of a scene consists of: their names, sizes and times of change."""
    place = place_of(folder, scene, views)
    tops = [] if place is None or not place.is_dir() else _visible(place)
    files = [path for top in tops for path in ([top] if top.is_file() else sorted(top.rglob("*"))) if path.is_file()]
    marks = [(f.relative_to(folder).as_posix(), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    return hashlib.sha256(repr(marks).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _cameras(place: Path, photo_names: Sequence[str]) -> dict[str, KnownCamera] | None:
    sources = [name for name in CAMERAS if (place / name).exists()]
    if is_run(place):
        sources = ["cameras.json"]  # a run of ours, whose three files say the same
    if not sources:
        return None
    path = place / sources[0]
    if len(sources) > 1:  # one of them may be the data set's own, copied: nobody can tell which is meant
        raise InputError(place, f"it tells cameras twice: {' and '.join(sources)}", "Leave the file that was predicted")
    if path.suffix in (".tum", ".txt"):
        trajectory = read_trajectory(path)
        photos = photos_of_timestamps(trajectory.timestamps, photo_names, path)
        poses = zip(photos, trajectory.camera_from_world, strict=True)
        return {photo: KnownCamera(photo, None, camera_from_world) for photo, camera_from_world in poses}
    listed = {camera.name: camera for camera in _named_cameras(path)}
    posed = {photo: listed[name] for photo, name in by_photo(list(listed), photo_names, path).items()}
    return {photo: camera for photo, camera in posed.items() if camera.camera_from_world is not None}


def _named_cameras(path: Path) -> tuple[KnownCamera, ...]:
    if path.name == "cameras.json":
        return read_cameras(path)
    if path.name == "transforms.json":
        return read_transforms(path)
    model = model_folder(path) if path.is_dir() else None
    if model is None:
        what = "it holds no COLMAP model (cameras and images, .bin or .txt)"
        raise InputError(path, what, "Write it as COLMAP does, into sparse/0")
    return read_model(model).cameras


def _files(folder: Path, suffixes: tuple[str, ...], photo_names: Sequence[str], of_run: bool) -> dict[str, Path]:
    """Photo name -> its file in `folder`. A run of ours keeps the folders of its photos, and puts a .png beside each .npz to
    look at."""
    if not folder.is_dir():
        return {}
    below = sorted(path for path in folder.rglob("[!.]*") if path.is_file()) if of_run else _visible(folder)
    paths = {path.relative_to(folder).as_posix(): path for path in below if path != folder.parent / DEPTH / SCALE}
    if of_run:
        paths = {name: path for name, path in paths.items() if path.suffix != ".png" or not path.with_suffix(".npz").exists()}
    for name, path in paths.items():
        if path.suffix.lower() not in suffixes or not path.is_file():
            raise InputError(folder, f"{name} is not read there", f"Leave only files that end in {', '.join(suffixes)}")
    return {photo: paths[name] for photo, name in by_photo(list(paths), photo_names, folder).items()}


def _splats(place: Path) -> Path | None:
    """The file splats.*, or else the only one with a suffix of splat files."""
    files = [path for path in _visible(place) if path.suffix.lower() in SPLAT_SUFFIXES and path.is_file()]
    files = [path for path in files if path.name != POINTS]
    named = [path for path in files if path.stem == SPLATS] or files
    if len(named) > 1:
        what = f"it holds splats twice: {named[0].name} and {named[1].name}"
        raise InputError(place, what, f"Leave one of them, or name it {SPLATS}{named[0].suffix}")
    return named[0] if named else None
