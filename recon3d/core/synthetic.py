"""Synthetic ground truth: points, cameras around them, and tracks with dialled noise, for tests and for trials."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from recon3d.core.cameras import Cameras
from recon3d.core.gaussians import Gaussians
from recon3d.core.geometry import Geometry, Tracks


@dataclass(frozen=True)
class Synthetic:
    """How hard the scene is. Lengths in world units (the scene has radius 1), angles in degrees, pixels in pixels."""

    views: int = 8
    points: int = 500
    height: int = 240
    width: int = 320
    arc: float = 90.0  # the cameras stand on this part of a circle
    distance: float = 4.0
    field_of_view: float = 50.0  # horizontal
    pixel_noise: float = 0.0  # standard deviation of the observations
    outliers: float = 0.0  # share of observations put anywhere in the picture
    missing: float = 0.0  # share of observations left out
    seed: int = 0


def look_at(
    center: Annotated[Tensor, "3"], target: Annotated[Tensor, "3"], up: Annotated[Tensor, "3"] | None = None
) -> Annotated[Tensor, "4 4"]:
    """camera_from_world (float64) of an OpenCV camera at `center` looking at `target`; `up` is -y of the world."""
    up = torch.tensor([0.0, -1.0, 0.0]) if up is None else up
    forward = torch.nn.functional.normalize((target - center).double(), dim=0)
    right = torch.nn.functional.normalize(torch.linalg.cross(forward, up.double()), dim=0)
    rotation = torch.stack([right, torch.linalg.cross(forward, right), forward])
    camera_from_world = torch.eye(4, dtype=torch.float64)
    camera_from_world[:3, :3] = rotation
    camera_from_world[:3, 3] = -rotation @ center.double()
    return camera_from_world


def arc_of_cameras(options: Synthetic) -> Cameras:
    """Cameras on an arc about the vertical axis, at changing heights, all looking at the origin; one physical camera."""
    focal = 0.5 * options.width / math.tan(math.radians(options.field_of_view) / 2)
    K = torch.tensor([[focal, 0, options.width / 2], [0, focal, options.height / 2], [0, 0, 1]], dtype=torch.float64)
    generator = torch.Generator().manual_seed(options.seed)
    heights = -0.3 - 0.6 * torch.rand(options.views, generator=generator)
    angles = torch.deg2rad(torch.linspace(-options.arc / 2, options.arc / 2, options.views))
    centers = torch.stack([angles.sin() * options.distance, heights, -angles.cos() * options.distance], -1)
    camera_from_world = torch.stack([look_at(c, torch.zeros(3)) for c in centers])
    n = options.views
    sizes = torch.tensor([[options.height, options.width]]).repeat(n, 1)
    return Cameras(camera_from_world, K.repeat(n, 1, 1), sizes, torch.zeros(n, dtype=torch.int64))


def synthetic_geometry(options: Synthetic | None = None) -> Geometry:
    """Points in the unit ball, cameras on an arc, and the tracks that they observe, with the noise of `options`.

    `errors` are the true mean reprojection errors of the disturbed tracks, without outliers.
    """
    options = options or Synthetic()
    generator = torch.Generator().manual_seed(options.seed + 1)
    directions = torch.nn.functional.normalize(
        torch.randn(options.points, 3, generator=generator, dtype=torch.float64), dim=1
    )
    points = directions * torch.rand(options.points, 1, generator=generator, dtype=torch.float64) ** (1 / 3)
    cameras = arc_of_cameras(options)
    exact, depth = cameras.project(points)
    inside = (depth > 0) & (exact > 0).all(-1) & (exact < cameras.sizes.flip(1)[:, None]).all(-1)
    inside &= torch.rand(inside.shape, generator=generator) >= options.missing
    view, point = inside.nonzero(as_tuple=True)
    noise = options.pixel_noise * torch.randn(len(view), 2, generator=generator, dtype=torch.float64)
    xy = exact[view, point] + noise
    wrong = torch.rand(len(view), generator=generator) < options.outliers
    anywhere = torch.rand(len(view), 2, generator=generator, dtype=torch.float64) * cameras.sizes[view].flip(1)
    xy = torch.where(wrong[:, None], anywhere, xy)
    errors, count = torch.zeros(options.points, dtype=torch.float64), torch.zeros(options.points, dtype=torch.float64)
    errors.index_add_(0, point, noise.norm(dim=1))
    count.index_add_(0, point, torch.ones_like(noise[:, 0]))
    colors = (torch.rand(options.points, 3, generator=generator) * 255).to(torch.uint8)
    return Geometry(cameras, points, colors, errors / count.clamp_min(1), Tracks(view, point, xy), source="synthetic")


def synthetic_gaussians(count: int = 200, degree: int = 1, seed: int = 0, size: float = 0.05) -> Gaussians:
    """Random Gaussians in the unit ball, float32: mixed shapes, turns, opacities and harmonics."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    means = torch.nn.functional.normalize(normal(count, 3), dim=1) * torch.rand(count, 1, generator=generator) ** (
        1 / 3
    )
    sh = normal(count, (degree + 1) ** 2, 3) * torch.tensor([0.8] + [0.15] * ((degree + 1) ** 2 - 1))[:, None]
    return Gaussians(
        means=means,
        quats=torch.nn.functional.normalize(normal(count, 4), dim=1),
        scales=size * torch.exp(0.5 * normal(count, 3)),
        opacities=torch.sigmoid(1.5 * normal(count)),
        sh=sh,
    )
