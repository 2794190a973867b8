"""Photos: what their headers say, and their pixels, upright and in sRGB. The only place that opens a `Source`. Loads no torch."""

from __future__ import annotations

import io
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cv2
import numpy as np
from PIL import Image

from recon3d.errors import InputError
from recon3d.io import profiles
from recon3d.io.exif import MALFORMED, Exif, read_exif
from recon3d.io.video import Frame, read_frame

if TYPE_CHECKING:
    from recon3d.core.views import Views

SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".bmp", ".webp", ".avif", ".heic", ".heif", ".ppm", ".pgm",
)  # fmt: skip
PIXEL_LIMIT = 2 * (2**30 // 12)  # 179 million, Pillow's own limit: the largest medium-format cameras have 151
MIN_SIDE = 16  # pixels: a SIFT descriptor covers as much
OPAQUE = 128  # alpha, and white of a mask, from which a pixel is used
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
ALPHA_MODES = ("RGBA", "LA", "PA", "La", "RGBa")
UNREADABLE = (*MALFORMED, RuntimeError, cv2.error)

_pillow_lock = threading.Lock()  # warnings.catch_warnings is not safe in threads


@dataclass(frozen=True)
class Header:
    """What is known of a photo before its pixels are decoded."""

    size: tuple[int, int]  # (height, width), upright
    stored_size: tuple[int, int]  # (height, width), before the orientation tag is applied
    exif: Exif
    unusable_profile: str | None = None  # why its colour profile cannot be used

    @property
    def twice_as_wide(self) -> bool:
        """Within one percent, as an equirectangular picture is."""
        return abs(self.size[1] / self.size[0] - 2) < 0.02


@dataclass(frozen=True)
class Source:
    """Where the pixels of a view come from: a photo or a frame of a video, and its mask. Small and picklable."""

    path: Path
    frame: Frame | None = None
    mask: Path | None = None
    invert_mask: bool = False
    as_stored: bool = False  # the orientation tag is passed over, for cameras that were found without it
    pixels: Annotated[np.ndarray, "H W 3"] | None = field(default=None, compare=False)  # uint8; `path` is a name only


def read_header(path: Path) -> Header:
    """Size, orientation and camera of a photo. Raises InputError where it is none, too large or too small."""
    return _header(path, None)


def read_photo(source: Source) -> tuple[Annotated[np.ndarray, "H W 3"], Annotated[np.ndarray, "H W"] | None]:
    """The upright photo at full size, sRGB uint8, and where it may be used (bool; None: everywhere).

    A colour profile that it has is followed. Colours are laid over white where the photo has an alpha channel. Raises
    InputError, truncated files included.
    """
    if source.pixels is not None:
        rgb, mask = source.pixels, None
    elif source.frame is not None:
        rgb, mask = read_frame(source.path, source.frame), None
    else:
        rgb, mask = _read_upright(source.path, source.as_stored, in_srgb=True)
    if source.mask is not None:
        given = read_mask(source.mask, source.invert_mask)
        if not fits(given.shape, rgb.shape[:2]):
            raise wrong_mask_size(source.mask, given.shape, source.path, rgb.shape[:2])
        given = enlarged(given, rgb.shape[:2]) if given.shape[0] < rgb.shape[0] else resize_mask(given, rgb.shape[:2])
        mask = given if mask is None else mask & given
    return rgb, None if mask is None or mask.all() else mask


def read_encoded(content: bytes, where: Path) -> Annotated[np.ndarray, "H W 3"]:
    """The pixels of a photo that lies in another file, rgb uint8, as stored. Raises InputError at `where`."""
    with opened(where, content) as (image, _):
        return np.asarray(image.convert("RGB"))


def encoded_header(content: bytes, where: Path) -> Header:
    """`read_header` of a photo that lies in another file. Raises InputError at `where`."""
    return _header(where, content)


def _header(path: Path, content: bytes | None) -> Header:
    with opened(path, content) as (image, exif):
        width, height = image.size
        unusable = profiles.unusable(image, exif.adobe_rgb)
    upright = (width, height) if exif.orientation >= 5 else (height, width)
    return Header(upright, (height, width), exif, unusable)


def read_mask(path: Path, invert: bool) -> Annotated[np.ndarray, "H W"]:
    """Where a photo may be used (bool): white, opaque pixels of the mask, all others with `invert`."""
    rgb, opaque = _read_upright(path, as_stored=False, in_srgb=False)
    white = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY) >= OPAQUE
    white = white if opaque is None else white & opaque
    return ~white if invert else white


