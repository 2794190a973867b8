"""Tiny data sets for tests: noise pictures, cameras on an arc that look at the origin."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from recon3d.data.chunks import write_chunks

SIZE = (36, 64)


def jpeg(seed: int, size: tuple[int, int] = SIZE) -> torch.Tensor:
    """The bytes of a picture, uint8 [length]."""
    pixels = np.random.default_rng(seed).integers(0, 255, (*size, 3)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90)
    return torch.frombuffer(bytearray(file.getvalue()), dtype=torch.uint8)


def camera_rows(count: int) -> torch.Tensor:
    """A chunk's cameras, float32 [count, 18]: a tenth of a radian apart on a circle of radius 2, off-centre."""
    rows = []
    for i in range(count):
        c, s = np.cos(0.1 * i), np.sin(0.1 * i)
        pose = np.array([[c, 0, s, 0], [0, 1, 0, 0], [-s, 0, c, 2]])
        rows.append([0.9, 1.6, 0.5, 0.48, 0, 0, *pose.ravel()])
    return torch.tensor(rows, dtype=torch.float32)


def entry(key: str, count: int = 4) -> dict[str, Any]:
    return {
        "key": key, "url": "", "timestamps": 100 * torch.arange(count), "cameras": camera_rows(count),
        "images": [jpeg(i) for i in range(count)],
    }  # fmt: skip


def chunk_folder(folder: Path, *entries: dict[str, Any], most: int = 1) -> Path:
    """A folder of chunks with one scene each, unless `most` bytes hold more."""
    write_chunks(entries, folder, most)
    return folder
