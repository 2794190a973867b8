"""Small scenes whose surfaces, cameras and photos are known, for tests of seeding and refinement."""

import cv2
import numpy as np
import torch

from recon3d.core.cameras import Cameras
from recon3d.core.gaussians import Gaussians
from recon3d.core.geometry import Geometry, Tracks
from recon3d.core.synthetic import Synthetic, arc_of_cameras, synthetic_gaussians
from recon3d.core.views import Views
from recon3d.rendering.render import render


def views_of(pictures: torch.Tensor, held_out=(), masks=None) -> Views:
    """Views of rgb pictures [N,3,H,W], 0 to 1, at full size."""
    n, _, height, width = pictures.shape
    flags = torch.zeros(n, dtype=torch.bool)
    flags[list(held_out)] = True
    return Views(
        names=tuple(f"{i:03d}.png" for i in range(n)),
        images=tuple((p.clamp(0, 1) * 255).round().to(torch.uint8) for p in pictures),
        masks=masks,
        pixel_from_photo=torch.eye(3, dtype=torch.float64).repeat(n, 1, 1),
        photo_sizes=torch.tensor([[height, width]]).repeat(n, 1),
        camera_index=torch.zeros(n, dtype=torch.int64),
        held_out=flags,
        sources=tuple(range(n)),
        lenses=(None,) * n,
        focal_priors=(None,) * n,
    )  # fmt: skip


def bare_geometry(cameras: Cameras) -> Geometry:
    """Cameras without any point."""
    nothing = torch.zeros(0, 3, dtype=torch.float64)
    return Geometry(cameras, nothing, nothing.to(torch.uint8), nothing[:, 0])


def splat_photos(views: int = 6, held_out=(), size: int = 64) -> tuple[Views, Geometry, Gaussians]:
    """Photos of random Gaussians by an arc of cameras, taken with our own renderer."""
    cameras = arc_of_cameras(Synthetic(views=views, height=size, width=size, arc=60))
    gaussians = synthetic_gaussians(300, degree=0, size=0.07)
    return views_of(render(gaussians, cameras, device="cpu").rgb, held_out), bare_geometry(cameras), gaussians


def noise_picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Rough texture at several scales, float32 [H,W,3] from 0 to 1."""
    random = np.random.default_rng(seed)
    total = np.zeros((height, width, 3), np.float32)
    for cells in (8, 24, 64):
        coarse = random.random((cells, cells, 3), dtype=np.float32)
        total += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) / 3
    return total.clip(0, 1)


def plane_photos(views: int = 4, width: int = 192, height: int = 144) -> tuple[Views, Geometry, np.ndarray]:
    """Photos of a large textured wall z = 0.3 x by an arc of cameras; some of its points as tracks; its normal [3]."""
    cameras = arc_of_cameras(Synthetic(views=views, height=height, width=width, arc=25))
    half, pixels = 4.0, 1024
    step = 2 * half / pixels
    wall_from_texture = np.array([[step, 0, -half], [0, step, -half], [0.3 * step, 0, -0.3 * half], [0, 0, 1]])
    texture = noise_picture(pixels, pixels)
    pictures = []
    for i in range(views):
        pixel_from_texture = cameras.K[i].numpy() @ cameras.camera_from_world[i].numpy()[:3] @ wall_from_texture
        to_corner = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])  # cv2 counts from the centre of the first pixel
        warp = to_corner @ pixel_from_texture @ np.linalg.inv(to_corner)
        pictures.append(cv2.warpPerspective(texture, warp, (width, height), flags=cv2.INTER_AREA))
    random = torch.Generator().manual_seed(0)
    xy = 3 * torch.rand(400, 2, generator=random, dtype=torch.float64) - 1.5
    points = torch.stack([xy[:, 0], xy[:, 1], 0.3 * xy[:, 0]], -1)
    seen, depth = cameras.project(points)
    inside = (depth > 0) & (seen > 0).all(-1) & (seen < torch.tensor([width, height])).all(-1)
    view, point = inside.nonzero(as_tuple=True)
    geometry = Geometry(
        cameras, points, torch.full((400, 3), 128, dtype=torch.uint8), torch.zeros(400, dtype=torch.float64),
        Tracks(view, point, seen[view, point]),
    )  # fmt: skip
    normal = np.array([0.3, 0, -1]) / np.hypot(0.3, 1)
    return views_of(torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)), geometry, normal
