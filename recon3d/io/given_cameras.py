"""Known cameras from any file or folder that holds them, and which photo each belongs to."""

from __future__ import annotations

import importlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from recon3d.core.known_camera import KnownCamera
from recon3d.errors import InputError, check_exists
from recon3d.io.colmap_model import read_model
from recon3d.io.detect import CAMERA_FILES, cameras_kind, model_files, model_folder, refuse_captures
from recon3d.io.photos import SUFFIXES
from recon3d.io.transforms_json import read_transforms, split_files
from recon3d.progress import first_of

# What cameras_kind finds -> who reads it.
READERS = {
    "cameras": "recon3d.io.cameras_json:read_cameras",
    "transforms": "recon3d.io.transforms_json:read_transforms",
    "opensfm": "recon3d.io.opensfm_json:read_opensfm",
    "metashape": "recon3d.io.metashape_xml:read_metashape",
    "realityscan": "recon3d.io.realityscan_csv:read_realityscan",
}
NAMED = 3  # in one line; the report has them all
REMEDY = (
    "Give a cameras.json, a transforms.json, a COLMAP model, an OpenSfM reconstruction.json, or the cameras that Metashape "
    "(XML) or RealityScan (CSV) exports"
)


def read_given(path: Path) -> tuple[KnownCamera, ...]:
    """The cameras of a file that READERS has a row for, of a COLMAP model, or of a folder with one of them (in the order of
    CAMERA_FILES, the files of Blender's layout next, the model last). Raises InputError.
    """
    check_exists(path, REMEDY)
    if path.is_dir():
        refuse_captures(path)
        for name in CAMERA_FILES:
            if (path / name).is_file() and cameras_kind(path / name) is not None:
                return read_given(path / name)
        if split_files(path):
            return read_transforms(path)
        model = model_folder(path)
        if model is None:
            raise InputError(path, "no cameras in it", REMEDY)
        return read_model(model).cameras
    kind = cameras_kind(path)
    if kind is not None:
        module, _, name = READERS[kind].partition(":")
        return getattr(importlib.import_module(module), name)(path)
    if path.suffix in (".bin", ".txt") and model_files(path.parent):
        return read_model(path.parent).cameras
    raise InputError(path, "it holds no cameras", REMEDY)


def matched(cameras: Sequence[KnownCamera], names: Iterable[str]) -> dict[str, KnownCamera]:
    """Photo name -> its camera. Names that are not equal still match where one ends with the other, folder by folder, and
    neither has another match: `images/a.jpg` of a file belongs to `a.jpg` of a folder. So does the label `a` (Metashape's).
    """
    names = list(names)
    by_name = {camera.name: camera for camera in cameras}
    found = {name: by_name[name] for name in names if name in by_name}
    taken = {camera.name for camera in found.values()}
    free = defaultdict(list)
    for name in names:
        if name not in found:
            free[name.rsplit("/", 1)[-1]].append(name)
            free[_without_suffix(name).rsplit("/", 1)[-1]].append(name)
    claims: dict[str, list[KnownCamera]] = defaultdict(list)
    for camera in cameras:
        candidates = [] if camera.name in taken else free.get(camera.name.rsplit("/", 1)[-1], [])
        candidates = [name for name in candidates if _belong(name, camera.name)]
        if len(candidates) == 1:
            claims[candidates[0]].append(camera)
    return found | {name: claimants[0] for name, claimants in claims.items() if len(claimants) == 1}


def not_matched(cameras: Sequence[str], photos: Sequence[str], of: int) -> str | None:
    """What a user should know of given cameras that no photo has and of photos, `of` in all, that no given camera has."""
    parts = []
    if cameras:
        belong = "belongs" if len(cameras) == 1 else "belong"
        parts.append(f"{len(cameras)} of its cameras {belong} to no photo ({first_of(cameras, NAMED)})")
    if photos:
        have = "has" if len(photos) == 1 else "have"
        parts.append(f"{len(photos)} of the {of} photos {have} no camera in it ({first_of(photos, NAMED)})")
    return f"{', and '.join(parts)}; names must match" if parts else None


def _belong(photo: str, camera: str) -> bool:
    if _without_suffix(camera) == camera:
        photo = _without_suffix(photo)
    return photo == camera or photo.endswith("/" + camera) or camera.endswith("/" + photo)


def _without_suffix(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and f".{suffix.lower()}" in SUFFIXES else name
