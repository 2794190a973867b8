"""Colour profiles (ICC) of photos: their pixels as sRGB, by Pillow's ImageCms. Loads no torch.

Colours are taken over relative to white and with the black point compensated, whatever intent a profile names: between
the profiles of cameras and screens, which are matrices, all intents say the same, paper becomes white and ink black, and
photos of one scene that were saved by several programs agree.
"""

from __future__ import annotations

import io
import struct
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from recon3d.io import primaries
from recon3d.io.primaries import Chromaticities

MODES = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK", "Lab": "LAB"}  # Pillow's mode of a profile's colour space
ALPHA = {"RGBA": "RGB", "LA": "L"}
# Codes by which a profile may differ from sRGB and its pixels are still left as they are: the profiles that call
# themselves sRGB differ by one or two.
SAME = 2
ADOBE_GAMMA = 563 / 256  # Adobe RGB (1998), section 4.3.1.2
D50 = (0.9642, 1.0, 0.8249)  # white of the space in which profiles meet, ICC.1:2022, 7.2.16
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])  # ICC.1, annex E
GREYS = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, 1)
LATTICE = np.linspace(0, 255, 9).astype(np.uint8)
COLORS = np.concatenate([GREYS, np.stack(np.meshgrid(LATTICE, LATTICE, LATTICE), -1).reshape(-1, 3)])  # tried for sameness

_lock = threading.Lock()  # profiles are opened and joined by one thread at a time


def unusable(image: Image.Image, adobe_rgb: bool) -> str | None:
    """Why the profile of an opened picture cannot be used; None where it can, or there is none."""
    content = content_of(image, adobe_rgb)
    try:
        _to_srgb(content, _mode(image))
    except (OSError, ValueError, TypeError, ImageCms.PyCMSError) as error:
        return str(error)
    return None


def content_of(image: Image.Image, adobe_rgb: bool) -> bytes | None:
    """The profile of an opened picture, or that of Adobe RGB where its EXIF says so instead (DCF 2.0, section 5.6)."""
    content = image.info.get("icc_profile")
    if isinstance(content, bytes) and content:
        return content
    return adobe_rgb_profile() if adobe_rgb else None


def in_srgb(image: Image.Image, adobe_rgb: bool) -> Image.Image:
    """A decoded picture of 8 bits with sRGB's colours: the same where it has no usable profile, else RGB or RGBA."""
    if "transparency" in image.info or image.mode in ("PA", "La", "RGBa"):
        image = image.convert("LA" if image.mode in ("L", "La") else "RGBA")
    try:
        turn = _to_srgb(content_of(image, adobe_rgb), _mode(image))
    except (OSError, ValueError, TypeError, ImageCms.PyCMSError):
        return image
    if turn is None:
        return image
    if image.mode not in ALPHA:
        return turn(image)
    turned = turn(image.convert(ALPHA[image.mode]))
    turned.putalpha(image.getchannel("A"))
    return turned


