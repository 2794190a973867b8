"""Folders of photos with known cameras: a COLMAP model, a transforms.json or a cameras.json, whatever `io.detect` knows."""

from __future__ import annotations

from collections.abc import Container, Iterator
from pathlib import Path

import numpy as np
import torch

from recon3d.core.cameras import Cameras
from recon3d.data.dl3dv import number_of
from recon3d.data.posed_scene import PosedScene, SceneAt, Skipped, scene_folders
from recon3d.errors import InputError
from recon3d.io.detect import cameras_kind, detect, model_folder
from recon3d.io.json_input import read_value
from recon3d.io.load import known_photos
from recon3d.io.undistortion import undistorted_lens

TRANSFORMS, CAMERAS = "transforms.json", "cameras.json"


def is_scene(folder: Path) -> bool:
    """Whether the file of a scene is there, be it readable or not. Other programs have a cameras.json of their own."""
    cameras = folder / CAMERAS
    if (folder / TRANSFORMS).is_file() or (cameras.is_file() and (cameras_kind(cameras) or not is_json(cameras))):
        return True
    return model_folder(folder) is not None


def is_json(file: Path) -> bool:
    try:
        read_value(file)
    except InputError:
        return False
    return True


def refuse_damaged(folder: Path) -> None:
    """Raises InputError where the file that would tell the cameras is no JSON: `detect` takes what else lies there."""
    transforms, cameras = folder / TRANSFORMS, folder / CAMERAS
    if transforms.is_file():
        read_value(transforms)
    elif cameras.is_file() and model_folder(folder) is None:
        read_value(cameras)


def scenes(root: Path, wanted: Container[str] | None = None) -> Iterator[PosedScene | Skipped]:
    """The posed folders at `root` or below."""
    for folder in scene_folders(root, is_scene):
        name = folder.resolve().name
        if wanted is None or name in wanted:
            try:
                yield scene_of(folder)
            except InputError as error:
                yield Skipped(name, f"{Path(error.where).name}: {error.what}")


def located(root: Path) -> list[SceneAt]:
    return [SceneAt(folder.resolve().name, folder) for folder in scene_folders(root, is_scene)]


def scene_of(folder: Path) -> PosedScene:
    """The photos of a folder whose lens and pose are known, in the order of their names. InputError where there is none."""
    refuse_damaged(folder)
    found = detect([folder])
    photos, unreadable = known_photos(found)
    lenses, poses, kept = [], [], []
    for photo in photos:
        if photo.known is not None and photo.known.lens is not None and photo.known.camera_from_world is not None:
            lenses.append(photo.known.lens)
            poses.append(photo.known.camera_from_world)
            kept.append(photo)
    if not kept:
        raise InputError(folder, "no photo of it has a known lens and pose", "Give a folder with cameras of its photos")
    pinholes = {lens: undistorted_lens(lens, folder.name) for lens in dict.fromkeys(lenses)}
    numbers = list(pinholes)
    return PosedScene(
        name=folder.resolve().name,
        cameras=Cameras(
            torch.from_numpy(np.stack(poses)),
            torch.from_numpy(np.stack([pinholes[lens].K for lens in lenses])),
            torch.tensor([(lens.height, lens.width) for lens in lenses]),
            torch.tensor([numbers.index(lens) for lens in lenses]),
        ),
        pictures=tuple(photo.source for photo in kept),
        names=tuple(photo.name for photo in kept),
        timestamps=tuple(number_of(photo.name, i) for i, photo in enumerate(kept)),
        lenses=tuple(None if lens.is_pinhole else lens for lens in lenses),
        left_out=tuple(f"{name}: {reason}" for name, reason in sorted(unreadable.items())),
    )
