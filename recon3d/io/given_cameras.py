"""Known cameras from any file or folder that holds them, and which photo each belongs to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from recon3d.core.known_camera import KnownCamera
from recon3d.errors import InputError, check_exists
from recon3d.io.cameras_json import read_cameras
from recon3d.io.colmap_model import read_model
from recon3d.io.detect import cameras_kind, model_files, model_folder
from recon3d.io.transforms_json import read_transforms, split_files

REMEDY = "Give a cameras.json, a transforms.json or a COLMAP model"


def read_given(path: Path) -> tuple[KnownCamera, ...]:
    """The cameras of a cameras.json, a transforms.json, a COLMAP model, or of a folder with one of them (in this order), or
    with the files of Blender's layout."""
    check_exists(path, REMEDY)
    if path.is_dir():
        for name in ("cameras.json", "transforms.json"):
            if (path / name).is_file() and cameras_kind(path / name) is not None:
                return read_given(path / name)
        if split_files(path):
            return read_transforms(path)
        model = model_folder(path)
        if model is None:
            raise InputError(path, "no cameras in it", REMEDY)
        return read_model(model).cameras
    kind = cameras_kind(path) if path.suffix.lower() == ".json" else None
    if kind is not None:
        return read_transforms(path) if kind == "transforms" else read_cameras(path)
    if path.suffix in (".bin", ".txt") and model_files(path.parent):
        return read_model(path.parent).cameras
    raise InputError(path, "it holds no cameras", REMEDY)


def matched(cameras: Sequence[KnownCamera], names: Iterable[str]) -> dict[str, KnownCamera]:
    """Photo name -> its camera. Names that are not equal still match where one ends with the other, folder by folder, and
    neither has another match: `images/a.jpg` of a file belongs to `a.jpg` of a folder.
    """
    names = list(names)
    by_name = {camera.name: camera for camera in cameras}
    found = {name: by_name[name] for name in names if name in by_name}
    taken = {camera.name for camera in found.values()}
    free = defaultdict(list)
    for name in names:
        if name not in found:
            free[name.rsplit("/", 1)[-1]].append(name)
    claims: dict[str, list[KnownCamera]] = defaultdict(list)
    for camera in cameras:
        candidates = [] if camera.name in taken else free.get(camera.name.rsplit("/", 1)[-1], [])
        candidates = [name for name in candidates if _is_tail(name, camera.name) or _is_tail(camera.name, name)]
        if len(candidates) == 1:
            claims[candidates[0]].append(camera)
    return found | {name: claimants[0] for name, claimants in claims.items() if len(claimants) == 1}


def _is_tail(short: str, long: str) -> bool:
    return long.endswith("/" + short)
