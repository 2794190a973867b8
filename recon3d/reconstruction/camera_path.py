"""A smooth flight through cameras."""

from __future__ import annotations

import torch

from recon3d.core.cameras import Cameras, fitted_size, resize_map
from recon3d.core.rotations import matrices_from_quats, quats_from_matrices


def fly_through(cameras: Cameras, frames: int, longest: int) -> Cameras:
    """`frames` cameras along a closed-end path that passes through all of `cameras` in their order, at even speed.

    Centres and quaternions follow Catmull-Rom splines (quaternions normalised afterwards); the lens is the first one's,
    its picture at most `longest` pixels, with even sides, as video codecs want. Needs two cameras.
    """
    if len(cameras) < 2:
        raise ValueError("a path needs two cameras or more")
    quats = quats_from_matrices(cameras.world_from_camera[:, :3, :3])
    for i in range(1, len(quats)):  # the nearer of the two quaternions of one rotation
        if quats[i] @ quats[i - 1] < 0:
            quats[i] = -quats[i]
    knots = torch.cat([cameras.centers_in_world, quats], 1)
    dense = spline(knots, torch.linspace(0, len(knots) - 1, 50 * len(knots), dtype=torch.float64))
    walked = torch.cat([torch.zeros(1, dtype=torch.float64), (dense[1:] - dense[:-1])[:, :3].norm(dim=1).cumsum(0)])
    at = torch.linspace(0, len(knots) - 1, len(dense), dtype=torch.float64)
    if walked[-1] > 0:
        at = interpolated(torch.linspace(0, float(walked[-1]), frames, dtype=torch.float64), walked, at)
    else:
        at = torch.linspace(0, len(knots) - 1, frames, dtype=torch.float64)
    path = spline(knots, at)
    world_from_camera = torch.eye(4, dtype=torch.float64).repeat(frames, 1, 1)
    world_from_camera[:, :3, :3] = matrices_from_quats(path[:, 3:])
    world_from_camera[:, :3, 3] = path[:, :3]
    old = cameras.size(0)
    height, width = (max(2, n // 2 * 2) for n in fitted_size(*old, longest))
    K = resize_map(old, (height, width)) @ cameras.K[0]
    sizes = torch.tensor([[height, width]]).repeat(frames, 1)
    return Cameras(
        torch.linalg.inv(world_from_camera), K.repeat(frames, 1, 1), sizes, torch.zeros(frames, dtype=torch.int64)
    )


def spline(knots: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    """Uniform Catmull-Rom through knots [N,D] at parameters `at` [F] in 0 to N - 1 (Catmull & Rom 1974)."""
    padded = torch.cat([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    i = at.floor().long().clamp(0, len(knots) - 2)
    t = (at - i)[:, None]
    a, b, c, d = (padded[i + k] for k in range(4))
    return 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)


def interpolated(x: torch.Tensor, xs: torch.Tensor, ys: torch.Tensor) -> torch.Tensor:
    """Piecewise linear y(x) through ascending xs."""
    i = torch.searchsorted(xs, x.contiguous()).clamp(1, len(xs) - 1)
    share = (x - xs[i - 1]) / (xs[i] - xs[i - 1]).clamp_min(1e-300)
    return ys[i - 1] + share.clamp(0, 1) * (ys[i] - ys[i - 1])
