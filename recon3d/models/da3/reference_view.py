"""Which view the others are told of: chosen from the class tokens of the views, and moved to the front of the sequence."""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor

from recon3d.models.da3.config import ReferenceView


def reference_view(tokens: Annotated[Tensor, "B S C"], strategy: ReferenceView) -> Annotated[Tensor, "B"]:
    """The index of each scene's reference view; `tokens` are class tokens. The first of equals.

    "saddle_balanced" takes the view that is most nearly in the middle of its scene in three ways: likeness to the others,
    length of its token, spread of its channels. "saddle_sim_range" takes the widest range of likenesses. Source: the
    published network (Lin et al. 2025, arXiv 2511.10647).
    """
    scenes, views = tokens.shape[:2]
    if strategy in ("first", "middle"):
        return torch.full((scenes,), 0 if strategy == "first" else views // 2, device=tokens.device)
    directions = F.normalize(tokens, dim=-1)
    likeness = directions @ directions.transpose(1, 2)
    if strategy == "saddle_sim_range":
        others = likeness - torch.eye(views, device=tokens.device)
        return (others.amax(-1) - others.amin(-1)).argmax(-1)
    measures = torch.stack(((likeness.sum(-1) - 1) / (views - 1), tokens.norm(dim=-1), directions.var(-1)), -1)  # B S 3
    low, high = measures.amin(1, keepdim=True), measures.amax(1, keepdim=True)
    return ((measures - low) / (high - low + 1e-8) - 0.5).abs().sum(-1).argmin(-1)


def order_of(reference: Annotated[Tensor, "B"], views: int) -> Annotated[Tensor, "B S"]:
    """Indices of the views with the reference in front; the others keep their order."""
    keys = torch.arange(views, device=reference.device).expand(len(reference), -1)
    return keys.scatter(1, reference[:, None], -1).argsort(1)


def reordered(x: Annotated[Tensor, "B S ..."], order: Annotated[Tensor, "B S"]) -> Tensor:
    return x[torch.arange(len(x), device=x.device)[:, None], order]
