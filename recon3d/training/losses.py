"""The losses of VGGT (Wang et al. 2025, section 3.3) as its code has them: cameras, depth, points, over normalised truth.

Shapes: B scenes, S views. The world is the first camera's frame; cameras are pose encodings (models.pose_encoding).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from recon3d.models.pose_encoding import encoding_from_matrices

LARGEST = 100.0  # of a single error or loss: what is beyond says nothing more
FEWEST_PIXELS = 100  # of a first view, and of a batch, below which a term is left out
FEWEST_KEPT = 1000  # errors that a quantile must leave to be used
FEWEST_NORMALS = 10
DECAY = 0.6  # weight of a pass against the one after it
FIELD_OF_VIEW_WEIGHT = 0.5
CONFIDENCE_REWARD = 0.2  # alpha of the paper


@dataclass(frozen=True)
class Truth:
    """What the losses compare with, in the frame of each scene's first camera and divided by its scale."""

    camera_from_world: Annotated[Tensor, "B S 3 4"]
    points_in_camera: Annotated[Tensor, "B S H W 3"]
    points_in_world: Annotated[Tensor, "B S H W 3"]
    depth: Annotated[Tensor, "B S H W"]


def normalised(truth: Truth, valid: Annotated[Tensor, "B S H W"]) -> Truth:
    """Moved so that the first camera is the identity, and divided by the mean distance of valid points from it."""
    rotation, translation = truth.camera_from_world[..., :3], truth.camera_from_world[..., 3]
    back = rotation[:, :1].transpose(-1, -2)
    turned = rotation @ back
    moved = translation - (turned @ translation[:, :1, :, None])[..., 0]
    first = truth.camera_from_world[:, 0]
    points = torch.einsum("bij,bshwj->bshwi", first[..., :3], truth.points_in_world) + first[:, None, None, None, :, 3]
    distance = torch.where(valid, points.norm(dim=-1), 0)
    scale = (distance.sum((1, 2, 3)) / (valid.sum((1, 2, 3)) + 1e-3)).clamp(1e-6, 1e6)

    def divided(x: Tensor) -> Tensor:
        return _finite(x / scale.reshape(-1, *[1] * (x.dim() - 1)))

    return Truth(
        torch.cat((_finite(turned), divided(moved)[..., None]), -1),
        divided(truth.points_in_camera), divided(points), divided(truth.depth),
    )  # fmt: skip


@dataclass(frozen=True)
class CameraLoss:
    """The parts are unweighted means; `total` adds them."""

    translation: Tensor
    rotation: Tensor
    field_of_view: Tensor

    @property
    def total(self) -> Tensor:
        return self.translation + self.rotation + FIELD_OF_VIEW_WEIGHT * self.field_of_view


def camera_loss(
    encodings: Sequence[Annotated[Tensor, "B S 9"]], truth: Annotated[Tensor, "B S 9"],
    valid: Annotated[Tensor, "B S H W"], kind: Literal["l1", "l2"] = "l1",
) -> CameraLoss:  # fmt: skip
    """Over the passes of a camera head, later ones counting more; only scenes whose first view has pixels count."""
    counts = valid[:, 0].sum((-1, -2)) > FEWEST_PIXELS
    parts = []
    for part in (slice(0, 3), slice(3, 7), slice(7, 9)):
        total = encodings[0].new_zeros(())
        for k, encoding in enumerate(encodings):
            apart = encoding[counts][..., part] - truth[counts][..., part]
            error = apart.abs() if kind == "l1" else apart.norm(dim=-1)
            if part.start == 0:
                error = error.clamp(max=LARGEST)
            total = total + DECAY ** (len(encodings) - 1 - k) * (error.mean() if counts.any() else 0 * encoding.sum())
        parts.append(total / len(encodings))
    return CameraLoss(*parts)


@dataclass(frozen=True)
class DenseLoss:
    """Of depth or points."""

    confidence: Tensor  # errors weighted by predicted confidence, which is rewarded
    regression: Tensor
    gradient: Tensor

    @property
    def total(self) -> Tensor:
        return self.confidence + self.regression + self.gradient


def dense_loss(
    predicted: Annotated[Tensor, "B S H W C"], confidence: Annotated[Tensor, "B S H W"],
    truth: Annotated[Tensor, "B S H W C"], valid: Annotated[Tensor, "B S H W"], gradient: str | None, quantile: float,
) -> DenseLoss:  # fmt: skip
    """`gradient` names the smoothness term: "grad", "normal", with "conf" in the name weighted by confidence; None: none.

    `quantile`: the share of the smallest errors that counts; 0: all.
    """
    if int(valid.sum()) < FEWEST_PIXELS:
        zero = 0 * (predicted.sum() + confidence.sum())
        return DenseLoss(zero, zero, zero)
    truth = _safe(truth)
    error = _safe((truth - predicted)[valid].norm(dim=-1))
    weighted = _rewarded(error, confidence[valid])
    smoothness = 0 * predicted.sum()
    if gradient is not None:
        weights = confidence.flatten(0, 1) if "conf" in gradient else None
        term, scales = (normal_term, 3) if "normal" in gradient else (gradient_term, 4)
        smoothness = over_scales(
            term, scales, predicted.flatten(0, 1), truth.flatten(0, 1), valid.flatten(0, 1), weights
        )
    return DenseLoss(_smallest(_safe(weighted), quantile).mean(), _smallest(error, quantile).mean(), smoothness)


