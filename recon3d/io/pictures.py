"""Writing pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

JPEG_QUALITY = 95


def write_picture(path: Path, pixels: np.ndarray) -> None:
    """uint8 [H,W,3] or [H,W] as the suffix says (.png, .jpg), its folder made; no metadata."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if path.suffix.lower() == ".png":
        image.save(path, compress_level=4)
    else:
        image.save(path, quality=JPEG_QUALITY, subsampling=0)
