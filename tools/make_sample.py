"""Renders datasets/sample: a still life on a table, photographed along an arc, with the cameras that took it.

    python -m tools.make_sample [FOLDER]

`recon3d synth` draws its scenes from seeds, for networks to learn from; this one was laid out by hand, so that structure from
motion finds every view and people see what they look at. Hence a ray caster of its own, with textures that those scenes lack.
Everything in it is made here, from formulas, so the pictures are free to ship. One view of 640 x 480 takes some 40 s.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from PIL import Image

from recon3d.core.cameras import Cameras
from recon3d.core.synthetic import look_at
from recon3d.io.cameras_json import write_cameras
from tools.raycaster import Light, Solid, photograph
from tools.textures import by_face, colours, landscape, patchwork, planks, plaster, speckled, veined

VIEWS, WIDTH, HEIGHT = 10, 640, 480
FOCAL_35MM = 32  # the focal length that EXIF tells, in mm of a 36 mm wide film
FOCAL = FOCAL_35MM / 36 * WIDTH
ARC = 90.0  # degrees from the first camera to the last
DISTANCE = 1.15  # metres from the middle of the table, along the floor
TARGET = (0.0, -0.1, 0.0)
SAMPLES = 3  # a pixel is the mean of 3 x 3 rays
JPEG_QUALITY = 92

CLOTH = colours("#c8553d", "#f28f3b", "#f4e3c1", "#2d728f", "#3b8ea5", "#f5ee9e", "#49306b", "#5a7d4f")
WOOD = colours("#5d3a1f", "#9a6a3c", "#c79a63")
SOLIDS = (
    Solid("room", (0, -0.55, -0.1), (2.1, 1.35, 2.0), by_face(
        planks(colours("#4a3423", "#7c5a3c", "#a88058"), 0.12, 0.9, 40),
        plaster(colours("#8d8a72", "#c9b892", "#e6d9bd"), 50))),
    Solid("box", (0, 0.03, 0), (0.8, 0.03, 0.6), planks(WOOD, 0.11, 0.7, 10)),
    *(Solid("box", (x, 0.43, z), (0.035, 0.37, 0.035), planks(WOOD, 0.035, 0.4, 11))
      for x in (-0.72, 0.72) for z in (-0.52, 0.52)),
    Solid("box", (0.02, -0.002, -0.02), (0.5, 0.002, 0.36), patchwork(CLOTH, 0.075, 20), turn=12),
    Solid("box", (-0.24, -0.026, 0.08), (0.15, 0.022, 0.11), patchwork(
        colours("#22333b", "#5e503f", "#c6ac8f", "#eae0d5", "#a4243b"), 0.05, 60), turn=25),
    Solid("box", (-0.25, -0.066, 0.085), (0.12, 0.018, 0.09), patchwork(
        colours("#1d7874", "#679289", "#f4c095", "#ee2e31"), 0.045, 61), turn=-10),
    Solid("ball", (-0.25, -0.164, 0.085), (0.08, 0.08, 0.08), veined(
        colours("#14213d", "#4f6d9c", "#e5e5e5", "#fca311"), 14, 62), gloss=0.25),
    Solid("drum", (0.08, -0.124, 0.16), (0.085, 0.12, 0.085), by_face(
        veined(colours("#3d2b1f", "#8a5a35"), 40, 64),
        patchwork(colours("#0b3954", "#bfd7ea", "#ff6663", "#fefae0"), 0.04, 63, polar=True)), gloss=0.1),
    Solid("ball", (0.29, -0.094, 0.0), (0.1, 0.09, 0.1), speckled(
        colours("#c1121f", "#e85d4a"), colours("#fdf0d5", "#669bbc", "#ffd166"), 0.036, 65), gloss=0.2),
    Solid("ring", (0.07, -0.039, -0.15), (0.12, 0.035, 0.12), speckled(
        colours("#b5651d", "#d99a5b"), colours("#ffc8dd", "#6a4c93", "#8ac926", "#fffcf2"), 0.022, 66)),
    Solid("box", (-0.17, -0.042, -0.17), (0.038, 0.038, 0.038), patchwork(
        colours("#ffb703", "#fb8500", "#023047", "#8ecae6"), 0.025, 67), turn=35),
    Solid("box", (-0.38, -0.054, -0.16), (0.05, 0.05, 0.05), speckled(
        colours("#386641", "#6a994e"), colours("#f2e8cf", "#bc4749"), 0.03, 68), turn=10),
    Solid("box", (-0.35, -0.62, 1.87), (0.55, 0.36, 0.03), landscape(70)),
    Solid("box", (0.95, -0.6, 1.87), (0.36, 0.46, 0.03), patchwork(
        colours("#264653", "#2a9d8f", "#e9c46a", "#f4a261", "#e76f51"), 0.13, 71)),
    Solid("box", (-1.9, -0.1, 1.1), (0.18, 0.9, 0.5), patchwork(
        colours("#6b4226", "#a9714b", "#d9ae94", "#42535e", "#b23a48"), 0.14, 72)),
)  # fmt: skip
LIGHT = Light((-0.9, -1.75, -0.7), (0.35, 0, 0.1), (-0.1, 0, 0.35), (2.6, 2.45, 2.2), (0.4, 0.42, 0.46))


def cameras() -> Cameras:
    """The views' cameras at heights of 0.45 to 0.65 m over the table, turned to its middle; one physical camera."""
    angles = torch.deg2rad(torch.linspace(-ARC / 2, ARC / 2, VIEWS, dtype=torch.float64))
    heights = -0.55 - 0.1 * torch.sin(5.2 * angles)
    centers = torch.stack([DISTANCE * angles.sin(), heights, -DISTANCE * angles.cos()], -1)
    target = torch.tensor(TARGET, dtype=torch.float64)
    K = torch.tensor([[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1]], dtype=torch.float64)
    return Cameras(
        torch.stack([look_at(center, target) for center in centers]), K.repeat(VIEWS, 1, 1),
        torch.tensor([[HEIGHT, WIDTH]]).repeat(VIEWS, 1), torch.zeros(VIEWS, dtype=torch.int64),
    )  # fmt: skip


def exif() -> Image.Exif:
    """What a camera would have written: its name, so that the photos share a lens, and the focal length."""
    tags = Image.Exif()
    tags[0x010F], tags[0x0110] = "recon3d", "make_sample"  # Make, Model
    tags.get_ifd(0x8769)[0xA405] = FOCAL_35MM  # FocalLengthIn35mmFilm
    return tags


def main(folder: Path) -> None:
    """Write images/ and cameras.json into `folder`."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    views = cameras()
    names = [f"{i:02d}.jpg" for i in range(VIEWS)]
    for name, camera_from_world, K in zip(names, views.camera_from_world.numpy(), views.K.numpy(), strict=True):
        picture = photograph(SOLIDS, LIGHT, camera_from_world, K, WIDTH, HEIGHT, SAMPLES)
        Image.fromarray(picture).save(folder / "images" / name, quality=JPEG_QUALITY, exif=exif())
        print(f"{folder / 'images' / name}", flush=True)
    write_cameras(folder / "cameras.json", names, views, unit="metres", source="ground-truth")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "datasets" / "sample")
