"""Pinhole cameras: projection, unprojection, rays, resizing. Conventions in docs/conventions.md."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import torch
from torch import Tensor

from recon3d.core.shapes import check_shapes
from recon3d.core.similarity import Similarity, mean_rotation


@dataclass(frozen=True)
class Cameras:
    """N pinhole cameras with OpenCV axes (x right, y down, z forward). Float64, so that what was given comes out as it was."""

    camera_from_world: Annotated[Tensor, "N 4 4"]
    K: Annotated[Tensor, "N 3 3"]  # pixels; the centre of the first pixel is (0.5, 0.5)
    sizes: Annotated[Tensor, "N 2"]  # (height, width), int64
    camera_index: Annotated[Tensor, "N"]  # which physical camera: photos of one share K and lens; int64

    def __post_init__(self) -> None:
        check_shapes(self)

    def __len__(self) -> int:
        return len(self.K)

    def __getitem__(self, index) -> Cameras:
        index = as_index(index, len(self))
        return Cameras(self.camera_from_world[index], self.K[index], self.sizes[index], self.camera_index[index])

    def to(self, device: torch.device | str) -> Cameras:
        return Cameras(*(x.to(device) for x in (self.camera_from_world, self.K, self.sizes, self.camera_index)))

    @property
    def world_from_camera(self) -> Annotated[Tensor, "N 4 4"]:
        return torch.linalg.inv(self.camera_from_world)

    @property
    def centers_in_world(self) -> Annotated[Tensor, "N 3"]:
        return centers_of(self.camera_from_world)

    def size(self, i: int) -> tuple[int, int]:
        """(height, width) of view i."""
        return int(self.sizes[i, 0]), int(self.sizes[i, 1])

    def project(
        self, points_in_world: Annotated[Tensor, "P 3"]
    ) -> tuple[Annotated[Tensor, "N P 2"], Annotated[Tensor, "N P"]]:
        """Pixels and z-depths of points in every camera. Pixels of points with depth <= 0 mean nothing."""
        rotation, translation = self.camera_from_world[:, :3, :3], self.camera_from_world[:, :3, 3]
        in_camera = points_in_world.to(rotation.dtype) @ rotation.transpose(1, 2) + translation[:, None]
        depth = in_camera[..., 2]
        homogeneous = in_camera @ self.K.transpose(1, 2)
        return homogeneous[..., :2] / homogeneous[..., 2:], depth

    def shows(self, points_in_world: Annotated[Tensor, "P 3"]) -> Annotated[Tensor, "N P"]:
        """bool: which points lie in each view's picture. What stands before them is not asked."""
        return self.inside(*self.project(points_in_world))

    def inside(self, pixels: Annotated[Tensor, "N P 2"], depth: Annotated[Tensor, "N P"]) -> Annotated[Tensor, "N P"]:
        """bool: which of the projected points lie in each view's picture, before its camera."""
        return (depth > 0) & (pixels >= 0).all(-1) & (pixels < self.sizes.flip(1)[:, None]).all(-1)

    @property
    def focal_lengths(self) -> Annotated[Tensor, "N"]:
        """Pixels, the mean of both axes."""
        return self.K[:, [0, 1], [0, 1]].mean(1)

    def in_world(self, i: int, points_in_camera: Annotated[Tensor, "... 3"]) -> Annotated[Tensor, "... 3"]:
        """Points in the frame of view i's camera, in the world's."""
        world_from_camera = self.world_from_camera[i]
        return points_in_camera @ world_from_camera[:3, :3].T + world_from_camera[:3, 3]

    def rays(self, i: int) -> Annotated[Tensor, "H W 3"]:
        """(x, y, 1) of every pixel centre of view i, in its camera: the ray parameter is the z-depth."""
        height, width = self.size(i)
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        pixels = torch.stack([x + 0.5, y + 0.5, torch.ones_like(x)], -1).to(self.K)
        return pixels @ torch.linalg.inv(self.K[i]).T

    def rays_of(self, i: int, pixels: Annotated[Tensor, "P"]) -> Annotated[Tensor, "P 3"]:
        """The same of some pixels, flat indices into the picture: what a few cost goes by their number."""
        width = self.size(i)[1]
        centers = torch.stack([pixels % width + 0.5, pixels // width + 0.5, torch.ones_like(pixels)], -1).to(self.K)
        return centers @ torch.linalg.inv(self.K[i]).T

    def unproject(
        self, i: int, depth: Annotated[Tensor, "H W"]
    ) -> tuple[Annotated[Tensor, "H W 3"], Annotated[Tensor, "H W"]]:
        """World points of every pixel of view i from z-depth in world units, and where they are known.

        A depth of 0 is unknown: its point is 0 and its mask false. Source: Hartley & Zisserman 2004, eq. 6.5.
        """
        points = self.in_world(i, self.rays(i) * depth.to(self.K)[..., None])
        known = depth > 0
        return torch.where(known[..., None], points, 0), known

    def resized(self, new_from_old: Annotated[Tensor, "N 3 3"], sizes: Annotated[Tensor, "N 2"]) -> Cameras:
        """The same cameras for pictures whose pixels are `new_from_old` (affine) of the present ones."""
        return replace(self, K=new_from_old.to(self.K) @ self.K, sizes=sizes.to(self.sizes))

    def transformed(self, similarity: Similarity) -> Cameras:
        """The cameras that take the same pictures of the world moved by `similarity`."""
        rotation = self.camera_from_world[:, :3, :3] @ similarity.rotation.to(self.camera_from_world).T
        centers = similarity.apply(self.centers_in_world)
        camera_from_world = self.camera_from_world.clone()
        camera_from_world[:, :3, :3] = rotation
        camera_from_world[:, :3, 3] = -(rotation @ centers[:, :, None])[:, :, 0]
        return replace(self, camera_from_world=camera_from_world)

    def check(self, stage: str) -> None:
        """Raise ValueError naming the stage, the view and the number where a value cannot be a camera."""
        rotation = self.camera_from_world[:, :3, :3].double()
        off = (rotation @ rotation.transpose(1, 2) - torch.eye(3, dtype=torch.float64)).abs().amax((1, 2))
        off = torch.where(torch.linalg.det(rotation) > 0, off, torch.inf)
        finite = torch.isfinite(self.camera_from_world).all(2).all(1) & torch.isfinite(self.K).all(2).all(1)
        focal = torch.minimum(self.K[:, 0, 0], self.K[:, 1, 1])
        for i in range(len(self)):
            if not finite[i]:
                raise ValueError(f"{stage}: the camera of view {i} is not finite")
            if off[i] > 1e-4:
                raise ValueError(f"{stage}: the rotation of view {i} is not orthonormal (off by {float(off[i]):.2g})")
            if focal[i] <= 0:
                raise ValueError(f"{stage}: the focal length of view {i} is {float(focal[i]):.4g}")


def centers_of(camera_from_world: Annotated[Tensor, "N 4 4"]) -> Annotated[Tensor, "N 3"]:
    """Where cameras stand in the world."""
    rotation, translation = camera_from_world[:, :3, :3], camera_from_world[:, :3, 3:]
    return -(rotation.transpose(1, 2) @ translation)[:, :, 0]


def as_index(index, count: int) -> Tensor:
    """A list, slice, bool mask or integer tensor as an int64 index [k]."""
    if isinstance(index, int):
        raise TypeError("index with a list: a single view is views[[i]]")
    if isinstance(index, slice):
        return torch.arange(count)[index]
    index = torch.as_tensor(index)
    return torch.nonzero(index)[:, 0] if index.dtype == torch.bool else index.long()


def resize_map(old: tuple[int, int], new: tuple[int, int]) -> Annotated[Tensor, "3 3"]:
    """The affine map new_from_old of pixels when a picture of (height, width) `old` is resized to `new`."""
    return torch.diag(torch.tensor([new[1] / old[1], new[0] / old[0], 1.0], dtype=torch.float64))


def fitted_size(height: int, width: int, longest: int) -> tuple[int, int]:
    """(height, width) with the longest side at most `longest`, in the same shape; never enlarged."""
    scale = min(1.0, longest / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def fit_cameras(source: Cameras, target: Cameras, weights: Annotated[Tensor, "N"] | None = None) -> Similarity:
    """The similarity that takes the cameras of `source` to those of `target`: rotation from their rotations, scale and
    translation from their centres. Two cameras suffice. Raises ValueError where all centres of `source` coincide.
    """
    if len(source) != len(target) or len(source) < 2:
        raise ValueError(f"two or more pairs of cameras are needed, {len(source)} and {len(target)} were given")
    w = torch.ones(len(source), dtype=torch.float64) if weights is None else weights.double()
    w = w / w.sum()
    between = (
        target.camera_from_world[:, :3, :3].double().transpose(1, 2) @ source.camera_from_world[:, :3, :3].double()
    )
    rotation = mean_rotation(between, w)
    a, b = source.centers_in_world.double() @ rotation.T, target.centers_in_world.double()
    mean_a, mean_b = w @ a, w @ b
    spread = w @ (a - mean_a).square().sum(1)
    if spread <= 0:
        raise ValueError("the scale between the cameras is undecided: all source centres coincide")
    scale = (w @ ((a - mean_a) * (b - mean_b)).sum(1)) / spread
    if scale <= 0:
        raise ValueError("the camera centres contradict the camera rotations: no positive scale fits")
    return Similarity(scale, rotation, mean_b - scale * mean_a)
