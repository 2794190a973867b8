"""Colour profiles of photos, against the closed forms of their colour spaces."""

import struct
import warnings
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from recon3d.io import primaries
from recon3d.io.detect import detect
from recon3d.io.load import load_views
from recon3d.io.photos import Source, read_header, read_mask, read_photo
from recon3d.io.pictures import write_picture
from recon3d.io.profiles import ADOBE_GAMMA, adobe_rgb_profile, matrix_profile
from recon3d.progress import Progress
from tests.io.input_files import picture, save

P3 = matrix_profile(primaries.DISPLAY_P3, 2.2)


def encoded(light: np.ndarray) -> np.ndarray:
    """sRGB codes of light, not rounded (IEC 61966-2-1)."""
    light = light.clip(0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def in_srgb(pixels: np.ndarray, space: primaries.Chromaticities, gamma: float, most: int = 255) -> np.ndarray:
    to_srgb = np.linalg.inv(primaries.xyz_from_rgb(primaries.SRGB)) @ primaries.xyz_from_rgb(space)
    return encoded((pixels / most) ** gamma @ to_srgb.T)


def read(path: Path) -> np.ndarray:
    return read_photo(Source(path))[0]


def farthest(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(float) - b).max())


def grey_profile(gamma: float) -> bytes:
    """The RGB profile of one gamma with its space renamed and its curve for grey."""
    content = bytearray(matrix_profile(primaries.SRGB, gamma))
    content[16:20] = b"GRAY"
    at = content.index(b"rTRC")
    content[at : at + 4] = b"kTRC"
    return bytes(content)


def ink_profile() -> bytes:
    """A profile of CMYK: a table of two steps for each ink, in Lab; what is printed over another ink adds up."""
    inks = np.array([[40, -30, -45], [50, 70, -5], [10, -5, 90], [100, 0, 0]], float)  # what each takes from L, adds to a, b
    rows = []
    for node in range(16):
        on = [(node >> (3 - i)) & 1 for i in range(4)]
        lab = np.array([100.0, 0, 0]) + sum(np.array([-ink[0], ink[1], ink[2]]) * o for ink, o in zip(inks, on, strict=True))
        lab = np.array([0, 0, 0]) if on[3] else lab.clip([0, -128, -128], [100, 127, 127])
        rows += [round(lab[0] * 2.55), round(lab[1] + 128), round(lab[2] + 128)]
    matrix = struct.pack(">9i", *(65536 if i % 4 == 0 else 0 for i in range(9)))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix + bytes(range(256)) * 4 + bytes(rows) + bytes(range(256)) * 3
    content = bytearray(matrix_profile(primaries.SRGB, 1))
    head = content[:128]
    head[12:24] = b"prtrCMYKLab "
    tags = {b"wtpt": b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061), b"A2B0": table}
    entries, body = b"", b""
    for name, value in tags.items():
        entries += struct.pack(">4sII", name, 128 + 4 + 24 + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    head[:4] = struct.pack(">I", 128 + 4 + 24 + len(body))
    return bytes(head) + struct.pack(">I", 2) + entries + body


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.webp", "a.heic", "a.avif"])
def test_a_photo_with_a_profile_comes_in_srgb(tmp_path, name):
    if name.endswith("heic"):
        pytest.importorskip("pillow_heif").register_heif_opener()
    stored = read(save(tmp_path / f"bare_{name}", quality=95))
    with_profile = save(tmp_path / name, quality=95, icc_profile=P3)
    assert farthest(read(with_profile), in_srgb(stored, primaries.DISPLAY_P3, 2.2)) <= 1.5
    assert farthest(read(with_profile), stored) > 20 and read_header(with_profile).unusable_profile is None


def test_adobe_rgb_is_known_by_its_profile_and_by_exif_alone(tmp_path):
    expected = in_srgb(picture(), primaries.ADOBE_RGB, ADOBE_GAMMA)
    assert farthest(read(save(tmp_path / "a.png", icc_profile=adobe_rgb_profile())), expected) <= 1
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA001] = 0xFFFF
    exif.get_ifd(0x8769)[0xA005] = {1: "R03"}
    assert farthest(read(save(tmp_path / "b.png", exif=exif.tobytes())), expected) <= 1
    exif.get_ifd(0x8769)[0xA005] = {1: "R98"}
    assert (read(save(tmp_path / "c.png", exif=exif.tobytes())) == picture()).all()


def test_pixels_of_an_srgb_profile_are_left_as_they_are(tmp_path):
    content = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert (read(save(tmp_path / "a.png", icc_profile=content)) == picture()).all()
    grey = picture()[..., 0]
    assert (read(save(tmp_path / "b.png", grey, icc_profile=content)) == grey[..., None]).all()


@pytest.mark.parametrize("intent", [0, 1, 2, 3])
def test_all_intents_of_a_screens_profile_give_the_same_colours(tmp_path, intent):
    content = P3[:64] + struct.pack(">I", intent) + P3[68:]
    path = save(tmp_path / "a.png", icc_profile=content)
    assert farthest(read(path), in_srgb(picture(), primaries.DISPLAY_P3, 2.2)) <= 1


@pytest.mark.parametrize("gamma", [1.0, 1.8])
def test_grey_photos_follow_grey_profiles_and_those_of_colours(tmp_path, gamma):
    grey = np.arange(64 * 48, dtype=np.uint8).reshape(48, 64)
    expected = encoded((grey / 255) ** gamma)[..., None]
    assert farthest(read(save(tmp_path / "a.png", grey, icc_profile=grey_profile(gamma))), expected) <= 1
    of_colors = matrix_profile(primaries.DISPLAY_P3, gamma)
    assert farthest(read(save(tmp_path / "b.png", grey, icc_profile=of_colors)), expected) <= 1.5