def fits(size: tuple[int, ...], photo_size: tuple[int, ...]) -> bool:
    """Whether a mask of (height, width) `size` has the shape of its photo, as far as whole pixels allow."""
    scale = size[1] / photo_size[1]
    return abs(size[0] - photo_size[0] * scale) <= max(1.0, scale)


def enlarged(mask: Annotated[np.ndarray, "H W"], size: tuple[int, ...]) -> np.ndarray:
    """A smaller bool mask at (height, width) `size`, its borders drawn as straight lines between its pixels."""
    white = cv2.resize(mask.astype(np.uint8) * 255, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return white >= OPAQUE


def wrong_mask_size(mask: Path, size: tuple[int, ...], photo: Path, photo_size: tuple[int, ...]) -> InputError:
    """The refusal of a mask of (height, width) `size` for a photo of another shape."""
    what = f"the mask is {size[1]}x{size[0]}, but {photo.name} is {photo_size[1]}x{photo_size[0]} when upright"
    return InputError(mask, what, "Give a mask of the same shape as its photo")


def check_size(path: Path, size: tuple[int, ...], photo_size: tuple[int, int]) -> None:
    """InputError where what a file holds for each pixel of a photo has another (height, width) than the photo."""
    if size != photo_size:
        what = f"it is {size[1]}x{size[0]}, but its photo has {photo_size[1]}x{photo_size[0]} pixels"
        raise InputError(path, what, "Write it at the size of the photo: nothing is resized here")


def pictures(
    views: Views,
) -> Callable[[int, int], tuple[Annotated[np.ndarray, "H W"], Annotated[np.ndarray, "H W"] | None]]:
    """(View, longest side) -> its photo for features: upright, grey uint8, and where it may be used."""
    from recon3d.core.cameras import fitted_size

    if views.undistorted:
        raise ValueError("features are taken from photos as taken, and these views are undistorted")

    def picture(view: int, longest: int) -> tuple[np.ndarray, np.ndarray | None]:
        rgb, mask = read_photo(views.sources[view])
        size = fitted_size(rgb.shape[0], rgb.shape[1], longest)
        grey = resize(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), size)
        return grey, None if mask is None else resize_mask(mask, size)

    return picture


