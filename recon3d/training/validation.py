"""How good a geometry network is on procedural scenes that it was not trained on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from recon3d.data.batch import Batch
from recon3d.metrics.poses import auc, pair_errors
from recon3d.models.pose_encoding import matrices_from_encoding

LIMITS = (5, 15, 30)  # degrees


@dataclass(frozen=True)
class Figures:
    """Over all pairs of views of all scenes, and the mean over views of all scenes."""

    auc5: float
    auc15: float
    auc30: float
    abs_rel: float  # of depth, each scene's scale by the median ratio


@torch.no_grad()
def measured(network: nn.Module, batches: Iterable[Batch]) -> Figures:
    """`network`: pictures [B, V, 3, H, W] to what has pose `encodings` and `depth`. On its own device."""
    device = next(network.parameters()).device
    worst, depths = [], []
    for batch in batches:
        said = network(batch.images.to(device))
        cameras, _ = matrices_from_encoding(said.encodings[0].cpu().double(), batch.size)
        worst.append(pair_errors(square(cameras), batch.camera_from_world[0]).worst)
        depths.append(abs_rel(said.depth[0].cpu(), batch.depth[0]))
    errors = torch.cat(worst)
    auc5, auc15, auc30 = (round(auc(errors, limit), 4) for limit in LIMITS)
    return Figures(auc5, auc15, auc30, round(sum(depths) / len(depths), 4))


def abs_rel(found: Tensor, truth: Tensor) -> float:
    """Mean of |found · s - truth| / truth where the truth is known; s is the median of their ratio."""
    known = truth > 0
    found, truth = found[known], truth[known]
    return float(((truth / found).median() * found / truth - 1).abs().mean())


def square(matrices: Tensor) -> Tensor:
    last = matrices.new_tensor([0, 0, 0, 1]).expand(*matrices.shape[:-2], 1, 4)
    return torch.cat((matrices, last), -2)
