"""DL3DV as it is downloaded: a folder for each scene, with nerfstudio's transforms.json and pictures at parts of its size."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from pathlib import Path

import numpy as np
import torch

from recon3d.core.cameras import Cameras
from recon3d.core.known_camera import KnownCamera
from recon3d.data.posed_scene import PosedScene, SceneAt, Skipped, scene_folders
from recon3d.errors import InputError
from recon3d.io.photos import Source, read_header
from recon3d.io.transforms_json import read_transforms
from recon3d.io.undistortion import undistorted_lens

# The folders of pictures, smallest first. Most downloads have one of them.
PICTURES = ("images_8", "images_4", "images_2", "images")
INNER = "nerfstudio"  # where the benchmark's scenes keep everything
REMEDY = "Download the scene again"


def is_scene(folder: Path) -> bool:
    """Whether pictures at a part of the size of transforms.json lie here: what sets a scene of DL3DV apart."""
    return any(
        (place / "transforms.json").is_file() and any((place / name).is_dir() for name in PICTURES[:3])
        for place in (folder, folder / INNER)
    )


def scenes(
    root: Path, wanted: Container[str] | None = None, size: tuple[int, int] = (0, 0)
) -> Iterator[PosedScene | Skipped]:
    """The scenes at `root` or below, with the smallest pictures of each that (height, width) `size` need not enlarge."""
    for folder in scene_folders(root, is_scene):
        if wanted is None or folder.name in wanted:
            try:
                yield scene_of(folder, size)
            except InputError as error:
                yield Skipped(folder.name, f"{Path(error.where).name}: {error.what}")


def located(root: Path) -> list[SceneAt]:
    return [SceneAt(folder.name, folder) for folder in scene_folders(root, is_scene)]


def scene_of(folder: Path, size: tuple[int, int] = (0, 0)) -> PosedScene:
    """A scene, its frames in the order of transforms.json, as the published converters keep them.

    Where the lens bends, `decoded` undistorts; those converters do not. Raises InputError where a frame has no picture or
    no camera: numbers of frames would mean others.
    """
    place = folder / INNER if (folder / INNER / "transforms.json").is_file() else folder
    cameras = read_transforms(place / "transforms.json")
    pictures = _pictures(place, cameras, size)
    for camera in cameras:
        if camera.lens is None or camera.camera_from_world is None:
            raise InputError(place / "transforms.json", f"{camera.name} has no camera", REMEDY)
    stored = read_header(pictures[0]).stored_size
    lenses = [camera.lens.resized(*stored) for camera in cameras if camera.lens is not None]
    poses = [camera.camera_from_world for camera in cameras if camera.camera_from_world is not None]
    pinholes = {lens: undistorted_lens(lens, folder.name) for lens in dict.fromkeys(lenses)}
    numbers = list(pinholes)
    return PosedScene(
        name=folder.name,
        cameras=Cameras(
            torch.from_numpy(np.stack(poses)),
            torch.from_numpy(np.stack([pinholes[lens].K for lens in lenses])),
            torch.tensor(stored).repeat(len(lenses), 1),
            torch.tensor([numbers.index(lens) for lens in lenses]),
        ),
        pictures=tuple(Source(picture, as_stored=True) for picture in pictures),
        names=tuple(picture.name for picture in pictures),
        timestamps=tuple(number_of(picture.name, i) for i, picture in enumerate(pictures)),
        lenses=tuple(None if lens.is_pinhole else lens for lens in lenses),
    )


def number_of(name: str, otherwise: int) -> int:
    """The last number in a picture's name, which is what the published converters tell frames apart by."""
    found = re.findall(r"\d{1,18}", Path(name).stem)
    return int(found[-1]) if found else otherwise


def _pictures(place: Path, cameras: tuple[KnownCamera, ...], size: tuple[int, int]) -> list[Path]:
    """A picture for each camera, all from one folder: from the smallest that covers `size`, or else from the largest."""
    folders = [place / name for name in PICTURES if (place / name).is_dir()]
    names = [Path(camera.name).name for camera in cameras]
    whole = [folder for folder in folders if all((folder / name).is_file() for name in names)]
    if not whole:
        missing = next(name for name in names if not (folders[0] / name).is_file()) if folders else names[0]
        raise InputError(place / "transforms.json", f"it names {missing}, which is not there", REMEDY)
    sizes = [read_header(folder / names[0]).stored_size for folder in whole]
    covering = (f for f, (height, width) in zip(whole, sizes, strict=True) if height >= size[0] and width >= size[1])
    folder = next(covering, whole[-1])
    return [folder / name for name in names]
