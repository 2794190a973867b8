"""Pictures along an arc around a scene of `recon3d run PHOTOS --out SCENE/`:

    python examples/render_orbit.py SCENE/ ORBIT/ [COUNT]
"""

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import recon3d
from recon3d.core.cameras import Cameras
from recon3d.core.synthetic import look_at


def looked_at(cameras: Cameras) -> torch.Tensor:
    """The point [3] nearest to the optical axes of all cameras, by least squares."""
    forward = cameras.camera_from_world[:, 2, :3]
    off_axis = torch.eye(3, dtype=torch.float64) - forward[:, :, None] * forward[:, None, :]
    return torch.linalg.solve(off_axis.sum(0), (off_axis @ cameras.centers_in_world[:, :, None]).sum(0))[:, 0]


def orbit(cameras: Cameras, target: torch.Tensor, count: int) -> Cameras:
    """`count` cameras on a level arc (up is -y) around `target`, from the side of the first of `cameras` to the last's."""
    away = cameras.centers_in_world - target
    angles = np.unwrap(torch.atan2(away[:, 2], away[:, 0]).numpy())
    radius, height = torch.hypot(away[:, 0], away[:, 2]).mean(), away[:, 1].mean()
    turn = torch.linspace(angles[0], angles[-1], count, dtype=torch.float64)
    centers = target + torch.stack([radius * turn.cos(), height.expand(count), radius * turn.sin()], -1)
    poses = torch.stack([look_at(center, target) for center in centers])
    first = cameras[[0] * count]
    return Cameras(poses, first.K, first.sizes, first.camera_index)


def main(folder: str, out: str, count: str = "24") -> None:
    scene = recon3d.load_scene(folder)
    assert scene.geometry is not None
    cameras = scene.geometry.cameras
    Path(out).mkdir(parents=True, exist_ok=True)
    for i, rgb in enumerate(recon3d.render(scene, orbit(cameras, looked_at(cameras), int(count))).rgb):
        pixels = (rgb.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(Path(out) / f"{i:03d}.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
