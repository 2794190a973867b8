"""Depth that lies beside the photos of a posed scene: depth/STEM.npy, .npz, .exr or .png of images/STEM.jpg.

Names, files and units as of docs/predictions.md; `recon3d synth` writes such folders.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from recon3d.data.posed_scene import PosedScene
from recon3d.errors import InputError
from recon3d.io.covered import plan
from recon3d.io.depth_files import SUFFIXES, read_depth, read_scale
from recon3d.io.photos import Source

FOLDER, SCALE = "depth", "scale.txt"


def depth_files(scene: PosedScene, frames: Sequence[int]) -> tuple[Path, ...]:
    """A file for each of the frames; empty where one has none, or where a lens bends a photo as stored: depth would have to
    be bent back with it."""
    found = []
    for i in frames:
        picture = scene.pictures[i]
        file = _beside(picture.path) if isinstance(picture, Source) and scene.lenses[i] is None else None
        if file is None:
            return ()
        found.append(file)
    return tuple(found)


def depth_problem(scene: PosedScene, i: int) -> str | None:
    """What is wrong with the depth of a frame; None where nothing is, or where it has none."""
    for file in depth_files(scene, (i,)):
        try:
            whole_depth(scene, i, file)
        except InputError as error:
            return f"{FOLDER}/{Path(error.where).name}: {error.what}"
    return None


def whole_depth(scene: PosedScene, i: int, file: Path) -> Annotated[np.ndarray, "H W"]:
    """z-depth of a photo at its own size, in units of its world, 0 where unknown. Raises InputError."""
    scale = file.parent / SCALE
    return read_depth(file, scene.cameras.size(i), read_scale(scale) if scale.exists() else 1.0)


def _beside(photo: Path) -> Path | None:
    """In the folder of the photo, or beside it."""
    places = [place / FOLDER / f"{photo.stem}{suffix}" for place in (photo.parent, photo.parent.parent) for suffix in SUFFIXES]
    return next((place for place in places if place.is_file()), None)


def covered_depth(
    scene: PosedScene, frames: Sequence[int], files: Sequence[Path], size: tuple[int, int]
) -> Annotated[Tensor, "n H W"]:
    """z-depth for the pictures of `posed_scene.views`: of the nearest pixel of the photo, in units of its world, 0 where
    unknown. InputError where a file is damaged or of another size than its photo."""
    height, width = size
    row, column = (torch.arange(side, dtype=torch.float64) + 0.5 for side in size)
    found = torch.zeros(len(files), height, width)
    for k, (i, file) in enumerate(zip(frames, files, strict=True)):
        whole, depth = scene.cameras.size(i), torch.from_numpy(whole_depth(scene, i, file))
        new_from_old = plan(whole, size)[2]
        y = ((row - new_from_old[1, 2]) / new_from_old[1, 1]).long().clamp(0, whole[0] - 1)
        x = ((column - new_from_old[0, 2]) / new_from_old[0, 0]).long().clamp(0, whole[1] - 1)
        found[k] = depth[y[:, None], x[None]]
    return found
