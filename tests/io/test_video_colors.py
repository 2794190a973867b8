"""Colours of videos: clips that PyAV encodes from known pictures, with every tag that cameras write."""

from pathlib import Path

import av
import numpy as np
import pytest

from recon3d.io.detect import detect
from recon3d.io.film import write_film
from recon3d.io.load import load_views
from recon3d.io.video import choose_frames, read_frame
from recon3d.io.video_colors import KNEE, PEAK, WHITE, bt709_from, encoded, light_of, rolled_off, sdr
from recon3d.progress import Progress
from tests.io.input_files import picture

BT709, UNSPECIFIED, BT470BG, SMPTE170M, SMPTE240M, BT2020 = 1, 2, 5, 6, 7, 9
LIMITED, FULL = 1, 2
PQ, HLG, SRGB = 16, 18, 13


def write_clip(path: Path, pixels: np.ndarray, matrix: int, range_: int, *, tagged: int | None = None, **tags) -> Path:
    """Three frames of H.264 of rgb uint8 or uint16 in yuv of `matrix` and `range_`; of `tags`, `pix_fmt` and `codec`."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(tags.get("codec", "libx264"), rate=10)
        stream.height, stream.width = pixels.shape[:2]
        stream.pix_fmt = tags.get("pix_fmt", "yuv420p")
        stream.options = {"crf": "10"}
        context = stream.codec_context
        context.colorspace, context.color_range = matrix if tagged is None else tagged, range_
        context.color_trc, context.color_primaries = tags.get("transfer", UNSPECIFIED), tags.get("primaries", UNSPECIFIED)
        rgb = av.VideoFrame.from_ndarray(pixels, format="rgb24" if pixels.dtype == np.uint8 else "rgb48le")
        # swscale's number of BT.601 is 5, and 6 is the same matrix
        to = 5 if matrix == SMPTE170M else matrix
        for _ in range(3):
            for packet in stream.encode(rgb.reformat(format=stream.pix_fmt, dst_colorspace=to, dst_color_range=range_)):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def first_frame(path: Path) -> np.ndarray:
    return read_frame(path, choose_frames(path, 1).frames[0])


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


def hdr_signal(pixels: np.ndarray, transfer: int) -> np.ndarray:
    """sRGB uint8 as HLG or PQ in BT.2020, uint16, SDR white at 203 cd/m2: BT.2100's forward functions in float64."""
    code = pixels / 255
    light = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
    light = light @ np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]).T  # BT.2087
    light = light.clip(0, None) * 203
    if transfer == PQ:
        y = (light / 10000) ** (2610 / 16384)
        signal = ((3424 / 4096 + 2413 / 128 * y) / (1 + 2392 / 128 * y)) ** (2523 / 32)
    else:
        display = light / 1000
        luminance = np.maximum(display @ [0.2627, 0.6780, 0.0593], 1e-9)[..., None]
        scene = display * luminance ** ((1 - 1.2) / 1.2)
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        signal = np.where(scene <= 1 / 12, np.sqrt(3 * scene), a * np.log(np.maximum(12 * scene - b, 1e-9)) + c)
    return np.rint(signal.clip(0, 1) * 65535).astype(np.uint16)


@pytest.mark.parametrize("range_", [LIMITED, FULL])
@pytest.mark.parametrize("matrix", [BT709, BT470BG, SMPTE170M, SMPTE240M, BT2020])
def test_matrix_and_range_are_those_of_the_tags(tmp_path, matrix, range_):
    pixels = picture(96, 128, 3)
    assert psnr(first_frame(write_clip(tmp_path / "a.mp4", pixels, matrix, range_)), pixels) >= 35


@pytest.mark.parametrize(
    ("height", "width", "matrix"), [(96, 128, SMPTE170M), (720, 64, BT709), (64, 1280, BT709)]
)
def test_an_untagged_video_is_bt601_when_small_and_bt709_when_large(tmp_path, height, width, matrix):
    pixels = picture(height, width, 3)
    assert psnr(first_frame(write_clip(tmp_path / "a.mp4", pixels, matrix, LIMITED, tagged=UNSPECIFIED)), pixels) >= 35


