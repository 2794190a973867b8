"""Procedural scenes with their true geometry, and what a network with dialled errors would predict of them."""

from dataclasses import replace

import torch

from recon3d.core.cameras import Cameras
from recon3d.core.geometry import Geometry
from recon3d.core.rotations import rotation_from_vector
from recon3d.core.similarity import Similarity
from recon3d.core.views import Views
from recon3d.data.batch import rendered
from recon3d.data.shots import drawn
from tests.reconstruction.scenes import bare_geometry, views_of


def true_scene(seed: int, count: int, size: tuple[int, int] = (96, 128)) -> tuple[Views, Geometry]:
    batch = rendered(drawn(seed, count, size))
    sizes = torch.tensor([size] * count)
    cameras = Cameras(batch.camera_from_world[0].double(), batch.K[0].double(), sizes, torch.zeros(count, dtype=torch.int64))
    depth = tuple(batch.depth[0])
    known = replace(bare_geometry(cameras), depth=depth, confidence=tuple((d > 0).float() for d in depth))
    return views_of(batch.images[0]), known


def predicted(
    truth: Geometry, seed: int, degrees: float = 0.0, centres: float = 0.0, scales: float = 0.0, shifts: float = 0.0
) -> Geometry:
    """The truth in a world of its own, with noise: of rotations in degrees, of centres as a share of their spread, of the
    logarithm of each map's scale, and a shift of each map of up to `shifts` of the median depth."""
    generator = torch.Generator().manual_seed(seed)
    count, at = len(truth), truth.cameras.centers_in_world

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    spread = (at - at.mean(0)).norm(dim=1).max()
    turns = rotation_from_vector(torch.deg2rad(torch.tensor(degrees)) * normal(count, 3) / 3**0.5)
    poses = truth.cameras.camera_from_world.clone()
    poses[:, :3, :3] = turns @ poses[:, :3, :3]
    poses[:, :3, 3] = -(poses[:, :3, :3] @ (at + centres * spread * normal(count, 3) / 3**0.5)[..., None])[..., 0]
    assert truth.depth is not None
    median = torch.cat([d[d > 0] for d in truth.depth]).median()
    of_maps = torch.exp(scales * normal(count)), shifts * median * torch.rand(count, generator=generator)
    depth = tuple(torch.where(d > 0, d * s + b, 0) for d, s, b in zip(truth.depth, *of_maps, strict=True))
    depth = tuple(d.float() for d in depth)
    moved = replace(truth, cameras=replace(truth.cameras, camera_from_world=poses), depth=depth)
    away = Similarity.of(0.37, rotation_from_vector(normal(3)), torch.tensor([3.0, 1, -2]))
    return moved.transformed(away)


def errors(found: Geometry, truth: Geometry) -> list[float]:
    """Of every view, the median distance of its points from the true ones, as a share of their depth."""
    assert found.depth is not None and truth.depth is not None
    shares = []
    for i in range(len(truth)):
        points, known = found.cameras.unproject(i, found.depth[i])
        true_points, true = truth.cameras.unproject(i, truth.depth[i])
        both = known & true
        shares.append(float(((points - true_points).norm(dim=-1)[both] / truth.depth[i][both]).median()))
    return shares
