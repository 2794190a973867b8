"""What the simple test calls sky: a blue or overexposed region that reaches the top and is far, and no wall."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from recon3d.reconstruction.sky import may_be_sky, sky_of
from tests.shared_folder import shared

HEIGHT, WIDTH, HORIZON = 96, 128, 40
BLUE, WHITE, PLASTER, SHADE, BRICK = (80, 140, 220), (253, 253, 254), (225, 225, 220), (150, 165, 205), (150, 80, 60)


def picture(top: tuple[int, int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Earth of coarse texture that comes nearer from the horizon down, and above it one colour, farther than all of it."""
    random = np.random.default_rng(0)
    rgb = np.repeat(np.repeat(random.integers(60, 200, (HEIGHT // 4, WIDTH // 4, 3), np.uint8), 4, 0), 4, 1)
    rgb[..., 2] //= 2
    rgb[:HORIZON] = top
    depth = np.tile(np.linspace(60, 2, HEIGHT)[:, None], (1, WIDTH)).astype(np.float32)
    depth[:HORIZON] = 100
    return torch.from_numpy(rgb).permute(2, 0, 1).contiguous(), torch.from_numpy(depth)


@pytest.mark.parametrize("top", [BLUE, WHITE])
def test_a_clear_and_an_overexposed_sky_are_found_to_their_border(top):
    image, depth = picture(top)
    sky = sky_of(image, depth)
    assert sky[: HORIZON - 2].all() and not sky[HORIZON + 2 :].any()


def test_clouds_in_a_blue_sky_are_sky_too():
    image, depth = picture(BLUE)
    pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
    cv2.ellipse(pixels, (60, 18), (30, 10), 0, 0, 360, (235, 238, 245), -1)
    soft = torch.from_numpy(cv2.GaussianBlur(pixels, (0, 0), 4)).permute(2, 0, 1)
    assert sky_of(soft, depth)[5 : HORIZON - 14].double().mean() > 0.97


@pytest.mark.parametrize("top", [PLASTER, SHADE, BRICK])
def test_walls_are_no_sky_though_they_are_smooth_far_and_reach_the_top(top):
    assert not sky_of(*picture(top)).any()


def test_a_blue_thing_is_no_sky_before_what_is_farther_nor_below_the_top():
    image, depth = picture(BLUE)
    near = depth.clone()
    near[:HORIZON] = 1
    assert not sky_of(image, near).any()
    image[:, :2] = 90  # a dark beam along the whole upper border
    assert not sky_of(image, depth).any()


@pytest.mark.parametrize(("top", "found"), [(BLUE, True), (WHITE, True), (PLASTER, True), (SHADE, True), (BRICK, False)])
def test_all_that_could_be_sky_by_its_colour_may_be_and_nothing_below_the_top(top, found):
    image, _ = picture(top)
    maybe = may_be_sky(image / 255)
    assert bool(maybe[: HORIZON - 2].all()) == found and not maybe[HORIZON + 2 :].any()
    image[:, :2] = 90
    assert not may_be_sky(image / 255).any()


@pytest.mark.parametrize(("scene", "least", "most"), [("lund", 0.1, 0.4), ("room", 0, 0), ("kitchen", 0, 0), ("banana", 0, 0)])
def test_photos_of_a_lane_have_sky_and_those_of_rooms_have_none(scene, least, most):
    """With a depth that grows upwards, as that of most photos does: colours alone must tell walls from sky."""
    for file in sorted(shared(f"data/{scene}/images").glob("*.jpg"))[::4]:
        with Image.open(file) as photo:
            small = np.asarray(photo.convert("RGB").resize((384, 288)))
        depth = torch.linspace(10, 1, 288)[:, None].expand(288, 384)
        share = float(sky_of(torch.from_numpy(small.copy()).permute(2, 0, 1), depth).double().mean())
        assert least <= share <= most, f"{file.name}: {share:.3f}"
