"""The position embedding that ZPressor's hosts add to their features."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from torch import Tensor

BASE = 10_000.0


def with_positions(features: Annotated[Tensor, "B C h w"], splits: int) -> Annotated[Tensor, "B C h w"]:
    """Sines of row and column added, anew in each of splits × splits windows, whose sides divide the map's."""
    channels, height, width = features.shape[1], features.shape[2] // splits, features.shape[3] // splits
    half = torch.arange(channels // 2, device=features.device)
    divisors = BASE ** (2 * (half // 2) / (channels // 2))
    axes = []
    for count in (height, width):
        angles = 2 * math.pi * torch.arange(1, count + 1, device=features.device) / (count + 1e-6)
        turned = angles[:, None] / divisors
        axes.append(torch.where(half % 2 == 0, turned.sin(), turned.cos()).T)  # C/2 count
    rows, columns = axes[0][:, :, None].expand(-1, -1, width), axes[1][:, None].expand(-1, height, -1)
    return features + torch.cat((rows, columns)).repeat(1, splits, splits).to(features)
