"""transforms.json, as instant-ngp began it and nerfstudio keeps it. Its OpenGL axes live in this file only.

Read: `applied_transform` and `applied_scale` are undone, so that cameras stand in the world that they had before
nerfstudio turned it. Written: our own world, `applied_transform` being the identity (or the way to a frame about a far
origin), without a turn to z-up, so that every file of a run shares one world. Blender's layout of NeRF's data is a folder
with one such file for each split.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from recon3d.core.known_camera import KnownCamera
from recon3d.core.lens import Lens
from recon3d.errors import InputError
from recon3d.io import json_input
from recon3d.io.json_input import REMEDY

if TYPE_CHECKING:
    from recon3d.core.cameras import Cameras

OPENCV_FROM_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])  # of camera axes, and its own inverse
# What stands in `camera_model` -> whether it is a fisheye. Others (EQUIRECTANGULAR, OMNIDIRECTIONALSTEREO, ...) are not read.
CAMERA_MODELS = {
    "SIMPLE_PINHOLE": False, "PINHOLE": False, "PERSPECTIVE": False, "SIMPLE_RADIAL": False, "RADIAL": False,
    "OPENCV": False, "FULL_OPENCV": False, "OPENCV_FISHEYE": True, "FISHEYE": True,
}  # fmt: skip
SUFFIXES = (".png", ".jpg", ".jpeg", ".JPG", ".JPEG", ".PNG", ".webp", ".tif", ".tiff", ".bmp", ".heic")


def split_files(folder: Path) -> tuple[Path, ...]:
    """The files of Blender's layout in a folder: of training, and of what is held out for measuring (that of validation
    only where there is none for testing). None where the first is missing."""
    train, *others = (folder / f"transforms_{split}.json" for split in ("train", "test", "val"))
    if not train.is_file():
        return ()
    return (train, *[other for other in others if other.is_file()][:1])


def read_transforms(path: Path | str) -> tuple[KnownCamera, ...]:
    """The cameras of the file's frames, in its order. Names are the frames' `file_path`, "./" removed; `image` is where
    it lies, with the suffix that was found where the file gives none. A lens is None where the file gives no focal length.

    Of a folder in Blender's layout: those of its training file, then those of the other one, held out.
    """
    path = Path(path)
    if path.is_dir():
        train, *others = split_files(path)
        seen = read_transforms(train)
        names = {camera.name for camera in seen}  # a view that training sees measures nothing
        held = [replace(c, held_out=True) for other in others for c in read_transforms(other) if c.name not in names]
        return (*seen, *held)
    document = json_input.read_object(path)
    undo, scale = _applied(document, path)
    tested = _tested(document)
    cameras: dict[str, KnownCamera] = {}
    for i, frame in enumerate(json_input.entries(document, "frames", path)):
        spelled = json_input.text(frame, "file_path", path, f"frames[{i}]")
        if PurePosixPath(_slashes(spelled)).name in ("", ".."):
            raise InputError(path, f"frames[{i}]: file_path {spelled!r:.40} names no picture", REMEDY)
        image = _image(path.parent, spelled)
        name = str(PurePosixPath(_slashes(spelled)).with_name(image.name))
        if name in cameras:
            raise InputError(path, f"it lists {name} twice", REMEDY)
        mask = frame.get("mask_path")
        cameras[name] = KnownCamera(
            name=name,
            lens=_lens({**document, **frame}, image, path, name),
            camera_from_world=_pose(frame, undo, scale, path, name),
            image=image,
            mask=None if mask is None else path.parent / _slashes(json_input.text(frame, "mask_path", path, name)),
            held_out=frame.get("held_out") is True or spelled in tested,
        )
    return tuple(cameras.values())


def _tested(document: Mapping[str, Any]) -> set[str]:
    """The `file_path` of frames that nerfstudio's lists give to testing and not to training."""
    test, train = (document.get(f"{split}_filenames") for split in ("test", "train"))
    named = {name for name in test if isinstance(name, str)} if isinstance(test, list) else set()
    return named - {name for name in train if isinstance(name, str)} if isinstance(train, list) else named


