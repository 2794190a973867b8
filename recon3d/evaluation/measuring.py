"""One method, or what another program wrote, on one choice of frames: run or read, then judged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from recon3d.core.cameras import Cameras, fitted_size, resize_map
from recon3d.core.gaussians import Gaussians
from recon3d.core.known_camera import KnownCamera
from recon3d.core.lens import undistorted
from recon3d.errors import InputError
from recon3d.evaluation.inputs import PictureSize, Subset, given_views, target_cameras, target_picture
from recon3d.evaluation.judging import Judged, NotMeasured, clouds, depths, novel_views, of_renders, poses
from recon3d.evaluation.methods import Device, Found, carried_out, method
from recon3d.evaluation.predictions import Prediction, prediction
from recon3d.evaluation.records import Task
from recon3d.io.depth_files import SUFFIXES, read_depth
from recon3d.io.photos import Source, resize
from recon3d.io.splat_files import read_splats
from recon3d.metrics.depth import Alignment
from recon3d.metrics.lpips import Lpips, Unavailable
from recon3d.pipeline.outputs import RENDER_SIZE
from recon3d.rendering.render import render


@dataclass(frozen=True)
class Settings:
    """What is the same for all records."""

    task: Task
    size: PictureSize
    posed: bool  # methods are given the cameras of the data set
    alignment: Alignment
    lpips: Lpips | Unavailable
    device: Device
    seed: int
    out: Path  # photos, cameras that are kept, and pictures go there
    weights: dict[str, str]  # of networks, in the place of the published ones


@dataclass(frozen=True)
class Measured:
    judged: Judged
    registered: int
    seconds: float | None


def measured_method(settings: Settings, subset: Subset, name: str) -> Measured:
    """Raises InputError and ValueError where the method gives nothing that can be measured."""
    place = f"{subset.scene.name}@{len(subset.context)}"
    what = method(name)
    views = given_views(subset, settings.size, settings.posed, settings.out / "photos" / subset.scene.name)
    with_splats = settings.task == "nvs" or (settings.task == "depth" and what.refined)
    found = carried_out(
        what, views, settings.size.longest_side, settings.seed, settings.out / "kept" / place, with_splats, settings.device,
        settings.weights,
    )  # fmt: skip
    return Measured(judged(settings, subset, found, name), len(found.names), round(found.seconds, 2))


def judged(settings: Settings, subset: Subset, found: Found, name: str) -> Judged:
    """By the task."""
    frames = [subset.context[subset.names.index(n)] for n in found.names]
    if settings.task == "poses":
        return poses(subset, found.names, found.cameras.camera_from_world)
    if settings.task == "nvs":
        assert found.gaussians is not None
        return novel_views(
            subset, found.names, found.cameras, found.gaussians, settings.posed, settings.size, settings.lpips,
            settings.device, settings.out, f"pictures/{name}/{subset.scene.name}@{len(subset.context)}",
        )  # fmt: skip
    sizes = [found.cameras.size(i) for i in range(len(frames))]
    truth = [true_depth(subset, i, size) for i, size in zip(frames, sizes, strict=True)]
    if settings.task == "depth":
        return depths(depth_of(found, settings.device), truth, settings.alignment)
    true_cameras = target_cameras(subset, settings.size, frames)
    return clouds(found.points, found.cameras, true_points(truth, true_cameras), true_cameras, median(truth))


def depth_of(found: Found, device: Device) -> list[Tensor]:
    """A network's depth, or that of the refined splats. Raises NotMeasured where there is neither."""
    if found.depth is not None:
        return list(found.depth)
    if found.gaussians is None:
        raise NotMeasured("it gives no depth; refined splats do (+3dgs)")
    with torch.no_grad():
        return [render(found.gaussians, found.cameras[[i]], device=device).depth[0].cpu() for i in range(len(found.names))]


