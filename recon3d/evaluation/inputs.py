"""What is given to methods, and what they are judged by: input views of a scene, with its cameras or without, and targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from recon3d.core.cameras import Cameras, fitted_size, resize_map
from recon3d.core.lens import Lens
from recon3d.core.views import Views
from recon3d.data.posed_scene import PosedScene, cropped_cameras, decoded, encoded, views
from recon3d.errors import InputError
from recon3d.io.covered import covered
from recon3d.io.detect import detect
from recon3d.io.load import load_views
from recon3d.io.photos import Source
from recon3d.io.working_pictures import working_picture

Size = tuple[int, int]


@dataclass(frozen=True)
class Subset:
    """Frames of a scene that a method is given, and those that it is asked for."""

    scene: PosedScene
    context: tuple[int, ...]
    target: tuple[int, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.scene.names[i] for i in self.context)


@dataclass(frozen=True)
class PictureSize:
    """The size of pictures: the longest side, in their own shape; or (height, width), cropped as published loaders do."""

    longest: int | None
    exact: Size | None = None

    @staticmethod
    def parsed(text: str) -> PictureSize:
        """"256" or "256x448" (height x width). Raises InputError at --size."""
        sides = text.lower().split("x")
        if len(sides) > 2 or not all(side.isdigit() and 32 <= int(side) <= 4096 for side in sides):
            raise InputError("--size", f"'{text}' is no size", "Give the longest side, as 256, or height x width, as 256x448")
        numbers = [int(side) for side in sides]
        return PictureSize(numbers[0]) if len(numbers) == 1 else PictureSize(None, (numbers[0], numbers[1]))

    @property
    def longest_side(self) -> int:
        return self.longest if self.exact is None else max(self.exact)  # type: ignore[return-value]


def given_views(of: Subset, size: PictureSize, posed: bool, folder: Path) -> Views:
    """The input views as a user would give them: photos of full size behind them, where they are not cropped; `posed`: with
    their cameras. Photos that lie in a chunk are written into `folder` first. Raises InputError."""
    scene = of.scene
    if size.exact is not None:
        found = views(scene, of.context, size.exact)
        if posed:
            return found
        return replace(found, lenses=(None,) * len(found), known_camera_from_world=None)
    files = tuple(photo_file(scene, i, folder) for i in of.context)
    found = load_views(detect(files), max_size=size.longest_side, repeated=True).views
    order = sorted(range(len(files)), key=lambda k: found.names.index(name_of(files[k], found.names)))
    found = replace(found, names=tuple(of.names[k] for k in order))
    if not posed:
        return found
    frames = [of.context[k] for k in order]
    lenses = tuple(scene.lenses[i] or Lens.pinhole(scene.cameras.K[i].numpy(), *scene.cameras.size(i)) for i in frames)
    return replace(found, lenses=lenses, known_camera_from_world=scene.cameras.camera_from_world[frames])


def name_of(file: Path, names: Sequence[str]) -> str:
    """The name that loading gave a file: the end of its path."""
    return next(name for name in names if file.as_posix().endswith("/" + name) or file.name == name)


def photo_file(scene: PosedScene, i: int, folder: Path) -> Path:
    """Frame i as a file: its own, or its bytes written to `folder`."""
    picture = scene.pictures[i]
    if isinstance(picture, Source):
        return picture.path
    content, suffix = encoded(scene, i)
    path = folder / f"{Path(scene.names[i]).stem}{suffix}"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return path


def target_cameras(of: Subset, size: PictureSize, frames: Sequence[int]) -> Cameras:
    """True cameras of frames, for pictures of the working size."""
    if size.exact is not None:
        return cropped_cameras(of.scene, frames, size.exact)
    cameras = of.scene.cameras[list(frames)]
    sizes = [fitted_size(*cameras.size(i), size.longest_side) for i in range(len(cameras))]
    maps = [resize_map(cameras.size(i), size) for i, size in enumerate(sizes)]
    return cameras.resized(torch.stack(maps), torch.tensor(sizes))


def target_picture(of: Subset, size: PictureSize, frame: int) -> Annotated[Tensor, "3 H W"]:
    """A frame without distortion at the working size, 0 to 1."""
    return at_working_size(decoded(of.scene, frame), size)


def at_working_size(rgb: Annotated[np.ndarray, "H W 3"], size: PictureSize) -> Annotated[Tensor, "3 h w"]:
    """A whole picture, uint8, as all are measured: resized, and cropped where `size` says so; 0 to 1."""
    if size.exact is not None:
        return torch.from_numpy(covered(rgb, size.exact)[0].copy()).permute(2, 0, 1).float() / 255
    return working_picture(rgb, None, size.longest_side)[0].float() / 255
