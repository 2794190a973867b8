"""What a run leaves: one PLY with a report, or a folder with photos, cameras, splats, renders and depth in one world frame."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
import torch

from recon3d.core.cameras import Cameras, fitted_size, resize_map
from recon3d.core.gaussians import Gaussians
from recon3d.core.lens import undistorted
from recon3d.core.origin import in_words
from recon3d.core.scene import Scene
from recon3d.core.similarity import Similarity
from recon3d.io.cameras_json import write_cameras
from recon3d.io.colmap_model import write_model
from recon3d.io.depth_files import write_depth
from recon3d.io.pictures import write_picture
from recon3d.io.ply import read_ply, write_ply
from recon3d.io.transforms_json import write_transforms
from recon3d.io.undistortion import undistorted_mask, undistorted_photo
from recon3d.pipeline.parity import difference
from recon3d.progress import Progress
from recon3d.rendering.render import render

RENDER_SIZE = 2000  # longest side in pixels of the pictures in renders/


def write_splats(scene: Scene, path: Path, device: str) -> dict[str, Any]:
    """Write the PLY and check it: read back, rendered, compared with the scene in memory."""
    write_ply(path, scene.splats())
    assert scene.geometry is not None
    read = read_ply(path)
    written = Gaussians.of(replace(read, means=(read.positions - scene.origin).astype(np.float32)))
    return {"format": "ply", "psnr": round(difference(scene.gaussians, written, scene.geometry.cameras, device), 2)}


def write_folder(
    scene: Scene, folder: Path, device: str, progress: Progress, origin: Literal["keep", "local"] = "keep"
) -> dict[str, Any]:
    """Everything but the report into an existing empty folder; returns the export's part of the report."""
    assert scene.views is not None and scene.geometry is not None
    names = output_names(scene.views.names)
    cameras = full_size_cameras(scene)
    checked = write_splats(scene, folder / "scene.ply", device)
    for i, name in enumerate(names):
        write_picture(folder / "images" / name, undistorted_photo(scene.views, i))
        mask = undistorted_mask(scene.views, i)
        if mask is not None:
            write_picture(folder / "masks" / f"{name}.png", mask.astype(np.uint8) * 255)
        write_picture(folder / "renders" / PurePosixPath(name).with_suffix(".png"), drawn(scene, cameras, i, device))
        write_depth_of(scene, i, folder / "depth" / PurePosixPath(name).with_suffix(".npz"))
        progress.advance(i + 1, len(names), "pictures")
    if any(scene.origin) and origin == "local":
        progress.note(f"sparse/0 cannot say that it stands about {in_words(np.array(scene.origin))}; the other files do")
    write_cameras_files(scene, cameras, names, folder, origin)
    return checked


def write_depth_of(scene: Scene, i: int, path: Path) -> None:
    """Depth and confidence of view i at working size, where its geometry has them."""
    geometry = scene.geometry
    assert geometry is not None
    if geometry.depth is not None and geometry.confidence is not None:
        write_depth(path, geometry.depth[i].numpy(), geometry.confidence[i].numpy(), geometry.cameras.K[i].numpy())


def write_cameras_files(
    scene: Scene, cameras: Cameras, names: tuple[str, ...], folder: Path, origin: Literal["keep", "local"]
) -> None:
    """sparse/0, transforms.json and cameras.json for the pictures in images/, in the world or about the scene's origin."""
    views, geometry, about = scene.views, scene.geometry, scene.origin
    assert views is not None and geometry is not None and geometry.tracks is not None
    points, splats = geometry.points, "scene.ply"
    if any(about) and origin == "keep":
        shift = Similarity.of(translation=torch.tensor(about))
        cameras, points, about = cameras.transformed(shift), shift.apply(points), (0.0, 0.0, 0.0)
        splats = None  # whoever follows the link would see the splats elsewhere
    held_out = views.held_out.tolist()
    (folder / "sparse" / "0").mkdir(parents=True)
    lenses = tuple(undistorted(lens) for lens in views.lenses if lens is not None)
    tracks = geometry.tracks
    write_model(
        folder / "sparse" / "0", names, lenses, cameras.camera_index.numpy(), cameras.camera_from_world.numpy(),
        points.numpy(), geometry.colors.numpy(), geometry.errors.numpy(), tracks.view.numpy(),
        tracks.point.numpy(), tracks.xy.numpy(),
    )  # fmt: skip
    pictures = [f"images/{name}" for name in names]
    write_transforms(folder / "transforms.json", pictures, cameras, held_out, splats, about)
    originals = [lens for lens in views.lenses if lens is not None]
    write_cameras(
        folder / "cameras.json", names, cameras, lenses=originals, held_out=held_out, unit=geometry.scale,
        source=geometry.source, original_names=views.names, origin=about,
    )  # fmt: skip


def full_size_cameras(scene: Scene) -> Cameras:
    """The cameras of the undistorted photos at full size."""
    assert scene.views is not None and scene.geometry is not None
    K = np.stack([undistorted(lens).K for lens in scene.views.lenses if lens is not None])
    return replace(scene.geometry.cameras, K=torch.from_numpy(K), sizes=scene.views.photo_sizes)


def drawn(scene: Scene, cameras: Cameras, i: int, device: str) -> np.ndarray:
    """What camera i shows of the splats, uint8 [H,W,3], at most RENDER_SIZE pixels long."""
    height, width = cameras.size(i)
    size = fitted_size(height, width, RENDER_SIZE)
    camera = cameras[[i]].resized(resize_map((height, width), size)[None], torch.tensor([size]))
    rgb = render(scene.gaussians, camera, device=device).rgb[0].cpu()
    return (rgb.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()


def output_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the pictures in images/: as the photos', .jpg and .png kept, others turned to .jpg; unique in renders/ too.

    Whatever a file of cameras calls a photo, its picture stays below the folder that the name is put after.
    """
    taken: set[str] = set()
    found = []
    for name in names:
        path = name_inside(name)
        if path.suffix.lower() not in (".jpg", ".jpeg", ".png"):
            path = path.with_name(path.name + ".jpg")
        first, number = path, 1
        while bare(path) in taken:  # a.jpg and a.png would share renders/a.png
            path = first.with_name(first.name.replace(".", "_") + ("" if number == 1 else f"_{number}") + first.suffix)
            number += 1
        taken.add(bare(path))
        found.append(str(path))
    return tuple(found)


def name_inside(name: str) -> PurePosixPath:
    """The name without what leads elsewhere on any system: roots, drives, `..` (on Windows `.. ` too), both separators."""
    parts = [re.sub(r"^([A-Za-z]):", r"\1_", part) for part in re.split(r"[/\\]", name)]
    return PurePosixPath(*[part for part in parts if part.strip(" .")] or ["picture"])


def bare(path: PurePosixPath) -> str:
    """What two names that share a file have in common; on some systems capitals do not tell names apart."""
    return str(path.with_suffix("")).casefold()
