"""Pictures around a scene, made by `recon3d run PHOTOS --out SCENE/`: python examples/render_orbit.py SCENE/ ORBIT/ [COUNT]"""

import math
import sys
from pathlib import Path

import torch
from PIL import Image

import recon3d
from recon3d.core.cameras import Cameras
from recon3d.core.synthetic import look_at


def orbit(cameras: Cameras, target: torch.Tensor, count: int) -> Cameras:
    """`count` cameras on a level circle (up is -y) around `target`, as far and as high as the first of `cameras`."""
    away = cameras.centers_in_world[0] - target
    radius, start = math.hypot(away[0], away[2]), math.atan2(away[2], away[0])
    angles = torch.linspace(0, 2 * math.pi, count + 1)[:-1].double() + start
    centers = target + torch.stack([radius * angles.cos(), away[1].expand(count), radius * angles.sin()], -1)
    poses = torch.stack([look_at(center, target) for center in centers])
    first = cameras[[0] * count]
    return Cameras(poses, first.K, first.sizes, first.camera_index)


def main(folder: str, out: str, count: str = "24") -> None:
    scene = recon3d.load_scene(folder)
    assert scene.geometry is not None
    target = scene.geometry.points.median(0).values
    Path(out).mkdir(parents=True, exist_ok=True)
    for i, rgb in enumerate(recon3d.render(scene, orbit(scene.geometry.cameras, target, int(count))).rgb):
        pixels = (rgb.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(Path(out) / f"{i:03d}.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