def true_depth(subset: Subset, frame: int, size: tuple[int, int]) -> Tensor:
    """What `recon3d synth` writes beside the photos: depth/NAME.npy (or .npz, .exr, .png). Raises InputError."""
    picture = subset.scene.pictures[frame]
    stem = Path(subset.scene.names[frame]).stem
    folder = picture.path.parent.parent / "depth" if isinstance(picture, Source) else None
    files = [] if folder is None else [folder / f"{stem}{suffix}" for suffix in SUFFIXES]
    file = next((f for f in files if f.exists()), None)
    if file is None:
        raise InputError(subset.scene.name, f"no true depth of {subset.scene.names[frame]}", "Put depth/ beside images/")
    depth = torch.from_numpy(read_depth(file, subset.scene.cameras.size(frame)))
    return F.interpolate(depth[None, None], size, mode="nearest-exact")[0, 0]


def true_points(truth: list[Tensor], cameras: Cameras) -> Tensor:
    points = []
    for i, depth in enumerate(truth):
        at, known = cameras.unproject(i, depth)
        points.append(at[known])
    return torch.cat(points)


def median(truth: list[Tensor]) -> float:
    return float(torch.cat([depth[depth > 0] for depth in truth]).median())


def nearest_photo(settings: Settings, subset: Subset) -> Measured:
    """Of each target the picture of the nearest input, by the true cameras: what a method must beat."""
    centers = subset.scene.cameras.centers_in_world
    inputs = list(subset.context)
    nearest = [inputs[int((centers[inputs] - centers[i]).norm(dim=1).argmin())] for i in subset.target]
    renders = [target_picture(subset, settings.size, i) for i in nearest]
    photos = [target_picture(subset, settings.size, i) for i in subset.target]
    renders = [fitted(a, b) for a, b in zip(renders, photos, strict=True)]
    place = f"pictures/nearest photo/{subset.scene.name}@{len(subset.context)}"
    found = of_renders(subset, renders, photos, settings.lpips, settings.out, place)
    if not settings.posed:  # no camera moves it: it stands beside what others draw, both ways
        both = {f"{name}_{way}": value for name, value in found.figures.items() for way in ("transferred", "aligned")}
        missing = {f"{name}_{way}": why for name, why in found.unavailable.items() for way in ("transferred", "aligned")}
        found = replace(found, figures=both, unavailable=missing)
    return Measured(found, len(inputs), None)


def fitted(picture: Tensor, like: Tensor) -> Tensor:
    if picture.shape == like.shape:
        return picture
    return F.interpolate(picture[None], like.shape[1:], mode="bilinear", antialias=True)[0]


def measured_prediction(settings: Settings, subset: Subset, folder: Path, name: str) -> Measured:
    """What another program wrote. Raises InputError and ValueError."""
    found = prediction(folder, subset.scene.name, len(subset.context), subset.scene.names)
    if found is None:
        raise NotMeasured(f"no prediction in {folder}")
    known = {n: found.cameras[n] for n in subset.names if found.cameras is not None and n in found.cameras}
    registered = len(known) if found.cameras is not None else len(subset.context)
    if settings.task == "poses":
        if found.cameras is None:
            raise NotMeasured("it has no cameras")
        cameras = torch.stack([pose_of(camera) for camera in known.values()]) if known else torch.zeros(0, 4, 4)
        return Measured(poses(subset, tuple(known), cameras), registered, None)
    if settings.task == "nvs":
        return Measured(predicted_views(settings, subset, found, known, name), registered, None)
    if settings.task == "depth":
        frames = [i for i in subset.context if subset.scene.names[i] in found.depth_files]
        if not frames:
            raise NotMeasured("it has no depth of these views")
        sizes = [subset.scene.cameras.size(i) for i in frames]
        maps = [torch.from_numpy(found.depth(subset.scene.names[i], s)) for i, s in zip(frames, sizes, strict=True)]
        truth = [true_depth(subset, i, (m.shape[0], m.shape[1])) for i, m in zip(frames, maps, strict=True)]
        return Measured(depths(maps, truth, settings.alignment), len(frames), None)
    frames = [subset.context[subset.names.index(n)] for n in known]
    points = found.points()
    if points is None or len(frames) < 2:
        raise NotMeasured("it has no points, or cameras of fewer than two views to place them by")
    cameras = target_cameras(subset, settings.size, frames)
    truth = [true_depth(subset, i, cameras.size(k)) for k, i in enumerate(frames)]
    mine = predicted_cameras(known, cameras)
    judged_points = clouds(torch.from_numpy(points), mine, true_points(truth, cameras), cameras, median(truth))
    return Measured(judged_points, registered, None)


