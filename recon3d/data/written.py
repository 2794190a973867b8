"""Procedural scenes as files, in every format that data sets have: what `data.dataset` reads, this writes."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from PIL import Image

from recon3d.core.cameras import Cameras
from recon3d.core.lens import Lens
from recon3d.data.batch import Batch, rendered
from recon3d.data.chunks import rows_of, write_chunks
from recon3d.data.shots import drawn
from recon3d.io.cameras_json import write_cameras
from recon3d.io.colmap_model import write_model
from recon3d.io.transforms_json import write_transforms

Found = Iterator[tuple[str, Batch]]
DL3DV_PART = 4  # of the size that transforms.json tells are the pictures: images_4
POINTS_ACROSS = 40  # of COLMAP's points, along the longest side of each view
SEEN = 0.01  # relative difference of the depths of a point and of the pixel where it is seen


def scenes(count: int, views: int, size: tuple[int, int], seed: int, samples: int) -> Iterator[tuple[str, Batch]]:
    """Names and scenes; number i is the same whatever `count` is."""
    for i in range(count):
        yield f"{i:06d}", rendered(drawn([seed, i], views, size), samples)


def write_folders(found: Found, folder: Path) -> None:
    """For each scene images/NN.png, cameras.json, transforms.json, and depth/NN.npy (float32 z-depth, 0: sky)."""
    for name, batch in found:
        scene, names = folder / name, write_pictures(folder / name, batch, "images")
        write_cameras(scene / "cameras.json", names, cameras_of(batch), source="ground-truth")
        write_transforms(scene / "transforms.json", [f"images/{n}" for n in names], cameras_of(batch), ply_file_path=None)


def write_nerfstudio(found: Found, folder: Path) -> None:
    """For each scene images/NN.png, depth/NN.npy, and transforms.json alone."""
    for name, batch in found:
        names = write_pictures(folder / name, batch, "images")
        write_transforms(
            folder / name / "transforms.json", [f"images/{n}" for n in names], cameras_of(batch), ply_file_path=None
        )


def write_dl3dv(found: Found, folder: Path) -> None:
    """For each scene transforms.json of pictures at DL3DV_PART times the size, which are not there, and images_N/NN.png of
    those that are, N being DL3DV_PART, with depth/NN.npy."""
    for name, batch in found:
        names, cameras = write_pictures(folder / name, batch, f"images_{DL3DV_PART}"), cameras_of(batch)
        larger = torch.diag(torch.tensor([DL3DV_PART, DL3DV_PART, 1.0], dtype=torch.float64)).expand(len(cameras), 3, 3)
        whole = cameras.resized(larger, DL3DV_PART * cameras.sizes)
        write_transforms(folder / name / "transforms.json", [f"images/{n}" for n in names], whole, ply_file_path=None)


def write_colmap(found: Found, folder: Path) -> None:
    """For each scene images/NN.png, depth/NN.npy, and sparse/0 with points of the surfaces and their tracks."""
    for name, batch in found:
        names, cameras = write_pictures(folder / name, batch, "images"), cameras_of(batch)
        model = folder / name / "sparse" / "0"
        model.mkdir(parents=True)
        points, colors, view, point, xy = tracked(batch)
        lenses = [Lens.pinhole(K, *batch.size) for K in cameras.K.numpy()]
        write_model(
            model, names, lenses, cameras.camera_index.numpy(), cameras.camera_from_world.numpy(), points, colors,
            np.zeros(len(points)), view, point, xy,
        )  # fmt: skip


def write_pictures(scene: Path, batch: Batch, images: str) -> list[str]:
    """The pictures in the folder `images` and their depth; names of the pictures."""
    (scene / images).mkdir(parents=True)
    (scene / "depth").mkdir()
    names = [f"{v:02d}.png" for v in range(batch.images.shape[1])]
    for v, image in enumerate(names):
        Image.fromarray(pixels(batch, v)).save(scene / images / image)
        np.save(scene / "depth" / f"{v:02d}.npy", batch.depth[0, v].numpy())
    return names


def tracked(
    batch: Batch,
) -> tuple[
    Annotated[np.ndarray, "P 3"], Annotated[np.ndarray, "P 3"], Annotated[np.ndarray, "M"], Annotated[np.ndarray, "M"],
    Annotated[np.ndarray, "M 2"],
]:  # fmt: skip
    """Points at some pixels of every view, their colours (uint8), and view, point and pixel (x, y) of each observation: only
    points that two views or more show."""
    step = max(1, max(batch.size) // POINTS_ACROSS)
    some = (slice(None), slice(step // 2, None, step), slice(step // 2, None, step))
    known = batch.depth[0][some] > 0
    points = batch.points_in_world()[0][some][known].double()
    colors = (255 * batch.images[0].permute(0, 2, 3, 1)[some][known]).round().byte()
    cameras = cameras_of(batch)
    xy, z = cameras.project(points)
    height, width = batch.size
    column, row = xy.nan_to_num().floor().long().unbind(-1)
    inside = (z > 0) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    views = torch.arange(len(cameras))[:, None]
    there = batch.depth[0][views, row.clamp(0, height - 1), column.clamp(0, width - 1)]
    seen = inside & ((there - z).abs() < SEEN * z)
    kept = seen.sum(0) >= 2
    view, point = seen[:, kept].nonzero().unbind(1)
    found = points[kept], colors[kept], view, point, xy[:, kept][view, point]
    return tuple(x.numpy() for x in found)  # type: ignore[return-value]


def write_test_chunks(found: Found, folder: Path) -> None:
    """test/NNNNNN.torch and test/index.json as pixelSplat's loaders read them; pictures are PNG. Depth has no place there."""
    entries = (
        {
            "key": name, "url": "", "timestamps": torch.arange(batch.images.shape[1]), "cameras": rows_of(cameras_of(batch)),
            "images": [torch.from_numpy(np.frombuffer(png(batch, v), np.uint8).copy()) for v in range(batch.images.shape[1])],
        }
        for name, batch in found
    )  # fmt: skip
    write_chunks(entries, folder / "test")


FORMATS: dict[str, Callable[[Found, Path], None]] = {
    "folders": write_folders, "colmap": write_colmap, "nerfstudio": write_nerfstudio, "dl3dv": write_dl3dv,
    "chunks": write_test_chunks,
}  # fmt: skip


def cameras_of(batch: Batch) -> Cameras:
    views = batch.images.shape[1]
    sizes = torch.tensor([list(batch.size)]).repeat(views, 1)
    return Cameras(batch.camera_from_world[0].double(), batch.K[0].double(), sizes, torch.zeros(views, dtype=torch.int64))


def pixels(batch: Batch, v: int) -> Annotated[np.ndarray, "H W 3"]:
    return (255 * batch.images[0, v]).round().byte().permute(1, 2, 0).numpy()


def png(batch: Batch, v: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels(batch, v)).save(file, "PNG")
    return file.getvalue()
