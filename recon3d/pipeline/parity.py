"""Whether two scenes look the same: PSNR between what both show to the same cameras."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from recon3d.core.cameras import Cameras, fitted_size, resize_map
from recon3d.core.gaussians import Gaussians
from recon3d.core.known_camera import KnownCamera
from recon3d.core.lens import undistorted
from recon3d.core.splats import Splats
from recon3d.core.synthetic import look_at
from recon3d.rendering.render import render

CHECKED = 12  # cameras, evenly spread, from which an export is compared with the scene in memory
SAME = 150.0  # dB that are reported for pictures without any difference
CHECK_SIZE = 512  # longest side in pixels of the pictures that are compared
RING, RING_VIEW = 6, 50.0  # cameras about a scene without any, and their field of view in degrees


def spread(count: int) -> list[int]:
    """At most CHECKED of `count` cameras, evenly."""
    return sorted({round(x) for x in np.linspace(0, count - 1, min(count, CHECKED)).tolist()})


def difference(a: Gaussians, b: Gaussians, cameras: Cameras, device: str = "auto") -> float:
    """PSNR in dB over the cameras that `spread` takes; SAME where nothing differs."""
    error, pixels = 0.0, 0
    for i in spread(len(cameras)):
        first, second = (render(g, cameras[[i]], device=device).rgb.double() for g in (a, b))
        error, pixels = error + float((first - second).square().sum()), pixels + first.numel()
    return SAME if error == 0 else min(SAME, -10 * math.log10(error / pixels))


def psnr_between(a: Splats, b: Splats, cameras: Cameras) -> float:
    return difference(Gaussians.of(a), Gaussians.of(b), cameras)


def small_cameras(known: Sequence[KnownCamera]) -> Cameras:
    """The cameras of a file that have a pose and a lens, at CHECK_SIZE."""
    full = pinholes(known)
    sizes = [fitted_size(*full.size(i), CHECK_SIZE) for i in range(len(full))]
    maps = torch.stack([resize_map(full.size(i), size) for i, size in enumerate(sizes)])
    return full.resized(maps, torch.tensor(sizes))


def pinholes(known: Sequence[KnownCamera]) -> Cameras:
    """The cameras of a file that have a pose and a lens, of their undistorted photos at full size."""
    posed = [camera for camera in known if camera.camera_from_world is not None and camera.lens is not None]
    lenses = [undistorted(camera.lens) for camera in posed if camera.lens is not None]
    return Cameras(
        torch.from_numpy(
            np.stack([camera.camera_from_world for camera in posed if camera.camera_from_world is not None])
        ),
        torch.from_numpy(np.stack([lens.K for lens in lenses])),
        torch.tensor([[lens.height, lens.width] for lens in lenses]),
        torch.zeros(len(posed), dtype=torch.int64),
    )


def ring(splats: Splats) -> Cameras:
    """Cameras around the middle of a scene, a little from above, as far away as its opaque splats reach."""
    dense = splats.opacities >= min(0.1, float(splats.opacities.max()))
    low, high = np.percentile(splats.means[dense].astype(np.float64), (5, 95), axis=0)
    center = (low + high) / 2
    radius = max(float(np.linalg.norm(high - low)) / 2, 3 * float(np.median(splats.scales)))
    distance = 1.2 * radius / math.tan(math.radians(RING_VIEW) / 2)
    focal = CHECK_SIZE / 2 / math.tan(math.radians(RING_VIEW) / 2)
    K = torch.tensor([[focal, 0, CHECK_SIZE / 2], [0, focal, CHECK_SIZE / 2], [0, 0, 1]], dtype=torch.float64)
    poses = []
    for angle in np.linspace(0, 2 * math.pi, RING, endpoint=False):
        aside = distance * np.array([math.sin(angle), -0.3, -math.cos(angle)])
        poses.append(look_at(torch.from_numpy(center + aside), torch.from_numpy(center)))
    sizes = torch.full((RING, 2), CHECK_SIZE)
    return Cameras(torch.stack(poses), K.repeat(RING, 1, 1), sizes, torch.zeros(RING, dtype=torch.int64))
