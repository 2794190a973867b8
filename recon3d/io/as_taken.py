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
from recon3d.io.cameras_json import read_cameras, read_origin
from recon3d.io.detect import model_files
from recon3d.io.given_cameras import matched, read_given
from recon3d.io.photo_folders import PICTURES, in_run, is_run


def cameras_for(
    photos: Mapping[str, Path], path: Path, note: Callable[[str], None]
) -> tuple[tuple[KnownCamera, ...], dict[str, KnownCamera]]:
    """The cameras of a file or folder as these photos (name -> file) took them; and photo name -> its camera.

    A camera that knows of a photo that its picture was undistorted from has the lens and the name of that photo, unless
    the photo given is the picture itself: in `images` beside the file, a copy of it, or in `images` of any run. Those of a
    run stand in its world, also where its model does not. Raises InputError, also where a model or transforms.json of a
    run has another camera for the picture than the run's cameras.json.
    """
    given, run = read_given(path), _run_of(path)
    written: tuple[KnownCamera, ...] = ()
    if run is not None:
        written = read_cameras(run / "cameras.json")
        given = _with_photos(_as_written(given, path, run), written)
    elif all(camera.photo is None for camera in given):
        return given, matched(given, photos)
    place = run or (path if path.is_dir() else path.parent)
    at = matched(given, photos)
    same = {name: camera for name, camera in at.items() if _is(photos[name], _picture(camera, place))}
    strange = {name: camera for name, camera in at.items() if name not in same and in_run(photos[name])}
    doubtful = [name for name, camera in strange.items() if _is_bent(camera)] if is_run(place) else []
    if doubtful:
        what = f"{doubtful[0]} is no picture of its run but one of another run"
        note(f"{path}: {what}: used is the lens of the undistorted picture")
    own = same | strange
    pictures = {camera.name for camera in own.values()}
    cameras = tuple(c if c.name in pictures or c.photo is None else c.as_taken() for c in given)
    others = matched([c for c in cameras if c.name not in pictures], [name for name in photos if name not in own])
    if run is not None:
        _check(others, written, path, run)
    bent = [name for name, camera in others.items() if _is_bent(camera)]
    if bent:
        note(_bent(path, place / PICTURES, bent))
    return cameras, own | others


def also_read(path: Path) -> tuple[Path, ...]:
    """The files of a run that `cameras_for` reads besides the file or folder that it is given."""
    run = _run_of(path) or (path.parent if is_run(path.parent) else None)
    if run is None:
        return ()
    return (run / "cameras.json", *sorted(file for file in (run / PICTURES).rglob("*") if file.is_file()))


def _bent(path: Path, folder: Path, bent: list[str]) -> str:
    """What a user should know where photos, `bent` their names, are taken as no pictures in `folder`."""
    others = len(bent) - 1
    used = "used is the lens that cameras.json tells for the photo as it was taken"
    if folder.is_dir():
        many = f" (nor {'is' if others == 1 else 'are'} {others} other{'s' * (others > 1)})" if others else ""
        return f"{path}: its cameras are those of undistorted pictures, and {bent[0]} is none of them{many}: {used}"
    many = f" and {others} other{'s' * (others > 1)}" if others else ""
    what = f"its cameras are those of undistorted pictures, and there is no {folder} to compare {bent[0]}{many} with"
    remedy = "If these are the pictures, give the cameras.json in the folder of their run, or take `original` out of this one"
    return f"{path}: {what}: {used}. {remedy}"


def _run_of(path: Path) -> Path | None:
    """The folder of the run whose model or transforms.json this is."""
    path = path.resolve()
    for folder in path.parents[:3]:
        inside = (folder / "transforms.json", folder / "sparse", folder / "sparse" / "0")
        if path in inside or path.parent == inside[2]:
            return folder if is_run(folder) and model_files(inside[2]) else None
    return None


def _as_written(given: tuple[KnownCamera, ...], path: Path, run: Path) -> tuple[KnownCamera, ...]:
    """The cameras of a run's model or transforms.json under the names, and in the world, of its cameras.json."""
    if path.resolve().name == "transforms.json":  # it says the folder too
        return tuple(replace(camera, name=camera.name.removeprefix(f"{PICTURES}/")) for camera in given)
    origin = read_origin(run / "cameras.json")  # of --origin local the model does not say where it stands
    return tuple(camera.moved(origin) for camera in given)


def _with_photos(given: tuple[KnownCamera, ...], written: tuple[KnownCamera, ...]) -> tuple[KnownCamera, ...]:
    """The given cameras with the photos that cameras.json knows of, where both have the same pinhole."""
    by_name = {camera.name: camera for camera in written}

    def known(camera: KnownCamera) -> KnownCamera:
        same = by_name.get(camera.name)
        if same is None or same.lens is None or camera.lens is None:
            return camera
        sizes = (same.lens.height, same.lens.width) == (camera.lens.height, camera.lens.width)
        return replace(camera, photo=same.photo) if sizes and np.allclose(same.lens.K, camera.lens.K, rtol=1e-9) else camera

    return tuple(known(camera) for camera in given)


def _picture(camera: KnownCamera, place: Path) -> Path:
    """Where a camera's picture lies beside its file, whether or not its name says the folder too."""
    below = place / PICTURES / camera.name
    told = camera.name.startswith(f"{PICTURES}/") and not below.is_file()
    return place / camera.name if told else below


def _is(photo: Path, picture: Path) -> bool:
    return picture.is_file() and photo.is_file() and (photo.samefile(picture) or filecmp.cmp(photo, picture, shallow=False))


def _is_bent(camera: KnownCamera) -> bool:
    """Whether the photo that the picture was made of has another lens than a pinhole."""
    return camera.photo is not None and not camera.photo.lens.is_pinhole


def _check(others: Mapping[str, KnownCamera], written: tuple[KnownCamera, ...], path: Path, run: Path) -> None:
    """InputError for a camera that somebody changed since the run bent its photo straight, and for that photo."""
    bent = {camera.name for camera in written if _is_bent(camera)}
    for name, camera in others.items():
        if camera.photo is None and camera.name in bent:
            what = f"its camera of {camera.name} is that of a picture in {run / PICTURES}, and {name} is not that picture"
            raise InputError(path, what, f"Give {run / 'cameras.json'}, or run {run}")