def resize(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """uint8 [H,W] or [H,W,3] at (height, width) `size`, by the mean over each new pixel's area."""
    if pixels.shape[:2] == size:
        return pixels
    return cv2.resize(pixels, (size[1], size[0]), interpolation=cv2.INTER_AREA)


def resize_mask(mask: Annotated[np.ndarray, "H W"], size: tuple[int, int]) -> np.ndarray:
    """A bool mask at another size: true where at least half of a new pixel's area is."""
    return resize(mask.astype(np.uint8) * 255, size) >= OPAQUE


def _read_upright(path: Path, as_stored: bool, in_srgb: bool) -> tuple[np.ndarray, np.ndarray | None]:
    """rgb uint8 [H,W,3] and alpha >= 128 (bool [H,W], None without alpha) of a photo, its colour profile followed or not."""
    with opened(path) as (image, exif):
        image.load()
        pixels = _eight_bit(image, path, exif.adobe_rgb if in_srgb else None)
    if not as_stored:
        pixels = upright(pixels, exif.orientation)
    if pixels.ndim == 2:
        return np.ascontiguousarray(np.broadcast_to(pixels[..., None], (*pixels.shape, 3))), None
    if pixels.shape[2] == 3:
        return np.ascontiguousarray(pixels), None
    return over_white(pixels)


def _eight_bit(image: Image.Image, path: Path, adobe_rgb: bool | None) -> np.ndarray:
    """Decoded uint8 pixels: [H,W] grey, [H,W,3] rgb or [H,W,4] rgb and alpha. 16 bits are scaled by 1/257.

    In sRGB by the photo's profile, or as Adobe RGB where it has none and `adobe_rgb` says so; as stored with None.
    """
    deep = _sixteen_bit(image, path)
    if deep is not None:
        turned = None if adobe_rgb is None else profiles.deep_in_srgb(deep, image, adobe_rgb)
        if turned is not None:
            return turned
        return ((deep.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if image.mode in ("F", "I"):
        raise InputError(path, f"{image.mode} pixels (32 bits) are no photo", "Save it with 8 or 16 bits a channel")
    if adobe_rgb is not None:
        image = profiles.in_srgb(image, adobe_rgb)
    if image.mode in ALPHA_MODES or "transparency" in image.info:
        return np.asarray(image.convert("RGBA"))
    return np.asarray(image if image.mode in ("L", "RGB") else image.convert("L" if image.mode == "1" else "RGB"))


def _sixteen_bit(image: Image.Image, path: Path) -> np.ndarray | None:
    """uint16 pixels [H,W] or [H,W,C] in the order rgb(a), or None for a photo of 8 bits. Pillow has proved it whole."""
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)
    if image.mode == "I" and image.format in ("PNG", "PPM"):
        return np.asarray(image).astype(np.uint16)
    if image.format not in ("PNG", "TIFF") or image.mode not in ("RGB", "RGBA", "LA"):
        return None
    # Pillow keeps the upper 8 bits of 16 without saying so.
    deep = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if deep is None or deep.dtype != np.uint16 or deep.ndim == 2:
        return None
    return deep[..., [2, 1, 0, 3][: deep.shape[2]]]


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Stored pixels [H,W,...] as EXIF orientation 1 to 8 means them to be seen (EXIF 2.32, table of Orientation)."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels[:, ::-1] if orientation in (2, 3, 6, 7) else pixels


def over_white(rgba: Annotated[np.ndarray, "H W 4"]) -> tuple[np.ndarray, np.ndarray]:
    """Colours laid over white by their alpha, and where alpha is at least one half."""
    alpha = rgba[..., 3:].astype(np.uint16)
    rgb = (rgba[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255
    return rgb.astype(np.uint8), rgba[..., 3] >= OPAQUE


@contextmanager
def opened(path: Path, content: bytes | None = None) -> Iterator[tuple[Image.Image, Exif]]:
    """An opened, not yet decoded photo of allowed size; whatever goes wrong inside becomes an InputError that names it.

    Where `content` is given, it is read, and `path` names it only.
    """
    try:
        with open(path, "rb") if content is None else io.BytesIO(content) as file:
            start = file.read(12)
            if not start:
                raise InputError(path, "empty file", "Copy it again")
            if start[4:8] == b"ftyp" and start[8:12] in HEIF_BRANDS:
                _allow_heif(path)
            file.seek(0)
            with _pillow_lock, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                image = Image.open(file)
                exif = read_exif(image)
            _check_size(path, *image.size)
            yield image, exif
    except Image.DecompressionBombError as error:
        found = re.search(r"\d+", str(error))  # Pillow tells the number of pixels in words only
        raise _too_large(path, int(found.group()) if found else PIXEL_LIMIT + 1) from error
    except UNREADABLE as error:
        raise _unreadable(path, error) from error


def _check_size(path: Path, width: int, height: int) -> None:
    if width * height > PIXEL_LIMIT:
        raise _too_large(path, width * height)
    if min(width, height) < MIN_SIDE:
        raise InputError(path, f"too small: {width}x{height} pixels", f"Photos need {MIN_SIDE} pixels a side or more")


def _too_large(path: Path, pixels: int) -> InputError:
    what = f"too large: {pixels / 1e6:.0f} million pixels, and the limit is {PIXEL_LIMIT / 1e6:.0f} million"
    return InputError(path, what, "Make it smaller")


def _unreadable(path: Path, error: BaseException) -> InputError:
    """The line for what a decoder raised."""
    if isinstance(error, OSError) and error.errno is not None:
        return InputError(path, f"cannot be opened ({error.strerror})", "Check its name and permissions")
    if isinstance(error, Image.UnidentifiedImageError):
        return InputError(path, "not an image", "Give photos, such as JPEG or PNG files")
    if "truncated" in str(error).lower() or isinstance(error, EOFError):
        return InputError(path, "truncated: the file ends before the picture does", "Copy it again")
    return InputError(path, f"damaged: {error}", "Copy it again, or save it anew")


def _allow_heif(path: Path) -> None:
    """Teach Pillow HEIC at the first such photo, where the optional library is there."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError as error:
        raise InputError(path, "HEIC photos need the optional pillow-heif", "Run: pip install pillow-heif") from error
    register_heif_opener()