def _slashes(spelled: str) -> str:
    return spelled.replace("\\", "/")


def _image(folder: Path, spelled: str) -> Path:
    """Where a frame's picture lies; nerfstudio's and NeRF's own files may leave the suffix out."""
    image = folder / _slashes(spelled)
    if not os.path.isfile(image) and image.suffix not in SUFFIXES:
        for suffix in SUFFIXES:
            if os.path.isfile(found := image.with_name(image.name + suffix)):
                return found
    return image


def _applied(document: Mapping[str, Any], path: Path) -> tuple[Annotated[np.ndarray, "4 4"], float]:
    """What takes the file's world (after division by the scale) back to the world before `applied_transform`."""
    scale = json_input.number(document, "applied_scale", path, "applied_scale")
    given = json_input.matrix(document, "applied_transform", [(3, 4), (4, 4)], path, "applied_transform")
    if scale is not None and scale <= 0:
        raise InputError(path, "its applied_scale is not positive", REMEDY)
    applied = np.eye(4) if given is None else json_input.rigid_about_center(given, path, "applied_transform")
    return json_input.inverse_about_center(applied), 1.0 if scale is None else scale


def _pose(
    frame: Mapping[str, Any], undo: np.ndarray, scale: float, path: Path, name: str
) -> Annotated[np.ndarray, "4 4"] | None:
    given = json_input.matrix(frame, "transform_matrix", [(4, 4), (3, 4)], path, name)
    if given is None:
        return None
    world_from_camera = json_input.rigid(given, path, name)
    with np.errstate(over="ignore", invalid="ignore"):
        world_from_camera[:3, 3] /= scale
        camera_from_world = json_input.inverse_motion(undo @ world_from_camera @ OPENCV_FROM_OPENGL)
    if not np.isfinite(camera_from_world).all():
        raise InputError(path, f"{name}: its matrix leaves the range of numbers", REMEDY)
    return camera_from_world


def _lens(entry: Mapping[str, Any], image: Path, path: Path, name: str) -> Lens | None:
    """The lens of a frame from its own values, or else the file's."""
    fisheye = _is_fisheye(entry, path, name)
    sides = [json_input.side(entry, key, path, name) for key in ("h", "w")]
    height, width = (None, None) if None in sides else sides
    if height is None or width is None:
        height, width = _size_of(image) or (None, None)
    numbers = {key: json_input.number(entry, key, path, name) for key in ("fl_x", "fl_y", "cx", "cy")}
    angles = {key: json_input.number(entry, key, path, name) for key in ("camera_angle_x", "camera_angle_y")}
    if height is None or width is None:
        return None
    focal_x = numbers["fl_x"] or _focal(angles["camera_angle_x"], width, path, name)
    focal_y = numbers["fl_y"] or _focal(angles["camera_angle_y"], height, path, name) or focal_x
    focal_x = focal_x or focal_y
    if focal_x is None or focal_y is None:
        return None
    cx = width / 2 if numbers["cx"] is None else numbers["cx"]
    cy = height / 2 if numbers["cy"] is None else numbers["cy"]
    model, bends = _distortion(entry, fisheye, path, name)
    return json_input.lens_of(model, (focal_x, focal_y), (cx, cy), bends, (height, width), path, name)


def _is_fisheye(entry: Mapping[str, Any], path: Path, name: str) -> bool:
    model = entry.get("camera_model", "OPENCV")
    if not isinstance(model, str) or model.upper() not in CAMERA_MODELS:
        raise InputError(
            path,
            f"{name}: its camera_model {model!r:.40} is not read",
            f"Models that are read: {', '.join(CAMERA_MODELS)}; cut other pictures into perspective ones first",
        )
    return CAMERA_MODELS[model.upper()] or entry.get("is_fisheye") is True