@pytest.mark.parametrize(("height", "width"), [(96, 128), (720, 64)])
def test_a_film_of_ours_comes_back_whatever_its_size(tmp_path, height, width):
    pixels = picture(height, width, 3)
    write_film(tmp_path / "a.mp4", [pixels] * 3, 10)
    assert psnr(first_frame(tmp_path / "a.mp4"), pixels) >= 35


@pytest.mark.parametrize(("codec", "suffix"), [("libx264", ".mp4"), ("libx265", ".mov"), ("libx265", ".mkv")])
@pytest.mark.parametrize("transfer", [HLG, PQ])
def test_hdr_of_an_sdr_picture_comes_back_as_that_picture(tmp_path, transfer, codec, suffix):
    pixels = (picture(96, 128, 3) * 0.7 + 30).astype(np.uint8)
    path = write_clip(
        tmp_path / f"a{suffix}", hdr_signal(pixels, transfer), BT2020, LIMITED,
        pix_fmt="yuv420p10le", transfer=transfer, primaries=BT2020, codec=codec,
    )  # fmt: skip
    assert psnr(first_frame(path), pixels) >= 35


@pytest.mark.parametrize("transfer", [HLG, PQ])
def test_every_sdr_colour_comes_back_to_a_code_below_the_knee_and_to_three_above(transfer):
    pixels = np.random.default_rng(0).integers(0, 256, (300, 50, 3), dtype=np.uint8)
    pixels[:, 0] = (np.arange(300) % 256)[:, None]
    back = sdr(hdr_signal(pixels, transfer), "PQ" if transfer == PQ else "HLG", BT2020)
    apart = np.abs(back.astype(int) - pixels).max(-1)
    assert apart[pixels.max(-1) < 249].max() <= 1 and apart.max() <= 3


def test_wide_colours_of_an_sdr_video_are_brought_to_bt709(tmp_path):
    pixels = picture(96, 128, 3)
    light = light_of(None)[pixels.astype(np.uint16) * 257] @ np.linalg.inv(bt709_from(BT2020)).T
    wide = encoded()[(light.clip(0, 1) * 65535).astype(np.uint16)]
    assert psnr(wide, pixels) < 30
    path = write_clip(tmp_path / "a.mp4", wide, BT2020, LIMITED, transfer=14, primaries=BT2020)
    assert psnr(first_frame(path), pixels) >= 35


def test_reference_white_is_white_and_highlights_roll_off_smoothly():
    assert light_of("PQ")[round(0.5807 * 65535)] == pytest.approx(1, rel=2e-3)
    assert light_of("HLG")[round(0.75 * 65535)] ** 1.2 * PEAK / WHITE == pytest.approx(1, rel=2e-3)
    light = np.linspace(0, 6, 60001)
    shown = rolled_off(light)
    assert (shown[light <= KNEE] == light[light <= KNEE]).all() and shown.max() == 1
    assert (np.diff(shown[light < PEAK / WHITE]) > 0).all()
    assert np.abs(np.diff(shown, 2)).max() < 1e-6  # no kink at the knee
    white = encoded()[round(float(rolled_off(np.array([1.0]))[0]) * 65535)]
    assert 252 <= white <= 255


def test_an_hdr_video_is_told_in_a_note(tmp_path):
    pixels = hdr_signal(picture(48, 64), HLG)
    path = write_clip(tmp_path / "a.mp4", pixels, BT2020, LIMITED, pix_fmt="yuv420p10le", transfer=HLG, primaries=BT2020)
    progress = Progress()
    load_views(detect([path]), max_images=1, progress=progress)
    assert len(progress.notes) == 1 and progress.notes[0].startswith(f"{path}: an HDR video (HLG)")