def test_lab_pictures_without_a_profile_are_read(tmp_path):
    Image.new("LAB", (64, 48), (255, 128, 128)).save(tmp_path / "a.tif")
    assert read(tmp_path / "a.tif").min() >= 254


def test_inks_are_turned_by_their_profile_and_paper_is_white(tmp_path):
    inks = np.zeros((48, 64, 4), np.uint8)
    inks[:, 16:32, 0] = 255
    inks[:, 32:48, 3] = 255
    image = Image.fromarray(inks, "CMYK")
    image.save(tmp_path / "a.tif", icc_profile=ink_profile())
    rgb = read(tmp_path / "a.tif")
    lab = np.array([60.0, -30, -45])  # of cyan, relative to the white of D50 where profiles meet
    f = (lab[0] + 16) / 116 + np.array([lab[1] / 500, 0, -lab[2] / 200])
    d50 = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * [0.9642, 1, 0.8249]
    d65_from_d50 = np.array(
        [[0.9555766, -0.0230393, 0.0631636], [-0.0282895, 1.0099416, 0.0210077], [0.0122982, -0.0204830, 1.3299098]]
    )
    cyan = encoded(np.linalg.inv(primaries.xyz_from_rgb(primaries.SRGB)) @ d65_from_d50 @ d50)
    assert (rgb[:, :16] == 255).all() and (rgb[:, 32:48] == 0).all()
    assert farthest(rgb[:, 16:32], cyan) <= 3


def test_alpha_and_palettes_keep_their_profile(tmp_path):
    alpha = np.zeros((48, 64, 1), np.uint8)
    alpha[:, 32:] = 255
    rgb, mask = read_photo(Source(save(tmp_path / "a.png", np.dstack([picture(), alpha]), icc_profile=P3)))
    assert mask is not None and (mask == (alpha[..., 0] == 255)).all()
    assert farthest(rgb[:, 32:], in_srgb(picture(), primaries.DISPLAY_P3, 2.2)[:, 32:]) <= 1 and (rgb[:, :32] == 255).all()
    palette = Image.fromarray(picture()).convert("P")
    palette.save(tmp_path / "b.png", icc_profile=P3)
    expected = in_srgb(np.asarray(palette.convert("RGB")), primaries.DISPLAY_P3, 2.2)
    assert farthest(read(tmp_path / "b.png"), expected) <= 1


@pytest.mark.parametrize("channels", [3, 4])
def test_sixteen_bits_of_a_linear_profile_keep_their_shadows(tmp_path, channels):
    deep = np.linspace(0, 2000, 48 * 64 * channels).astype(np.uint16).reshape(48, 64, channels)
    if channels == 4:
        deep[..., 3] = 65535
    order = [2, 1, 0, 3][:channels]
    content = cv2.imencode(".png", np.ascontiguousarray(deep[..., order]))[1].tobytes()
    body = b"linear\0\0" + zlib.compress(matrix_profile(primaries.DISPLAY_P3, 1))
    chunk = struct.pack(">I", len(body)) + b"iCCP" + body + struct.pack(">I", zlib.crc32(b"iCCP" + body))
    (tmp_path / "a.png").write_bytes(content[:33] + chunk + content[33:])
    rgb = read(tmp_path / "a.png")
    assert farthest(rgb, in_srgb(deep[..., :3], primaries.DISPLAY_P3, 1, 65535)) <= 3
    assert len(np.unique(rgb)) > 40  # of 8 bits, eight codes would be left


BROKEN = {
    "noise": np.random.default_rng(0).integers(0, 256, 500, dtype=np.uint8).tobytes(),
    "cut": P3[:200],
    "of inks": ink_profile(),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_profile_that_cannot_be_used_is_told_and_the_colours_stay(tmp_path, kind):
    bad = save(tmp_path / "a.png", icc_profile=BROKEN[kind])
    save(tmp_path / "b.png", picture(seed=1), icc_profile=P3)
    assert (read(bad) == picture()).all()
    progress = Progress()
    assert len(load_views(detect([tmp_path]), progress=progress).views) == 2
    assert len(progress.notes) == 1 and progress.notes[0].startswith(f"{bad}: its colour profile cannot be used (")


def test_profiles_with_damage_anywhere_never_refuse_a_photo(tmp_path):
    rng = np.random.default_rng(0)
    for _ in range(60):
        content = bytearray(P3)
        for at in rng.integers(0, len(P3), 8):
            content[at] = rng.integers(0, 256)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            path = save(tmp_path / "a.png", icc_profile=bytes(content))
        assert read(path).shape == (48, 64, 3)


def test_masks_are_read_as_they_are_stored(tmp_path):
    grey = np.tile(np.arange(100, 164, dtype=np.uint8), (48, 1))
    mask = save(tmp_path / "m.png", grey, icc_profile=grey_profile(1.0))
    assert (read_mask(mask, False) == (grey >= 128)).all()


def test_pictures_of_ours_say_that_they_are_srgb(tmp_path):
    for name in ("a.png", "a.jpg"):
        write_picture(tmp_path / name, picture())
    with Image.open(tmp_path / "a.png") as image:
        assert image.info["srgb"] == 1
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.getexif().get_ifd(0x8769)[0xA001] == 1
