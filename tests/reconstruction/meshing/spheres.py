"""A ball of radius 1 about the origin: as splats, and as the exact depth that cameras all round it see."""

import math

import numpy as np
import torch

from recon3d.core.cameras import Cameras
from recon3d.core.gaussians import Gaussians
from recon3d.core.harmonics import C0
from recon3d.core.synthetic import look_at
from recon3d.reconstruction.meshing.seen import SeenView, facing

RED, BLUE = (0.8, 0.1, 0.1), (0.1, 0.1, 0.8)  # of x > 0, and of the rest


def directions(count: int) -> torch.Tensor:
    """Unit vectors of even density (a spiral), float64."""
    i = torch.arange(count, dtype=torch.float64)
    height, turn = 1 - (2 * i + 1) / count, i * math.pi * (3 - 5**0.5)
    flat = (1 - height**2).sqrt()
    return torch.stack([flat * turn.cos(), height, flat * turn.sin()], -1)


def cameras_all_round(count: int = 24, distance: float = 4.0, size: int = 160) -> Cameras:
    K = torch.tensor([[1.7 * size, 0, size / 2], [0, 1.7 * size, size / 2], [0, 0, 1]], dtype=torch.float64)
    poses = torch.stack([look_at(distance * d, torch.zeros(3)) for d in directions(count)])
    return Cameras(poses, K.repeat(count, 1, 1), torch.full((count, 2), size), torch.zeros(count, dtype=torch.int64))


def ball_of_splats(count: int = 3000) -> Gaussians:
    means = directions(count)
    colors = torch.where(means[:, :1] > 0, torch.tensor(RED), torch.tensor(BLUE))
    spacing = math.sqrt(4 * math.pi / count)
    return Gaussians(
        means.float(), torch.tensor([1.0, 0, 0, 0]).repeat(count, 1), torch.full((count, 3), 0.45 * spacing),
        torch.full((count,), 0.95), ((colors - 0.5) / C0)[:, None].float(),
    )  # fmt: skip


def exact_view(cameras: Cameras, i: int, radius: float = 1.0, center: tuple[float, float, float] = (0, 0, 0)) -> SeenView:
    """Depth of a ball by solving |origin + t ray - center| = radius."""
    rays = cameras.rays(i).numpy()
    pose, K = cameras.camera_from_world[i].numpy(), cameras.K[i].numpy()
    middle = pose[:3, :3] @ np.array(center, np.float64) + pose[:3, 3]
    a, b = (rays**2).sum(-1), rays @ middle
    inside = b**2 - a * (middle @ middle - radius**2)
    depth = np.where(inside > 0, (b - np.sqrt(np.maximum(inside, 0))) / a, 0).astype(np.float32)
    lens = np.array([K[0, 0], K[1, 1], K[0, 2], K[1, 2]])
    rgb = np.broadcast_to(np.float32(0.5), (3, *depth.shape))
    return SeenView(rgb, depth, np.zeros_like(depth), facing(depth, lens), pose, lens)
