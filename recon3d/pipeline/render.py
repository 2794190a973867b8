"""A written scene to pictures: at given cameras, or as a flight through them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch

from recon3d.atomic import atomic_file, atomic_folder, make_parents, refuse_existing
from recon3d.core.cameras import Cameras
from recon3d.core.gaussians import Gaussians
from recon3d.core.lens import undistorted
from recon3d.core.splats import Splats
from recon3d.errors import InputError
from recon3d.io.film import write_film
from recon3d.io.given_cameras import read_given
from recon3d.io.pictures import write_picture
from recon3d.io.splat_files import read_splats
from recon3d.pipeline.export import splat_file
from recon3d.pipeline.outputs import output_names
from recon3d.progress import Progress, first_of
from recon3d.reconstruction.camera_path import fly_through
from recon3d.rendering.render import render

FPS = 30
FILM_SIZE = 1280  # longest side in pixels
LEAST_ALPHA = 0.5 / 255  # what no picture shows


def scene_files(scene: Path, cameras: Path | None) -> tuple[Path, Path]:
    """The splat file and the file of cameras: a run folder brings both."""
    splats = splat_file(scene)
    if scene.is_dir():
        return splats, cameras or scene / "cameras.json"
    if cameras is None:
        raise InputError("--cameras", f"{scene} holds splats only", "Name a cameras.json, or give the folder of a run")
    return splats, cameras


def splats_of(path: Path, progress: Progress) -> Splats:
    """The splats of a file; what was mended in it is noted."""
    file = read_splats(path)
    for note in file.notes:
        progress.note(note)
    return file.splats


def cameras_of_file(path: Path, origin: Annotated[np.ndarray, "3"]) -> tuple[tuple[str, ...], Cameras]:
    """Names and pinhole cameras, at full size and about `origin`, of any file of cameras.

    A lens that bends is replaced by the pinhole of its undistorted photo.
    """
    known = [
        (camera.name, camera.camera_from_world, undistorted(camera.lens))
        for camera in (one.moved(-origin) for one in read_given(path))
        if camera.camera_from_world is not None and camera.lens is not None
    ]
    if not known:
        raise InputError(path, "it names no camera with a pose and a lens", "Give the cameras.json of a run")
    names, poses, pinholes = zip(*known, strict=True)
    cameras = Cameras(
        torch.from_numpy(np.stack(poses)),
        torch.from_numpy(np.stack([lens.K for lens in pinholes])),
        torch.tensor([[lens.height, lens.width] for lens in pinholes]),
        torch.zeros(len(known), dtype=torch.int64),
    )
    return names, cameras


def pictures(
    gaussians: Gaussians, cameras: Cameras, names: Sequence[str], device: str, progress: Progress
) -> Iterator[np.ndarray]:
    """uint8 [H,W,3] of each camera, one after the other; the names of those that show no splat at all are noted last."""
    empty = []
    for i in range(len(cameras)):
        seen = render(gaussians, cameras[[i]], device=device)
        if not (seen.alpha >= LEAST_ALPHA).any():
            empty.append(names[i])
        rgb = seen.rgb[0].detach().cpu()
        yield (rgb.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
        progress.advance(i + 1, len(cameras), "pictures")
    if empty:
        what = "no splat in the picture: cameras and splats may stand in different worlds (cameras.json of a run says where)"
        progress.note(f"{first_of(empty)}: {what}")


def render_pictures(
    scene: Path, cameras: Path | None, out: Path, overwrite: bool, device: str, progress: Progress
) -> int:
    """One PNG for each camera into the folder `out`, which appears whole; returns how many."""
    splats, path = scene_files(scene, cameras)
    refuse_existing(out, overwrite)
    held = splats_of(splats, progress)
    names, at = cameras_of_file(path, held.origin)
    gaussians = Gaussians.of(held)
    make_parents(out)
    with progress.stage("rendering"), atomic_folder(out, overwrite) as folder:
        for name, pixels in zip(output_names(names), pictures(gaussians, at, names, device, progress), strict=True):
            write_picture((folder / name).with_suffix(".png"), pixels)
    return len(names)


def render_film(
    scene: Path, cameras: Path | None, out: Path, overwrite: bool, seconds: float, device: str, progress: Progress
) -> int:
    """An MP4 along a smooth path through the cameras; returns the number of frames."""
    splats, path = scene_files(scene, cameras)
    refuse_existing(out, overwrite)
    if out.suffix.lower() != ".mp4":
        raise InputError("--fly-through", f"'{out.name}' is no name of an MP4", "Give a name ending in .mp4")
    held = splats_of(splats, progress)
    names, at = cameras_of_file(path, held.origin)
    if len(names) < 2:
        raise InputError(path, "a flight needs two cameras or more", "Give a file with more cameras")
    gaussians = Gaussians.of(held)
    make_parents(out)
    flight = fly_through(at, max(2, round(seconds * FPS)), FILM_SIZE)
    frames = [f"frame {i + 1}" for i in range(len(flight))]
    with progress.stage("rendering"), atomic_file(out) as temporary:
        write_film(temporary, pictures(gaussians, flight, frames, device, progress), FPS)
    return len(flight)
