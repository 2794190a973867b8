"""The cameras of a run for photos as they were taken. A run's files tell the pinholes of the pictures that it wrote, and
cameras.json beside them the lenses of the photos that these were made of: which of both a photo is, is found by looking.
"""

from __future__ import annotations

import filecmp
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from recon3d.core.known_camera import KnownCamera
from recon3d.errors import InputError
from recon3d.io.cameras_json import read_cameras
from recon3d.io.detect import model_files
from recon3d.io.given_cameras import matched, read_given

PICTURES = "images"  # where a run writes its pictures


def cameras_for(
    photos: Mapping[str, Path], path: Path, note: Callable[[str], None]
) -> tuple[tuple[KnownCamera, ...], dict[str, KnownCamera]]:
    """The cameras of a file or folder as these photos (name -> file) took them; and photo name -> its camera.

    A camera that knows of a photo that its picture was undistorted from has the lens and the name of that photo, unless
    the photo given is the picture itself, in `images` beside the file or a copy of it. Raises InputError, also where a
    model or transforms.json of a run has another camera for the picture than the run's cameras.json.
    """
    given, run = read_given(path), _run_of(path)
    written = () if run is None else read_cameras(run / "cameras.json")
    given = _with_photos(given, written)
    if run is None and all(camera.photo is None for camera in given):
        return given, matched(given, photos)
    place = run or (path if path.is_dir() else path.parent)
    at = matched(given, photos)
    own = {name: camera for name, camera in at.items() if _is(photos[name], place / PICTURES / _picture(camera))}
    pictures = {camera.name for camera in own.values()}
    cameras = tuple(c if c.name in pictures or c.photo is None else c.as_taken() for c in given)
    others = matched([c for c in cameras if c.name not in pictures], [name for name in photos if name not in own])
    if run is not None:
        _check(others, written, path, run)
    bent = [name for name, camera in others.items() if camera.photo is not None and not camera.photo.lens.is_pinhole]
    if bent:
        what = f"its cameras are those of undistorted pictures, and {bent[0]} is none of them"
        many = f" (nor are {len(bent) - 1} others)" if len(bent) > 1 else ""
        note(f"{path}: {what}{many}: used is the lens that cameras.json tells for the photo as it was taken")
    return cameras, own | others


def _run_of(path: Path) -> Path | None:
    """The folder of the run whose model or transforms.json this is."""
    path = path.resolve()
    for folder in path.parents[:3]:
        inside = (folder / "transforms.json", folder / "sparse", folder / "sparse" / "0")
        if path in inside or path.parent == inside[2]:
            whole = (folder / "report.json").is_file() and (folder / "cameras.json").is_file() and model_files(inside[2])
            return folder if whole else None
    return None


def _with_photos(given: tuple[KnownCamera, ...], written: tuple[KnownCamera, ...]) -> tuple[KnownCamera, ...]:
    """The given cameras with the photos that cameras.json knows of, where both have the same pinhole."""
    by_name = {camera.name: camera for camera in written}

    def known(camera: KnownCamera) -> KnownCamera:
        same = by_name.get(_picture(camera))
        if same is None or same.lens is None or camera.lens is None:
            return camera
        sizes = (same.lens.height, same.lens.width) == (camera.lens.height, camera.lens.width)
        return replace(camera, photo=same.photo) if sizes and np.allclose(same.lens.K, camera.lens.K, rtol=1e-9) else camera

    return tuple(known(camera) for camera in given)


def _picture(camera: KnownCamera) -> str:
    """The name in `images` of a camera's picture: a transforms.json says the folder too."""
    return camera.name.removeprefix(f"{PICTURES}/")


def _is(photo: Path, picture: Path) -> bool:
    return picture.is_file() and photo.is_file() and (photo.samefile(picture) or filecmp.cmp(photo, picture, shallow=False))


def _check(others: Mapping[str, KnownCamera], written: tuple[KnownCamera, ...], path: Path, run: Path) -> None:
    """InputError for a camera that somebody changed since the run bent its photo straight, and for that photo."""
    bent = {camera.name for camera in written if camera.photo is not None and not camera.photo.lens.is_pinhole}
    for name, camera in others.items():
        if camera.photo is None and _picture(camera) in bent:
            what = f"its camera of {camera.name} is that of a picture in {run / PICTURES}, and {name} is not that picture"
            raise InputError(path, what, f"Give {run / 'cameras.json'}, or run {run}")
