"""What is learned from: views of several scenes with their cameras and what is known of their depth, as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor

from recon3d.core.shapes import check_shapes
from recon3d.data.procedural import photograph
from recon3d.data.shots import Drawn

DepthFrom = Literal["rays", "files", "stereo"]  # as drawn, 0 being sky; from files, and by stereo: 0 is unknown


@dataclass(frozen=True)
class Batch:
    """V views of each of B scenes, pictures of one size."""

    images: Annotated[Tensor, "B V 3 H W"]  # float32, sRGB 0 to 1
    camera_from_world: Annotated[Tensor, "B V 4 4"]  # float32
    K: Annotated[Tensor, "B V 3 3"]  # pixels
    depth: Annotated[Tensor, "B V H W"]  # z-depth in world units, 0 where unknown
    depth_from: tuple[DepthFrom, ...]  # of each scene

    def __post_init__(self) -> None:
        check_shapes(self)

    def views(self, some: slice | list[int]) -> Batch:
        found = self.images[:, some], self.camera_from_world[:, some], self.K[:, some], self.depth[:, some]
        return Batch(*found, self.depth_from)

    def scenes(self, some: list[int]) -> Batch:
        found = self.images[some], self.camera_from_world[some], self.K[some], self.depth[some]
        return Batch(*found, tuple(self.depth_from[i] for i in some))

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)"""
        return (self.images.shape[-2], self.images.shape[-1])

    def points_in_camera(self) -> Annotated[Tensor, "B V H W 3"]:
        """Zero where the depth is unknown."""
        height, width = self.size
        y, x = torch.meshgrid(
            torch.arange(height, device=self.K.device) + 0.5, torch.arange(width, device=self.K.device) + 0.5, indexing="ij"
        )
        x = (x - self.K[..., 0, 2, None, None]) / self.K[..., 0, 0, None, None]
        y = (y - self.K[..., 1, 2, None, None]) / self.K[..., 1, 1, None, None]
        return torch.stack((x, y, torch.ones_like(x)), -1) * self.depth[..., None]

    def points_in_world(self) -> Annotated[Tensor, "B V H W 3"]:
        """Where the depth is unknown, nothing is meant."""
        rotation, translation = self.camera_from_world[..., :3, :3], self.camera_from_world[..., :3, 3]
        return torch.einsum("bvji,bvhwj->bvhwi", rotation, self.points_in_camera() - translation[:, :, None, None])


def rendered(drawn: Drawn, samples: int = 1, device: torch.device | str = "cpu") -> Batch:
    """Photograph procedural scenes where they will be used. `samples`² rays make a pixel's colour."""
    device = torch.device(device)
    if device.type == "cuda":
        from recon3d.data.raycast_cuda import photograph as on_cuda

        images, depth, _ = on_cuda(drawn.scenes, drawn.shots, drawn.size, samples, device)
    else:
        images, depth, _ = map(torch.from_numpy, photograph(drawn.scenes, drawn.shots, drawn.size, samples))
    cameras, K = (torch.from_numpy(x).float().to(device) for x in (drawn.shots.camera_from_world, drawn.shots.K))
    return Batch(images.to(device), cameras, K, depth.to(device), ("rays",) * len(images))


def joined(batches: Sequence[Batch]) -> Batch:
    """The scenes of all, one after the other; as many views of one size each."""
    images, cameras, K, depth = (
        torch.cat(x) for x in zip(*((b.images, b.camera_from_world, b.K, b.depth) for b in batches), strict=True)
    )
    return Batch(images, cameras, K, depth, tuple(each for b in batches for each in b.depth_from))