def _distortion(entry: Mapping[str, Any], fisheye: bool, path: Path, name: str) -> tuple[str, dict[str, float]]:
    """COLMAP's model and named distortions from k1 to k4, p1 and p2 (absent: 0)."""
    bends = {key: json_input.number(entry, key, path, name) or 0.0 for key in ("k1", "k2", "k3", "k4", "p1", "p2")}
    # k4 multiplies r^8 here where COLMAP's FULL_OPENCV divides by it; a fisheye has no tangential part there.
    unknown = [key for key in (("p1", "p2") if fisheye else ("k4",)) if bends[key] != 0]
    if unknown:
        kind = "fisheye" if fisheye else "perspective"
        raise InputError(path, f"{name}: a {kind} lens with {unknown[0]} is not read", "Undistort the pictures first")
    if fisheye:
        return "OPENCV_FISHEYE", bends
    return "FULL_OPENCV" if bends["k3"] != 0 else "OPENCV", bends


def _focal(angle: float | None, pixels: int, path: Path, name: str) -> float | None:
    """Focal length in pixels from a full angle of view in radians."""
    if angle is None:
        return None
    if not 0 < angle < math.pi:
        raise InputError(path, f"{name}: its angle of view is {angle:g} rad, not between 0 and pi", REMEDY)
    return 0.5 * pixels / math.tan(0.5 * angle)


def _size_of(image: Path) -> tuple[int, int] | None:
    """(height, width) from a picture's header; None where it cannot be read, which whoever opens it will say."""
    from PIL import Image

    try:
        with Image.open(image) as picture:
            return picture.height, picture.width
    except (OSError, ValueError, Image.DecompressionBombError):
        return None


def write_transforms(
    path: Path | str,
    names: Sequence[str],
    cameras: Cameras,
    held_out: Sequence[bool] | None = None,
    ply_file_path: str | None = "scene.ply",
    origin: Sequence[float] = (0.0, 0.0, 0.0),
) -> None:
    """Write pinhole cameras, each frame with its own size and focal lengths. `names` are the pictures' paths as seen
    from the file's folder ("images/a.jpg"), and so is `ply_file_path`. The `origin` that the cameras stand about goes into
    `applied_transform`, so that readers who undo it have the world.

    Held-out frames are marked so, and listed as nerfstudio wants them (its `test_filenames` and `val_filenames`).
    """
    frames = []
    world_from_camera = np.stack([json_input.inverse_about_center(m) for m in cameras.camera_from_world.cpu().numpy()])
    hidden = [False] * len(names) if held_out is None else [bool(h) for h in held_out]
    for i, name in enumerate(names):
        height, width = cameras.size(i)
        K = cameras.K[i].tolist()
        frame = {
            "file_path": name,
            "w": width, "h": height,
            "fl_x": K[0][0], "fl_y": K[1][1], "cx": K[0][2], "cy": K[1][2],
            "transform_matrix": (world_from_camera[i] @ OPENCV_FROM_OPENGL).tolist(),
        }  # fmt: skip
        frames.append({**frame, "held_out": True} if hidden[i] else frame)
    applied = np.eye(4)[:3]
    applied[:, 3] -= origin
    document: dict[str, Any] = {"camera_model": "PINHOLE", "applied_transform": applied.tolist()}
    if ply_file_path is not None:
        document["ply_file_path"] = ply_file_path
    if any(hidden):
        files = [frame["file_path"] for frame in frames]
        kept_back = [file for file, hide in zip(files, hidden, strict=True) if hide]
        document["train_filenames"] = [file for file, hide in zip(files, hidden, strict=True) if not hide]
        document["val_filenames"] = document["test_filenames"] = kept_back
    json_input.write_document(path, {**document, "frames": frames}, rows="frames")
