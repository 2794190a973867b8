"""DA3's Gaussian head, and the Gaussians that its numbers stand for: one for each pixel of each view.

Two habits of the trained weights are kept: the predicted depth is taken as the distance along the ray, and quaternions are
read in one order and stored in another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recon3d.core.harmonics import turning
from recon3d.core.rotations import quats_from_matrices
from recon3d.core.similarity import fit_points
from recon3d.models.da3.config import GaussianHeadConfig, HeadConfig
from recon3d.models.da3.dense_heads import VIEWS_AT_A_TIME, output_of
from recon3d.models.da3.known_cameras import centers
from recon3d.models.dpt import FusionChain, Pyramid, in_chunks, resized, with_positions
from recon3d.models.pose_encoding import inverse_of, rotation_from_xyzw

PIXELS_OF_SCALE = 0.1  # of a pixel's width and height at the Gaussian's distance, together: what scale 1 means
BAND, STEP = 0.1, 0.25  # coefficients of degree l >= 1 count BAND · STEP^l
SCALE_LIMITS = (1 / 3, 3.0)  # of the predicted cameras, when known ones tell it


class GaussianHead(nn.Module):
    """Patch features of four layers and the images to numbers for each pixel."""

    def __init__(self, width: int, patch: int, sizes: HeadConfig, config: GaussianHeadConfig) -> None:
        super().__init__()
        self.patch, self.config, features = patch, config, sizes.features
        self.pyramid = Pyramid([width] * 4, sizes.out_channels, features, norm=False, positions=True)
        self.fusion = FusionChain(features, rectified_skip=False)
        self.images_merger = nn.Sequential(
            nn.Conv2d(3, features // 8, 3, padding=1), nn.GELU(),
            nn.Conv2d(features // 8, features // 4, 3, padding=1), nn.GELU(),
            nn.Conv2d(features // 4, features // 2, 3, padding=1), nn.GELU(),
        )  # fmt: skip
        self.output_conv1 = nn.Conv2d(features, features // 2, 3, padding=1)
        self.output_conv2 = output_of(features, config.output_dim)

    def forward(
        self, layers: Sequence[Tensor], images: Tensor, grid: tuple[int, int], chunk: int = VIEWS_AT_A_TIME
    ) -> Tensor:
        """Four [B, S, h·w, D] and normalised images [B, S, 3, H, W] -> [B, S, H, W, 38]."""
        views = [x.flatten(0, 1) for x in (*layers, images)]
        (raw,) = in_chunks(self.of_views, views, grid, chunk=chunk)
        return raw.unflatten(0, images.shape[:2])

    def of_views(self, layers_and_images: Sequence[Tensor], grid: tuple[int, int]) -> tuple[Tensor]:
        *layers, images = layers_and_images
        size = (grid[0] * self.patch, grid[1] * self.patch)
        aspect = size[1] / size[0]
        x = resized(self.output_conv1(self.fusion(self.pyramid(layers, grid, aspect))), size)
        x = with_positions(x + self.images_merger(images), aspect)
        return (self.output_conv2(x).movedim(1, -1),)


@dataclass(frozen=True)
class PixelGaussians:
    """In the world, N = S·H·W for each scene: views, rows, columns."""

    means: Annotated[Tensor, "B N 3"]
    scales: Annotated[Tensor, "B N 3"]  # standard deviations in world units
    quats: Annotated[Tensor, "B N 4"]  # wxyz, unit
    opacities: Annotated[Tensor, "B N"]  # 0 to 1
    harmonics: Annotated[Tensor, "B N 3 C"]  # colour = 0.5 + sum


def pixel_gaussians(
    raw: Annotated[Tensor, "B S H W R"], depth: Annotated[Tensor, "B S H W"],
    camera_from_world: Annotated[Tensor, "B S 3 4"], K: Annotated[Tensor, "B S 3 3"], config: GaussianHeadConfig,
    known: Annotated[Tensor, "B S 4 4"] | None = None,
) -> PixelGaussians:  # fmt: skip
    """What the head's numbers mean. `known`: the cameras that the network was given, whose scale the Gaussians take."""
    world_from_camera = inverse_of(camera_from_world)
    scale = torch.ones_like(depth[:, 0, 0, 0]) if known is None else scale_to(camera_from_world, known)
    scale = scale[:, None, None, None]
    colors = 3 * (config.sh_degree + 1) ** 2
    offsets, sizes, turns, harmonics, more, logits = raw.split((2, 3, 4, colors, 1, 1), -1)
    distance = ((depth + more[..., 0]) * scale)[..., None]  # B S H W 1
    focal = K[..., [0, 1], [0, 1]]
    rays = torch.einsum("bsij,bshwj->bshwi", world_from_camera[..., :3], rays_in_camera(offsets, K))
    means = scale[..., None] * world_from_camera[:, :, None, None, :, 3] + rays * distance
    spread = PIXELS_OF_SCALE * (1 / focal).sum(-1)[:, :, None, None, None] * distance
    scales = (config.scale_min + (config.scale_max - config.scale_min) * sizes.sigmoid()) * spread
    per_view = [quats_in_world(turns, world_from_camera), harmonics_in_world(harmonics, world_from_camera)]
    return PixelGaussians(
        means.flatten(1, 3), scales.flatten(1, 3), per_view[0].flatten(1, 3), logits[..., 0].sigmoid().flatten(1),
        per_view[1].flatten(1, 3),
    )  # fmt: skip


