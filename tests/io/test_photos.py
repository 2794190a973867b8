"""Photos: every row of the shared table of files to survive, with Pillow and the uncompressed picture as oracles."""

import io
import pickle
import re
import tracemalloc
import warnings

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from recon3d.errors import InputError
from recon3d.io.photos import (
    PIXEL_LIMIT,
    Source,
    over_white,
    read_header,
    read_mask,
    read_photo,
    resize_mask,
    upright,
)  # fmt: skip
from tests.io.input_files import picture, save, save_with_exif
from tests.shared_folder import shared

REFUSED = {
    "text.jpg": "not an image",
    "empty.jpg": "empty file",
    "truncated.jpg": "truncated",
    "one_pixel.png": "too small: 1x1",
    "bomb_header.png": "too large: 400 million pixels",
    "bomb_full.png": "too large: 400 million pixels",
}


def reference() -> np.ndarray:
    return np.asarray(Image.open(shared("data/bad/upright.png")).convert("RGB"))


def difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(float) - b).mean())


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_file_is_refused_with_its_name_and_reason(name):
    path = shared(f"data/bad/{name}")
    with pytest.raises(InputError, match=f"^{re.escape(str(path))}: {REFUSED[name]}"):
        read_photo(Source(path))


@pytest.mark.parametrize("name", ["text.jpg", "empty.jpg", "one_pixel.png", "bomb_header.png", "bomb_full.png"])
def test_what_the_header_tells_is_refused_before_pixels_are_decoded(name):
    path = shared(f"data/bad/{name}")
    tracemalloc.start()
    with pytest.raises(InputError):
        read_header(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5e6


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_upright(orientation):
    path = shared(f"data/bad/orientation_{orientation}.jpg")
    rgb, mask = read_photo(Source(path))
    header = read_header(path)
    assert mask is None and rgb.shape == (48, 64, 3) == (*header.size, 3)
    assert header.stored_size == ((64, 48) if orientation >= 5 else (48, 64))
    assert difference(rgb, reference()) < 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_upright_pixels_are_those_of_pillow(orientation):
    stored = picture(5, 7)
    image = Image.fromarray(stored)
    image.getexif()[0x0112] = orientation
    assert (upright(stored, orientation) == np.asarray(ImageOps.exif_transpose(image))).all()


def test_a_photo_read_as_stored_passes_over_its_orientation():
    path = shared("data/bad/orientation_6.jpg")
    rgb, _ = read_photo(Source(path, as_stored=True))
    assert (rgb == np.asarray(Image.open(path))).all()


def test_cmyk_is_converted_and_not_inverted():
    rgb, mask = read_photo(Source(shared("data/bad/cmyk.jpg")))
    assert mask is None and difference(rgb, reference()) < 2


def test_grey_gets_three_equal_channels():
    rgb, _ = read_photo(Source(shared("data/bad/grey.jpg")))
    assert rgb.shape == (48, 64, 3) and (rgb == rgb[..., :1]).all() and rgb.std() > 10


def test_sixteen_bits_are_scaled_and_not_clipped():
    rgb, _ = read_photo(Source(shared("data/bad/rgb16.png")))
    assert (rgb == reference()).all()
    grey, _ = read_photo(Source(shared("data/bad/grey16.png")))
    stored = np.asarray(Image.open(shared("data/bad/grey16.png"))).astype(int)
    assert (grey[..., 0].astype(int) * 257 == stored).all() and (grey == grey[..., :1]).all()


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_of_any_layout_read_like_eight(tmp_path, suffix, channels):
    eight = np.dstack([picture(), np.full((48, 64, 1), 255, np.uint8)])[..., :channels]
    order = [2, 1, 0, 3][:channels] if channels > 1 else [0]
    encoded = cv2.imencode(suffix, eight[..., order].astype(np.uint16) * 257)[1]
    (tmp_path / f"a{suffix}").write_bytes(encoded.tobytes())
    rgb, mask = read_photo(Source(tmp_path / f"a{suffix}"))
    assert mask is None and (rgb == (eight[..., :3] if channels > 1 else eight)).all()


def test_alpha_is_laid_over_white_and_masks_what_is_less_than_half_there():
    rgb, mask = read_photo(Source(shared("data/bad/rgba.png")))
    expected = reference().astype(float)
    assert (rgb[:, :16] == 255).all()
    half = expected[:, 16:32] * 128 / 255 + 255 * 127 / 255
    assert np.abs(rgb[:, 16:32] - half).max() <= 1
    assert (rgb[:, 32:] == reference()[:, 32:]).all()
    assert mask is not None and not mask[:, :16].any() and mask[:, 16:].all()


def test_laying_over_white_is_exact_for_every_alpha():
    rgba = np.stack(np.meshgrid(np.arange(256), np.arange(256)), -1)[..., [0, 0, 0, 1]].astype(np.uint8)
    rgb, mask = over_white(rgba)
    exact = rgba[..., 0] * (rgba[..., 3] / 255) + 255 - rgba[..., 3]
    assert np.abs(rgb[..., 0] - exact).max() <= 0.5 + 1e-9
    assert (mask == (rgba[..., 3] >= 128)).all()


def test_an_opaque_alpha_channel_masks_nothing(tmp_path):
    rgba = np.dstack([picture(), np.full((48, 64), 255, np.uint8)])
    assert read_photo(Source(save(tmp_path / "a.png", rgba)))[1] is None


def test_palette_and_transparent_palette_pictures_are_read(tmp_path):
    image = Image.fromarray(picture()).quantize(16)
    image.save(tmp_path / "a.png")
    image.save(tmp_path / "b.png", transparency=3)
    rgb, mask = read_photo(Source(tmp_path / "a.png"))
    assert mask is None and (rgb == np.asarray(image.convert("RGB"))).all()
    _, mask = read_photo(Source(tmp_path / "b.png"))
    assert mask is not None and (mask == (np.asarray(image) != 3)).all()


def test_black_photos_decode():
    assert read_photo(Source(shared("data/bad/black.jpg")))[0].max() < 3


def test_paths_may_hold_any_letters(tmp_path):
    path = save(tmp_path / "Ärger 写真 🌍" / "é – ß.png")
    assert (read_photo(Source(path))[0] == picture()).all()
    deep = cv2.imencode(".png", picture()[..., ::-1].astype(np.uint16) * 257)[1]
    path.write_bytes(deep.tobytes())
    assert (read_photo(Source(path))[0] == picture()).all()


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tiff", ".bmp"])
def test_a_file_cut_anywhere_is_refused_by_name(tmp_path, suffix):
    whole = io.BytesIO()
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(whole, Image.registered_extensions()[suffix])
    path = tmp_path / f"a{suffix}"
    for part in (0.02, 0.3, 0.6, 0.9):
        path.write_bytes(whole.getvalue()[: int(len(whole.getvalue()) * part)])
        with pytest.raises(InputError, match=re.escape(str(path))):
            read_photo(Source(path))


def test_random_changes_of_a_photo_either_read_or_are_refused(tmp_path):
    whole = save_with_exif(tmp_path / "whole.jpg", {271: "Maker", 274: 6}, {41989: 35, 37386: 4.2}).read_bytes()
    rng = np.random.default_rng(0)
    path = tmp_path / "a.jpg"
    for _ in range(150):
        changed = bytearray(whole)
        for at in rng.integers(0, len(whole), 8):
            changed[at] = rng.integers(0, 256)
        path.write_bytes(changed)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            where = str(path)
            try:
                assert read_photo(Source(path))[0].dtype == np.uint8
            except InputError as error:
                where = error.where
        assert where == str(path)


def test_a_large_photo_below_the_limit_opens_without_a_warning(tmp_path):
    side = 10_000
    Image.new("1", (side, side)).save(tmp_path / "a.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_header(tmp_path / "a.png").size == (side, side)
    assert side * side < PIXEL_LIMIT < 400e6


def test_heic_photos_are_read_upright(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    heif.from_pillow(Image.fromarray(picture(64, 96))).save(tmp_path / "a.heic", quality=95)
    rgb, mask = read_photo(Source(tmp_path / "a.heic"))
    assert mask is None and rgb.shape == (64, 96, 3) and difference(rgb, picture(64, 96)) < 4


def test_a_folder_and_a_missing_file_are_refused_by_name(tmp_path):
    for path in (tmp_path, tmp_path / "no.jpg"):
        with pytest.raises(InputError, match=f"^{re.escape(str(path))}: cannot be opened"):
            read_photo(Source(path))


def test_white_of_a_mask_is_used_and_inverting_swaps_it(tmp_path):
    white = np.zeros((48, 64), np.uint8)
    white[:, 40:] = 255
    photo, mask = save(tmp_path / "a.png"), save(tmp_path / "m.png", white)
    assert (read_mask(mask, False) == (white == 255)).all()
    assert (read_photo(Source(photo, mask=mask))[1] == (white == 255)).all()
    assert (read_photo(Source(photo, mask=mask, invert_mask=True))[1] == (white == 0)).all()


def test_a_mask_file_and_an_alpha_channel_both_hold(tmp_path):
    alpha, white = np.full((48, 64, 1), 255, np.uint8), np.zeros((48, 64), np.uint8)
    alpha[:10], white[:, 40:] = 0, 255
    photo, mask = save(tmp_path / "a.png", np.dstack([picture(), alpha])), save(tmp_path / "m.png", white)
    usable = read_photo(Source(photo, mask=mask))[1]
    assert usable is not None and (usable == ((white == 255) & (alpha[..., 0] == 255))).all()


def test_masks_of_one_bit_palette_and_sixteen_bits_say_the_same(tmp_path):
    white = np.zeros((48, 64), bool)
    white[:, 40:] = True
    Image.fromarray(white).save(tmp_path / "one.png")
    Image.fromarray(white).convert("P").save(tmp_path / "palette.png")
    Image.fromarray(white.astype(np.uint16) * 65535).save(tmp_path / "deep.png")
    for name in ("one.png", "palette.png", "deep.png"):
        assert (read_mask(tmp_path / name, False) == white).all(), name


def test_a_mask_of_another_size_is_refused_with_both_sizes(tmp_path):
    photo, mask = save(tmp_path / "a.png"), save(tmp_path / "m.png", np.zeros((20, 30), np.uint8))
    with pytest.raises(InputError, match=r"m\.png: the mask is 30x20, but a\.png is 64x48"):
        read_photo(Source(photo, mask=mask))


def test_a_resized_mask_keeps_what_is_at_least_half_there():
    mask = np.zeros((4, 8), bool)
    mask[:, 2:] = True
    mask[2:, 4:] = False
    assert resize_mask(mask, (2, 2)).tolist() == [[True, True], [True, False]]


def test_a_source_can_be_pickled(tmp_path):
    source = Source(tmp_path / "a.png", mask=tmp_path / "m.png", invert_mask=True)
    assert pickle.loads(pickle.dumps(source)) == source