def deep_in_srgb(deep: np.ndarray, image: Image.Image, adobe_rgb: bool) -> np.ndarray | None:
    """uint16 pixels [H,W] or [H,W,C] as sRGB uint8, alpha kept as the last of C; None where they are sRGB already.

    ImageCms takes 8 bits, which are too few where a profile is linear: black to the next code is 13 codes of sRGB. So it is
    asked for the code below and, channel by channel, the one above, and the answer lies between by what 8 bits leave over.
    """
    channels = deep[..., None] if deep.ndim == 2 else deep
    colors = 1 if channels.shape[2] < 3 else 3  # without alpha
    try:
        turn = _to_srgb(content_of(image, adobe_rgb), "L" if colors == 1 else "RGB")
    except (OSError, ValueError, TypeError, ImageCms.PyCMSError):
        return None
    if turn is None:
        return None
    low = (channels[..., :colors] // 257).astype(np.uint8)
    rest = (channels[..., :colors] - low.astype(np.uint16) * 257).astype(np.float32) / 257
    below = _turned(turn, low)
    found = below.copy()
    for c in range(colors):
        high = low.copy()
        high[..., c] = np.minimum(high[..., c], 254) + 1
        found += rest[..., c : c + 1] * (_turned(turn, high) - below)
    rgb = np.rint(found.clip(0, 255)).astype(np.uint8)
    if colors == channels.shape[2]:
        return rgb
    return np.dstack([rgb, ((channels[..., -1].astype(np.uint32) + 128) // 257).astype(np.uint8)])


def _turned(turn: Callable[[Image.Image], Image.Image], pixels: np.ndarray) -> np.ndarray:
    picture = Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels))
    return np.asarray(turn(picture), np.float32)


def _mode(image: Image.Image) -> str:
    """The colours that a picture will have when it is decoded: L, RGB, CMYK or LAB."""
    mode = image.mode
    if mode in ("1", "L", "LA", "La", "I") or mode.startswith("I;16"):
        return "L"
    return mode if mode in ("CMYK", "LAB") else "RGB"


@lru_cache(maxsize=16)
def _to_srgb(content: bytes | None, mode: str) -> Callable[[Image.Image], Image.Image] | None:
    """Takes pictures of `mode` to sRGB; None where they are so already. Raises what ImageCms does, and ValueError."""
    if content is None and mode != "LAB":
        return None
    with _lock:
        srgb = ImageCms.createProfile("sRGB")
        lab = ImageCms.createProfile("LAB")
        given: Any = ImageCms.ImageCmsProfile(lab if content is None else io.BytesIO(content))
        space = given.profile.xcolor_space.strip()
        wanted = MODES.get(space)
        if wanted is None or (wanted != mode and (mode, wanted) != ("L", "RGB")):
            raise ValueError(f"it is one for {space} colours, and the picture has {mode}")
        flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
        if mode == "L":  # 256 answers are worth the exact way; the quick one is 10 codes off in linear shadows
            flags |= ImageCms.Flags.NOOPTIMIZE
        transform = ImageCms.buildTransform(given, srgb, wanted, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC, flags)

    def turn(image: Image.Image) -> Image.Image:
        turned = transform.apply(image if image.mode == wanted else image.convert(wanted))
        assert turned is not None
        return turned

    if mode == "L":
        table = np.asarray(turn(Image.fromarray(np.arange(256, dtype=np.uint8)[None])))[0]
        return None if _same(table, GREYS) else lambda image: Image.fromarray(table[np.asarray(image.convert("L"))])
    if mode == "RGB" and _same(np.asarray(turn(Image.fromarray(COLORS[None])))[0], COLORS):
        return None
    return turn


def _same(turned: np.ndarray, given: np.ndarray) -> bool:
    return int(np.abs(turned.astype(int) - given).max()) <= SAME


@lru_cache(maxsize=1)
def adobe_rgb_profile() -> bytes:
    return matrix_profile(primaries.ADOBE_RGB, ADOBE_GAMMA)


def matrix_profile(chromaticities: Chromaticities, gamma: float) -> bytes:
    """An ICC profile (version 2.1) of linear light by a power, and primaries about D65 (ICC.1:2001-04, 6.3.1.2)."""
    white = np.array(D50)
    cones = BRADFORD @ primaries.xyz_from_rgb(chromaticities).sum(1)
    adapted = np.linalg.inv(BRADFORD) @ np.diag(BRADFORD @ white / cones) @ BRADFORD
    columns = (adapted @ primaries.xyz_from_rgb(chromaticities)).T
    power = b"curv" + bytes(4) + struct.pack(">IH2x", 1, round(gamma * 256))
    said = b"desc" + bytes(4) + struct.pack(">I", 4) + b"rgb\0" + bytes(4 + 4 + 2 + 1 + 67 + 1)
    tags = {b"desc": said, b"wtpt": _xyz(white)}
    tags |= {name: _xyz(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), power)
    table, body, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += struct.pack(">4sII", name, start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    length = start + len(body)
    head = struct.pack(">I4sI4s4s4s12s4s", length, b"", 0x02100000, b"mntr", b"RGB ", b"XYZ ", b"", b"acsp")
    head += bytes(28) + _xyz(white)[8:]
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def _xyz(values: np.ndarray) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(float(v) * 65536) for v in values))
