"""Procedural scenes as files, in the formats that data sets have: posed folders, and chunks as of RealEstate10K."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from PIL import Image

from recon3d.core.cameras import Cameras
from recon3d.data.batch import Batch, rendered
from recon3d.data.chunks import rows_of, write_chunks
from recon3d.data.shots import drawn
from recon3d.io.cameras_json import write_cameras
from recon3d.io.transforms_json import write_transforms


def scenes(count: int, views: int, size: tuple[int, int], seed: int, samples: int) -> Iterator[tuple[str, Batch]]:
    """Names and scenes; number i is the same whatever `count` is."""
    for i in range(count):
        yield f"{i:06d}", rendered(drawn([seed, i], views, size), samples)


def write_folders(found: Iterator[tuple[str, Batch]], folder: Path) -> None:
    """For each scene images/NN.png, cameras.json, transforms.json, and depth/NN.npy (float32 z-depth, 0: sky)."""
    for name, batch in found:
        scene = folder / name
        (scene / "images").mkdir(parents=True)
        (scene / "depth").mkdir()
        names = [f"{v:02d}.png" for v in range(batch.images.shape[1])]
        for v, image in enumerate(names):
            Image.fromarray(pixels(batch, v)).save(scene / "images" / image)
            np.save(scene / "depth" / f"{v:02d}.npy", batch.depth[0, v].numpy())
        cameras = cameras_of(batch)
        write_cameras(scene / "cameras.json", names, cameras, source="ground-truth")
        write_transforms(scene / "transforms.json", [f"images/{n}" for n in names], cameras, ply_file_path=None)


def write_test_chunks(found: Iterator[tuple[str, Batch]], folder: Path) -> None:
    """test/NNNNNN.torch and test/index.json as pixelSplat's loaders read them; pictures are PNG. Depth has no place there."""
    entries = (
        {
            "key": name, "url": "", "timestamps": torch.arange(batch.images.shape[1]), "cameras": rows_of(cameras_of(batch)),
            "images": [torch.from_numpy(np.frombuffer(png(batch, v), np.uint8).copy()) for v in range(batch.images.shape[1])],
        }
        for name, batch in found
    )  # fmt: skip
    write_chunks(entries, folder / "test")


FORMATS: dict[str, Callable[[Iterator[tuple[str, Batch]], Path], None]] = {
    "folders": write_folders, "chunks": write_test_chunks,
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
