"""What recon3d-small is trained by: cameras and depth as VGGT has them, and true matches of its patches.

All losses are means over scenes, so that as many scenes on two machines as on one give the same step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor

from recon3d.data.batch import Batch
from recon3d.models.small.network import Small, compared_with
from recon3d.training.losses import Truth, camera_loss, dense_loss, normalised, truth_encodings

AGREE = 0.03  # relative difference of depths of one surface in two views


@dataclass(frozen=True)
class Weights:
    camera: float = 5.0
    depth: float = 1.0
    match: float = 0.1


@dataclass(frozen=True)
class Losses:
    """Unweighted means over scenes."""

    camera: Tensor
    depth: Tensor
    match: Tensor

    def total(self, weights: Weights) -> Tensor:
        return weights.camera * self.camera + weights.depth * self.depth + weights.match * self.match


def losses(said: Small, batch: Batch, patch: int) -> Losses:
    valid = batch.depth > 0
    truth = normalised(truth_of(batch), valid)
    encodings = truth_encodings(truth, batch.K)
    targets = true_matches(batch, patch)
    parts = []
    for b in range(len(batch.depth)):
        one = slice(b, b + 1)
        camera = camera_loss([said.encodings[one]], encodings[one], valid[one]).total
        depth = dense_loss(
            said.depth[one, ..., None], said.confidence[one], truth.depth[one, ..., None], valid[one], "grad", 0
        )
        match = F.cross_entropy(said.matches[b].flatten(0, 1), targets[b].flatten(), ignore_index=-1, reduction="sum")
        parts.append(torch.stack((camera, depth.total, match / (targets[b] >= 0).sum().clamp_min(1))))
    return Losses(*torch.stack(parts).mean(0))


def truth_of(batch: Batch) -> Truth:
    return Truth(batch.camera_from_world[..., :3, :], batch.points_in_camera(), batch.points_in_world(), batch.depth)


def true_matches(batch: Batch, patch: int) -> Annotated[Tensor, "B V T"]:
    """The patch of the view that it is compared with in which the middle of each patch lies; -1 where it is not seen."""
    views, (height, width) = batch.depth.shape[1], batch.size
    middle = slice(patch // 2, None, patch)
    points = batch.points_in_world()[:, :, middle, middle].flatten(2, 3)  # B V T 3
    known = batch.depth[:, :, middle, middle].flatten(2) > 0
    other = compared_with(views)
    cameras, K, depth = batch.camera_from_world[:, other], batch.K[:, other], batch.depth[:, other]
    there = torch.einsum("bvij,bvtj->bvti", cameras[..., :3, :3], points) + cameras[..., None, :3, 3]
    pixels = torch.einsum("bvij,bvtj->bvti", K, there)
    pixels = pixels[..., :2] / pixels[..., 2:].clamp_min(1e-6)
    inside = (there[..., 2] > 0) & (pixels >= 0).all(-1) & (pixels < torch.tensor([width, height], device=pixels.device)).all(-1)
    x, y = (pixels[..., i].clamp(0, n - 1).long() for i, n in ((0, width), (1, height)))
    seen = depth.flatten(2).gather(2, y * width + x)
    same = inside & known & ((seen - there[..., 2]).abs() < AGREE * there[..., 2])
    return torch.where(same, y // patch * (width // patch) + x // patch, -1)
