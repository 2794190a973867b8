"""What an input is: photos, a video, or a folder or file that brings cameras. Found by looking; loads no torch."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from recon3d.errors import InputError, check_exists
from recon3d.io import photos, video
from recon3d.io.dji_subtitles import file_beside
from recon3d.io.json_input import MAX_BYTES
from recon3d.io.masks import find_mask, mask_folders
from recon3d.io.photo_folders import PICTURES, Below, below, holds_photos, is_photo, is_run, is_visible
from recon3d.io.transforms_json import read_transforms, split_files

MODEL_PARTS = ("cameras", "images", "points3D")  # points may be missing
REMEDY = "Give a folder of photos, photos, a video, a COLMAP model, a transforms.json, a cameras.json or a run's folder"
CameraFile = Literal["transforms", "cameras", "opensfm", "metashape", "realityscan"]
CAMERA_FILES = ("cameras.json", "transforms.json", "reconstruction.json")  # names that are looked for in a folder
DEPTH = "depth"  # folder of a run's depth maps
HEAD = 1 << 12  # bytes that tell whose XML or CSV it is
CONVERT = "ns-process-data of nerfstudio makes a transforms.json of it"
# Program -> what its folder holds, and what to do.
CAPTURES = {
    "Polycam": (("keyframes/images", "keyframes/cameras"), f"Give keyframes/images for the photos alone; {CONVERT}"),
    "Record3D": (("rgb", "depth", "metadata"), f"Give rgb for the photos alone; {CONVERT}"),
}


@dataclass(frozen=True)
class Found:
    """An input. Its photos are named relative to `root`, with forward slashes."""

    kind: Literal["photos", "video", "colmap", "transforms", "cameras", "run"]
    root: Path  # folder of the photos; of a video, the video itself
    files: tuple[Path, ...]  # every file that the result depends on: pictures, masks, cameras
    pictures: tuple[Path, ...]  # the photos in the order of their names, or the video
    cameras: Path | None = None  # the file that gives cameras, or the folder of a model or of Blender's layout
    passed_over: tuple[Path, ...] = ()  # folders of runs below the photos' folder, whose pictures are no photos

    @property
    def run(self) -> Path | None:
        """Of an input that is a finished run: its folder."""
        return self.root.parent if self.kind == "run" else None

    @property
    def depth(self) -> Path | None:
        """Of a run with depth: where that lies."""
        folder = None if self.run is None else self.run / DEPTH
        return folder if folder is not None and any(folder.rglob("*.npz")) else None

    def name(self, picture: Path) -> str:
        return name_below(self.root, picture)


def detect(paths: Sequence[Path]) -> Found:
    """Look at what was given. Raises InputError where it is missing, empty, or nothing that recon3d reads."""
    paths = [Path(path) for path in paths]
    if not paths:
        raise InputError("input", "nothing was given", REMEDY)
    for path in paths:
        check_exists(path)
    if len(paths) > 1:
        return _found_photos(_folder_of(paths), _photos_of(paths))
    path = paths[0]
    if path.is_dir():
        return _look_into(path)
    if path.suffix.lower() in video.SUFFIXES:
        return _found_video(path)
    if path.suffix.lower() in (".json", ".xml", ".csv"):
        return _found_cameras_file(path)
    if model_files(path.parent) and path.stem in MODEL_PARTS and path.suffix in (".bin", ".txt"):
        return _found_model(path.parent)
    photos.read_header(path)  # whatever its name says
    return _found_photos(path.parent, Below((path,), ()))


def name_below(root: Path, picture: Path) -> str:
    """The name of a picture relative to the folder `root`, with forward slashes (with .. where it lies outside)."""
    return Path(os.path.relpath(picture, root)).as_posix()


def model_files(folder: Path) -> tuple[Path, ...]:
    """The files of the COLMAP model in a folder, binary before text; none where there is no model."""
    for suffix in (".bin", ".txt"):
        files = [folder / (part + suffix) for part in MODEL_PARTS]
        if all(file.is_file() for file in files[:2]):
            return tuple(file for file in files if file.is_file())
    return ()


def model_folder(folder: Path) -> Path | None:
    """Where the COLMAP model of a project lies: the folder itself, `sparse/0`, `sparse`; of several the one with most images."""
    places = [folder, folder / "sparse" / "0", folder / "sparse"]
    places += [] if is_run(folder / "colmap") else [folder / "colmap" / "sparse" / "0"]
    models = [place for place in places if model_files(place)]
    numbered = [f for f in sorted((folder / "sparse").glob("*")) + sorted(folder.glob("[0-9]*")) if model_files(f)]
    if models and models[0].name != "0":
        return models[0]
    return max(numbered or models, key=lambda f: model_files(f)[1].stat().st_size, default=None)


def cameras_kind(path: Path) -> CameraFile | None:
    """Whose file of cameras this is, by what it holds; None for others."""
    suffix = path.suffix.lower()
    if suffix == ".json":
        return _json_kind(path)
    if suffix not in (".xml", ".csv"):
        return None
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD)
    except OSError:
        return None
    if suffix == ".xml":
        return "metashape" if b"<document" in head and b"<chunk" in head else None
    header = head.decode("utf-8-sig", "replace").splitlines()[:1]
    return "realityscan" if header and header[0].lower().lstrip("#").startswith("name,") else None


def _json_kind(path: Path) -> CameraFile | None:
    try:
        content = json.loads(path.read_bytes()) if path.stat().st_size <= MAX_BYTES else None
    except (ValueError, OSError, RecursionError):
        return None
    if isinstance(content, list) and content and isinstance(content[0], dict) and "shots" in content[0]:
        return "opensfm"
    if not isinstance(content, dict):
        return None
    return "transforms" if "frames" in content else "cameras" if "images" in content else None


def refuse_captures(folder: Path) -> None:
    """Raise InputError for the folders of programs on phones whose cameras are not read here."""
    for name, (marks, remedy) in CAPTURES.items():
        if all((folder / mark).exists() for mark in marks):
            raise InputError(folder, f"it is a capture of {name}, whose own cameras are not read", remedy)


def _look_into(folder: Path) -> Found:
    """A folder: the richest thing that it can be."""
    if is_run(folder) and model_files(folder / "sparse" / "0"):
        depths = tuple(sorted((folder / DEPTH).rglob("*.npz")))
        return _with_photos("run", folder / PICTURES, folder / "sparse" / "0", (folder / "cameras.json", *depths))
    refuse_captures(folder)
    if (folder / "transforms.json").is_file() and cameras_kind(folder / "transforms.json") == "transforms":
        return _found_cameras_file(folder / "transforms.json")
    if split_files(folder):
        return _found_transforms(folder)
    if model := model_folder(folder):
        return _found_model(model)
    for name, kind in (("cameras.json", "cameras"), ("reconstruction.json", "opensfm")):
        if (folder / name).is_file() and cameras_kind(folder / name) == kind:
            return _found_cameras_file(folder / name)
    root = _descend(folder)
    found = below(root)
    if found.pictures:
        return _found_photos(root, found)
    videos = [f for f in sorted(folder.iterdir()) if _is(f, video.SUFFIXES)]
    if len(videos) == 1:
        return _found_video(videos[0])
    if videos:
        raise InputError(folder, f"it holds {len(videos)} videos and no images", "Give one video")
    what = "no images in it but those that runs wrote" if found.runs else "no images in it"
    raise InputError(folder, what, f"Photos end in {', '.join(photos.SUFFIXES)}")


def _descend(folder: Path) -> Path:
    """Down to the folder in which photos begin: a folder with nothing but `images/` stands for that."""
    while not any(is_photo(f) for f in folder.iterdir()):
        inner = [f for f in folder.iterdir() if is_visible(f) and f.is_dir() and not is_run(f) and holds_photos(f)]
        if len(inner) != 1:
            break
        folder = inner[0]
    return folder


def _is(file: Path, suffixes: tuple[str, ...]) -> bool:
    return is_visible(file) and file.suffix.lower() in suffixes and file.is_file()


def _folder_of(paths: Sequence[Path]) -> Path:
    """The folder that several inputs have in common: each lies below it, by its name too."""
    folders = [path if path.is_dir() else path.parent for path in paths]
    as_written = len({f.is_absolute() for f in folders}) == 1 and not any(".." in f.parts for f in folders)
    try:
        # With .. in them paths share more parts than folders.
        return Path(os.path.commonpath(folders if as_written else [os.path.abspath(folder) for folder in folders]))
    except ValueError as error:
        raise InputError(paths[-1], "it lies on another drive than the other photos", "Put them in one folder") from error


def _photos_of(paths: list[Path]) -> Below:
    """The photos of a list of files and folders."""
    pictures: list[Path] = []
    runs: list[Path] = []
    for path in paths:
        if path.is_dir() and is_run(path):
            runs.append(path)
        elif path.is_dir():
            found = below(path)
            pictures += found.pictures
            runs += found.runs
        elif path.suffix.lower() in (*video.SUFFIXES, ".json", ".xml", ".csv", ".bin", ".txt"):
            raise InputError(path, "it cannot be mixed with other inputs", "Give it alone, or photos only")
        else:
            pictures.append(path)
    if not pictures:
        raise InputError(paths[0], "no images in it", REMEDY)
    once = {os.path.abspath(picture): picture for picture in pictures}
    return Below(tuple(once.values()), tuple(runs))


def _found_photos(root: Path, found: Below) -> Found:
    return _with_files("photos", root, found, None, ())


def _found_video(path: Path) -> Found:
    if path.stat().st_size == 0:
        raise InputError(path, "empty file", "Copy it again")
    beside = file_beside(path)
    return Found("video", path, (path,) if beside is None else (path, beside), (path,))


def _found_cameras_file(path: Path) -> Found:
    kind = cameras_kind(path)
    if kind == "transforms":
        return _found_transforms(path)
    if kind is not None:
        root = path.parent / "images" if (path.parent / "images").is_dir() else path.parent
        return _with_photos("cameras", root, path, (path,))
    if path.suffix.lower() != ".json":
        raise InputError(path, "neither Metashape's XML of cameras nor RealityScan's CSV", REMEDY)
    raise InputError(path, "neither a transforms.json (no `frames`) nor a cameras.json (no `images`)", REMEDY)


def _found_transforms(path: Path) -> Found:
    """The photos that the file names, or both files of Blender's layout in a folder, as far as they are there; the folder
    that they share is their root."""
    listed = read_transforms(path)
    pictures = tuple(camera.image for camera in listed if camera.image is not None and camera.image.is_file())
    if not pictures:
        what = f"none of the {len(listed)} images that it names is there, {listed[0].name} for one"
        raise InputError(path, what, "Put them where the file says")
    masks = tuple(camera.mask for camera in listed if camera.mask is not None and camera.mask.is_file())
    extra = (*(split_files(path) or (path,)), *masks)
    return _with_files("transforms", _folder_of(pictures), Below(pictures, ()), path, extra)


def _found_model(model: Path) -> Found:
    """A COLMAP model with its photos: in `images` in, beside or above its folder, or in the project's folder itself."""
    above = [model, model.parent, model.parent.parent, model.parent.parent.parent]
    root = next((f / "images" for f in above if (f / "images").is_dir()), None)
    root = root or next((f for f in above[1:3] if any(is_photo(file) for file in f.iterdir())), None)
    if root is None:
        what = "the photos of this COLMAP model were not found: no folder `images` in it, beside it or above it"
        raise InputError(model, what, "Put them there")
    return _with_photos("colmap", root, model, model_files(model))


def _with_photos(kind: Literal["colmap", "cameras", "run"], root: Path, cameras: Path, extra: tuple[Path, ...]) -> Found:
    found = below(root) if root.is_dir() else Below((), ())
    if not found.pictures:
        raise InputError(root, f"no images in it for the cameras of {cameras}", "Put the photos there")
    extra = extra + model_files(cameras) if kind == "run" else extra
    return _with_files(kind, root, found, cameras, extra)


def _with_files(kind, root: Path, found: Below, cameras: Path | None, extra: tuple[Path, ...]) -> Found:
    """Sort by name and add masks to the files that the result depends on."""
    named = sorted((name_below(root, picture), picture) for picture in found.pictures)
    folders = mask_folders(root)
    masks = [mask for name, _ in named if (mask := find_mask(name, folders)) is not None]
    ordered = tuple(picture for _, picture in named)
    return Found(kind, root, ordered + tuple(masks) + extra, ordered, cameras, found.runs)
