"""Target cameras in the world of a method that found its own, and what it draws there (../shared protocol: pose-free views).

Transferred: by the similarity of the true context cameras to the found ones; errors of poses show as errors of pictures.
Aligned: moved from there until the drawing fits the target photo, as NoPoSplat's evaluation does; that forgives them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import torch
from torch import Tensor

from recon3d.core.cameras import Cameras, fit_cameras
from recon3d.core.gaussians import Gaussians
from recon3d.core.rotations import rotation_from_vector
from recon3d.metrics.image import ssim
from recon3d.rendering.render import backend_for, rasterize, render

STEPS, RATE = 100, 0.005  # of Adam on a turn and a shift; shifts in units of the context's mean depth
SSIM_WEIGHT = 0.2


@dataclass(frozen=True)
class Aligned:
    cameras: Cameras
    turned: float  # degrees, mean
    moved: float  # of the largest distance between context cameras, mean


def transferred(targets: Cameras, context: Cameras, found: Cameras, own_K: bool) -> Cameras:
    """True target cameras in the found world; `context` are the true cameras of `found`. With `own_K` in the focal length
    that the method found, as a share of the true one. Raises ValueError where no similarity fits."""
    moved = targets.transformed(fit_cameras(context, found))
    if not own_K:
        return moved
    K = moved.K.clone()
    K[:, :2, :2] *= float((found.focal_lengths / context.focal_lengths).median())
    return replace(moved, K=K)


def aligned(
    gaussians: Gaussians, cameras: Cameras, photos: list[Annotated[Tensor, "3 H W"]], context: Cameras, device: str
) -> Aligned:
    """Cameras moved until what is drawn looks like the photos; the Gaussians stay."""
    unit = mean_depth(gaussians, context, device)
    span = float(torch.cdist(context.centers_in_world, context.centers_in_world).max())
    poses, turned, moved = [], [], []
    for i, photo in enumerate(photos):
        pose = one_aligned(gaussians, cameras[[i]], photo, unit, device)
        between = pose @ torch.linalg.inv(cameras.camera_from_world[i])
        cosine = ((between[:3, :3].diagonal().sum() - 1) / 2).clamp(-1, 1)
        turned.append(float(torch.rad2deg(torch.arccos(cosine))))
        centers = [(-p[:3, :3].T @ p[:3, 3]) for p in (pose, cameras.camera_from_world[i])]
        moved.append(float((centers[0] - centers[1]).norm()) / max(span, 1e-12))
        poses.append(pose)
    count = max(len(photos), 1)
    return Aligned(replace(cameras, camera_from_world=torch.stack(poses)), sum(turned) / count, sum(moved) / count)


def one_aligned(
    gaussians: Gaussians, camera: Cameras, photo: Annotated[Tensor, "3 H W"], unit: float, device: str
) -> Annotated[Tensor, "4 4"]:
    """camera_from_world after STEPS steps, composed onto the camera after each."""
    pose = camera.camera_from_world[0].float()
    turn, shift = (torch.zeros(3, requires_grad=True) for _ in range(2))
    optimiser = torch.optim.Adam([turn, shift], lr=RATE)
    g, (height, width) = gaussians, camera.size(0)
    for _ in range(STEPS):
        rotation = rotation_from_vector(turn)
        top = torch.cat([rotation @ pose[:3, :3], (rotation @ pose[:3, 3] + unit * shift)[:, None]], 1)
        now = torch.cat([top, pose[3:]])
        rgb, _, _ = rasterize(
            g.means, g.quats, g.scales, g.opacities, g.sh, now[None], camera.K.float(), width, height,
            backend=backend_for(device),
        )  # fmt: skip
        loss = (1 - SSIM_WEIGHT) * (rgb[0] - photo).abs().mean() + SSIM_WEIGHT * (1 - ssim(rgb[0], photo))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        with torch.no_grad():
            rotation = rotation_from_vector(turn)
            top = torch.cat([rotation @ pose[:3, :3], (rotation @ pose[:3, 3] + unit * shift)[:, None]], 1)
            pose = torch.cat([top, pose[3:]])
            turn.zero_()
            shift.zero_()
    return pose.double()


def mean_depth(gaussians: Gaussians, cameras: Cameras, device: str) -> float:
    """Of what the context cameras see; 1 where they see nothing."""
    found = []
    for i in range(len(cameras)):
        with torch.no_grad():
            depth = render(gaussians, cameras[[i]], device=device).depth
        found.append(depth[depth > 0])
    every = torch.cat(found)
    return float(every.mean()) if len(every) else 1.0
