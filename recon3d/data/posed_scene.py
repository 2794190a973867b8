"""A scene of a data set: cameras, and pictures that stay encoded until a view is asked for.

What every reader here yields, so that nothing after it asks which format a scene came from.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from recon3d.core.cameras import Cameras
from recon3d.core.lens import Lens
from recon3d.core.views import Views
from recon3d.errors import InputError
from recon3d.io.covered import covered, plan
from recon3d.io.photos import Source, encoded_header, read_encoded, read_photo
from recon3d.io.undistortion import undistorted_pixels

DEEPEST = 3  # folders between a root and its scenes at most, as in DL3DV-ALL-960P/1K/SCENE/nerfstudio


@dataclass(frozen=True)
class Skipped:
    """A scene that is not used, or a file of scenes, and why."""

    scene: str
    reason: str


@dataclass(frozen=True)
class SceneAt:
    """Where a scene lies, told without opening it."""

    name: str
    path: Path  # its folder, or the chunk that holds it


@dataclass(frozen=True)
class PosedScene:
    """N posed pictures in the order that frame numbers count. Masks are not used."""

    name: str
    cameras: Cameras  # of the pictures as `decoded` gives them: whole, without distortion
    pictures: tuple[Source | Tensor, ...]  # a file, or the bytes of one (uint8 [length]) that a chunk holds
    names: tuple[str, ...]  # of the pictures, with their suffixes
    timestamps: tuple[int, ...]  # the data set's own numbers of the frames
    lenses: tuple[Lens | None, ...]  # what bends a picture as stored; None: nothing does
    url: str = ""
    left_out: tuple[str, ...] = ()  # frames that the scene's files name and that cannot be used, with the reason

    def __len__(self) -> int:
        return len(self.pictures)


def decoded(scene: PosedScene, i: int) -> Annotated[np.ndarray, "H W 3"]:
    """Frame i as `scene.cameras` sees it, rgb uint8. Raises InputError where it is damaged or has another size."""
    picture, lens = scene.pictures[i], scene.lenses[i]
    if isinstance(picture, Source):
        rgb, _ = read_photo(picture)
    else:
        rgb = read_encoded(picture.numpy().tobytes(), place(scene, i))
    refuse_other_size(scene, i, rgb.shape[:2])
    return rgb if lens is None else undistorted_pixels(rgb, lens, str(place(scene, i)))


def encoded(scene: PosedScene, i: int) -> tuple[bytes, str]:
    """Frame i as a file that `scene.cameras` belongs to, and its suffix: the bytes as stored, or a PNG where a lens bends
    what they show or an orientation tag turns it, which some readers follow and others do not.
    """
    picture = scene.pictures[i]
    content = picture.path.read_bytes() if isinstance(picture, Source) else picture.numpy().tobytes()
    if scene.lenses[i] is None and encoded_header(content, place(scene, i)).exif.orientation == 1:
        return content, Path(scene.names[i]).suffix
    file = io.BytesIO()
    Image.fromarray(decoded(scene, i)).save(file, "PNG")
    return file.getvalue(), ".png"


def place(scene: PosedScene, i: int) -> Path:
    """Where frame i lies, for people."""
    picture = scene.pictures[i]
    return picture.path if isinstance(picture, Source) else Path(scene.name) / scene.names[i]


def refuse_other_size(scene: PosedScene, i: int, size: tuple[int, ...]) -> None:
    """Raise InputError where a picture of (height, width) `size` is not what the camera of frame i was told of."""
    height, width = scene.cameras.size(i)
    if tuple(size) != (height, width):
        what = f"it has {size[1]}x{size[0]} pixels, its camera {width}x{height}"
        raise InputError(place(scene, i), what, "Give pictures of the size that their cameras are for")


def views(scene: PosedScene, frames: Sequence[int], size: tuple[int, int]) -> Views:
    """Frames as posed views of (height, width) `size`, by the published resize and crop (`io.covered`).

    The cropped picture is the photo: nothing outside of it can be read again by whoever gets the views.
    """
    frames = list(frames)
    pictures = [np.ascontiguousarray(covered(decoded(scene, i), size)[0]) for i in frames]
    cameras = cropped_cameras(scene, frames, size)
    return Views(
        names=tuple(scene.names[i] for i in frames),
        images=tuple(torch.from_numpy(picture.transpose(2, 0, 1).copy()) for picture in pictures),
        masks=None,
        pixel_from_photo=torch.eye(3, dtype=torch.float64).repeat(len(frames), 1, 1),
        photo_sizes=cameras.sizes,
        camera_index=cameras.camera_index,
        held_out=torch.zeros(len(frames), dtype=torch.bool),
        sources=tuple(Source(place(scene, i), pixels=p) for i, p in zip(frames, pictures, strict=True)),
        lenses=tuple(Lens.pinhole(K.numpy(), *size) for K in cameras.K),
        focal_priors=(None,) * len(frames),
        known_camera_from_world=cameras.camera_from_world,
    )


def cropped_cameras(scene: PosedScene, frames: Sequence[int], size: tuple[int, int]) -> Cameras:
    """The cameras of `views`."""
    cameras = scene.cameras[list(frames)]
    maps = [plan(cameras.size(i), size)[2] for i in range(len(cameras))]
    return cameras.resized(torch.stack(maps), torch.tensor(size).repeat(len(maps), 1))


def with_unit_baseline(scene: PosedScene, context: Sequence[int]) -> PosedScene:
    """The scene in units of the distance between the first and the last context camera: pixelSplat's make_baseline_1."""
    moved = scene.cameras.camera_from_world.clone()
    moved[:, :3, 3] /= baseline(scene, context)
    return replace(scene, cameras=replace(scene.cameras, camera_from_world=moved))


def baseline(scene: PosedScene, context: Sequence[int]) -> float:
    """The distance between the first and the last context camera."""
    first, last = scene.cameras[[context[0], context[-1]]].centers_in_world
    return float((last - first).norm())


def scene_folders(root: Path, is_scene: Callable[[Path], bool], depth: int = DEEPEST) -> Iterator[Path]:
    """The folders of scenes at `root` or below, in the order of their names; nothing below a scene is looked at."""
    if is_scene(root):
        yield root
    elif depth:
        try:
            with os.scandir(root) as found:
                inner = sorted(entry.path for entry in found if entry.is_dir() and not entry.name.startswith("."))
        except OSError as error:
            raise InputError(root, f"it cannot be read ({error.strerror})", "Check its permissions") from error
        for folder in inner:
            yield from scene_folders(Path(folder), is_scene, depth - 1)