def rays_in_camera(offsets: Annotated[Tensor, "B S H W 2"], K: Annotated[Tensor, "B S 3 3"]) -> Tensor:
    """Unit directions through pixel centres moved by `offsets` pixels (x, y): [B, S, H, W, 3]."""
    height, width = offsets.shape[2:4]
    y, x = torch.meshgrid(*(torch.arange(n).to(offsets) + 0.5 for n in (height, width)), indexing="ij")
    xy = torch.stack((x, y), -1) + offsets
    focal, principal = K[..., [0, 1], [0, 1]], K[..., :2, 2]
    xy = (xy - principal[:, :, None, None]) / focal[:, :, None, None]
    return F.normalize(torch.cat((xy, torch.ones_like(xy[..., :1])), -1), dim=-1)


def quats_in_world(quats: Annotated[Tensor, "B S H W 4"], world_from_camera: Annotated[Tensor, "B S 3 4"]) -> Tensor:
    """Predicted quaternions, turned with their cameras, in the order that Gaussians have.

    Predicted (q₀, q₁, q₂, q₃) mean the rotation of i = q₃, j = q₀, k = q₁, r = q₂; the turned (i, j, k, r) are then used as
    (w, x, y, z). No sense, but the head was trained to make up for it.
    """
    quats = quats / (quats.norm(dim=-1, keepdim=True) + 1e-8)
    in_camera = rotation_from_xyzw(quats[..., [3, 0, 1, 2]])
    turned = world_from_camera[:, :, None, None, :, :3] @ in_camera
    return quats_from_matrices(turned)[..., [1, 2, 3, 0]]


def harmonics_in_world(
    harmonics: Annotated[Tensor, "B S H W R"], world_from_camera: Annotated[Tensor, "B S 3 4"]
) -> Tensor:  # fmt: skip
    """Predicted coefficients, colour by colour, to those of the same colours in the world: [B, S, H, W, 3, C]."""
    in_camera = harmonics.unflatten(-1, (3, -1))
    degree = round(in_camera.shape[-1] ** 0.5) - 1
    weights = [1.0] + [BAND * STEP**band for band in range(1, degree + 1) for _ in range(2 * band + 1)]
    rotations = world_from_camera[..., :3].flatten(0, 1).cpu().double().numpy()
    turns = torch.stack([torch.from_numpy(turning(rotation, degree)) for rotation in rotations])
    turns = (turns * torch.tensor(weights, dtype=turns.dtype)).to(harmonics).unflatten(0, harmonics.shape[:2])
    return torch.einsum("bsij,bshwcj->bshwci", turns, in_camera)


def scale_to(predicted: Annotated[Tensor, "B S 3 4"], known: Annotated[Tensor, "B S 4 4"]) -> Annotated[Tensor, "B"]:
    """The scale of the similarity from predicted to known camera centres; 1 where these leave it undecided."""
    scales = []
    for ours, theirs in zip(centers(predicted).cpu().double(), centers(known[..., :3, :]).cpu().double(), strict=True):
        try:
            scales.append(fit_points(ours, theirs).scale.clamp(*SCALE_LIMITS))
        except ValueError:  # fewer than three views, or all on a line
            scales.append(torch.ones((), dtype=torch.float64))
    return torch.stack(scales).to(predicted)