Term = Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]


def over_scales(
    term: Term, scales: int, predicted: Tensor, truth: Tensor, valid: Tensor, confidence: Tensor | None
) -> Tensor:
    """Mean of a term over every pixel, every second, every fourth, ..."""
    total = predicted.new_zeros(())
    for scale in range(scales):
        step = slice(None, None, 2**scale)
        few = None if confidence is None else confidence[:, step, step]
        total = total + term(predicted[:, step, step], truth[:, step, step], valid[:, step, step], few)
    return total / scales


def gradient_term(predicted: Tensor, truth: Tensor, valid: Tensor, confidence: Tensor | None) -> Tensor:
    """Differences between neighbours of the error [n, H, W, C], per valid pixel and channel."""
    error = torch.where(valid[..., None], predicted - truth, 0)
    total = predicted.new_zeros(())
    for axis in (1, 2):
        count = error.shape[axis]
        before, after = ((x.narrow(axis, 0, count - 1), x.narrow(axis, 1, count - 1)) for x in (error, valid))
        steps = (before[1] - before[0]).abs() * (after[0] & after[1])[..., None]
        steps = steps.clamp(max=LARGEST)
        if confidence is not None:
            steps = _rewarded(steps, confidence.narrow(axis, 1, count - 1)[..., None])
        total = total + steps.sum()
    pixels = int(valid.sum()) * error.shape[-1]
    return total / pixels if pixels else 0 * total


def normal_term(predicted: Tensor, truth: Tensor, valid: Tensor, confidence: Tensor | None) -> Tensor:
    """One minus the cosine between normals of both point maps [n, H, W, 3], four normals a pixel."""
    ours, known = normals(predicted, valid)
    theirs, _ = normals(truth, valid)
    cosine = (ours * theirs).sum(-1).clamp(-1 + 1e-8, 1 - 1e-8)
    error = (1 - cosine)[known]
    if len(error) < FEWEST_NORMALS:
        return 0 * predicted.sum()
    if confidence is not None:
        error = _rewarded(error, confidence[None].expand(4, -1, -1, -1)[known])
    return error.mean()


def normals(points: Tensor, valid: Tensor) -> tuple[Annotated[Tensor, "4 n H W 3"], Annotated[Tensor, "4 n H W"]]:
    """Cross products of the ways to two neighbours, and where pixel and both neighbours are valid."""
    padded = F.pad(points, (0, 0, 1, 1, 1, 1))
    inside = F.pad(valid, (1, 1, 1, 1))
    around = ((0, 1), (1, 0), (2, 1), (1, 2))  # up, left, down, right: row and column of the neighbour
    height, width = points.shape[1:3]
    ways = [padded[:, r : r + height, c : c + width] - points for r, c in around]
    there = [inside[:, r : r + height, c : c + width] & valid for r, c in around]
    crosses = [torch.linalg.cross(ways[i], ways[(i + 1) % 4]) for i in range(4)]
    known = [there[i] & there[(i + 1) % 4] for i in range(4)]
    return F.normalize(torch.stack(crosses), dim=-1, eps=1e-8), torch.stack(known)


def truth_encodings(truth: Truth, K: Annotated[Tensor, "B S 3 3"]) -> Annotated[Tensor, "B S 9"]:
    """Pose encodings of the true cameras, for pictures of the size of the depth."""
    height, width = truth.depth.shape[-2:]
    return encoding_from_matrices(truth.camera_from_world, K, (height, width))


def _rewarded(error: Tensor, confidence: Tensor) -> Tensor:
    return error * confidence - CONFIDENCE_REWARD * confidence.log()


def _smallest(values: Tensor, quantile: float) -> Tensor:
    """Values below the quantile, where enough are left."""
    if quantile <= 0 or len(values) <= FEWEST_KEPT:
        return values
    values = values.clamp(max=LARGEST)
    threshold = values.detach().kthvalue(round(quantile * (len(values) - 1)) + 1).values.clamp(max=LARGEST)
    below = values < threshold
    return values[below] if int(below.sum()) > FEWEST_KEPT else values


def _safe(x: Tensor) -> Tensor:
    return _finite(x).clamp(-LARGEST, LARGEST)


def _finite(x: Tensor) -> Tensor:
    return torch.where(torch.isfinite(x), x, 0)


def bottleneck_loss(latent: Annotated[Tensor, "B A C h w"], weight: float = 1e-5) -> Annotated[Tensor, ""]:
    """What ZPressor's features tell beyond a normal distribution, in bits: the KL divergence of each channel's mean and
    (biased) variance over a map from the standard ones, summed over channels, its mean over anchors times `weight`.

    Source: ZPressor (arXiv 2505.23734), its information bottleneck as the released code has it.
    """
    mean, variance = latent.mean((-2, -1)), latent.var((-2, -1), correction=0) + 1e-8
    divergence = 0.5 * (mean.square() + variance - 1 - variance.log()).sum(-1)
    return weight * divergence.mean() / math.log(2)
