"""Writing pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

JPEG_QUALITY = 95
SRGB = 1  # EXIF 2.32, ColorSpace; PNG's chunk holds an intent, of which 1 is relative colorimetric


def write_picture(path: Path, pixels: np.ndarray) -> None:
    """uint8 [H,W,3] or [H,W] as the suffix says (.png, .jpg), its folder made; no metadata but that colours are sRGB."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if path.suffix.lower() == ".png":
        said = PngInfo()
        said.add(b"sRGB", bytes([SRGB]))
        image.save(path, compress_level=4, pnginfo=said)
    else:
        exif = Image.Exif()
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ColorSpace] = SRGB
        image.save(path, quality=JPEG_QUALITY, subsampling=0, exif=exif)