def predicted_views(
    settings: Settings, subset: Subset, found: Prediction, known: dict[str, KnownCamera], name: str
) -> Judged:
    """Renders under the photos' names; else splats, drawn by us from its own cameras, or at the true ones where it has none."""
    place = f"pictures/{name}/{subset.scene.name}@{len(subset.context)}"
    targets = [subset.scene.names[i] for i in subset.target]
    if all(n in found.render_files for n in targets):
        photos = [target_picture(subset, settings.size, i) for i in subset.target]
        renders = [predicted_render(settings, subset, found, i) for i in subset.target]
        return of_renders(subset, renders, photos, settings.lpips, settings.out, place)
    if found.splats_file is None:
        missing = next(n for n in targets if n not in found.render_files)
        raise NotMeasured(f"neither splats nor a render of {missing}")
    splats = read_splats(found.splats_file).splats
    frames = [subset.context[subset.names.index(n)] for n in known]
    true = target_cameras(subset, settings.size, frames or subset.context)
    if known:
        cameras = predicted_cameras({n: camera.moved(-splats.origin) for n, camera in known.items()}, true)
    else:  # the true cameras know of no origin
        cameras, splats = true, replace(splats, means=splats.positions.astype(np.float32), origin=np.zeros(3))
    return novel_views(
        subset, tuple(known) or subset.names, cameras, Gaussians.of(splats), not known, settings.size, settings.lpips,
        settings.device, settings.out, place,
    )  # fmt: skip


def predicted_render(settings: Settings, subset: Subset, found: Prediction, frame: int) -> Annotated[Tensor, "3 H W"]:
    """A render at the working size. One of its photo's own size, or of that which runs of ours draw large photos at, is brought
    there as the photo is, unless --size is height x width: published protocols draw at that size, and a picture made smaller
    has been drawn with more samples for a pixel."""
    exact, photo = settings.size.exact, subset.scene.cameras.size(frame)
    size = exact or fitted_size(*photo, settings.size.longest_side)
    sizes = [size] if exact is not None else [size, photo]
    if exact is None and found.of_run and settings.size.longest_side <= RENDER_SIZE:
        sizes.append(fitted_size(*photo, RENDER_SIZE))
    # To the size that its photo gets: fitted itself, a render that was made smaller before may end a pixel off.
    rgb = resize(found.render(subset.scene.names[frame], sizes), size)
    return torch.from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1).float() / 255


def predicted_cameras(known: dict[str, KnownCamera], like: Cameras) -> Cameras:
    """Poses as predicted, at the working size; where no lens is told, the true K."""
    K = like.K.clone()
    for i, camera in enumerate(known.values()):
        if camera.lens is not None:
            lens = undistorted(camera.lens)
            K[i] = resize_map((lens.height, lens.width), like.size(i)) @ torch.from_numpy(lens.K)
    return Cameras(torch.stack([pose_of(camera) for camera in known.values()]), K, like.sizes, like.camera_index)


def pose_of(camera: KnownCamera) -> Tensor:
    assert camera.camera_from_world is not None  # predictions keep those with a pose
    return torch.from_numpy(camera.camera_from_world).double()
