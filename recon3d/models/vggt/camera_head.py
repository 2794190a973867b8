"""VGGT's camera head: a pose encoding refined four times, each pass conditioned on the one before."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recon3d.models.attention import Rotation, attention
from recon3d.models.vggt.config import CameraHeadConfig
from recon3d.models.vit import Attend, Block, LayerNorm, Linear, Mlp

ENCODING = 9  # recon3d.models.pose_encoding


class CameraHead(nn.Module):
    def __init__(self, width: int, config: CameraHeadConfig) -> None:
        super().__init__()
        trunk, self.iterations = config.trunk, config.iterations
        self.token_norm = LayerNorm(width, eps=1e-5)
        self.trunk = nn.ModuleList(
            Block(width, trunk.num_heads, int(width * trunk.mlp_ratio), 1e-5, layerscale=config.layerscale_init)
            for _ in range(trunk.trunk_depth)
        )
        self.trunk_norm = LayerNorm(width, eps=1e-5)
        self.empty_pose_tokens = nn.Parameter(torch.zeros(1, 1, ENCODING))
        self.embed_pose = Linear(ENCODING, width)
        self.poseLN_modulation = nn.Sequential(nn.SiLU(), Linear(width, 3 * width))
        self.pose_branch = Mlp(width, width // 2, ENCODING)

    def forward(
        self, tokens: Tensor, attend: Callable[[int, int], Attend] = lambda iteration, block: attention,
        iterations: int | None = None, rotate: Rotation | None = None,
    ) -> Tensor:  # fmt: skip
        """Camera tokens [B, S, D] -> pose encodings of all passes [iterations, B, S, 9]; the last is the prediction.

        `attend(iteration, block)` is the attention over views of that block in that pass.
        """
        t = self.token_norm(tokens)
        plain = F.layer_norm(t, t.shape[-1:], eps=1e-6)
        raw, passes = None, []
        for iteration in range(iterations or self.iterations):
            before = self.empty_pose_tokens.expand(*t.shape[:2], -1) if raw is None else raw.detach()
            shift, scale, gate = self.poseLN_modulation(self.embed_pose(before)).chunk(3, -1)
            x = gate * (plain * (1 + scale) + shift) + t
            for i, block in enumerate(self.trunk):
                x = block(x, rotate, attend(iteration, i))
            delta = self.pose_branch(self.trunk_norm(x))
            raw = delta if raw is None else raw + delta
            passes.append(torch.cat((raw[..., :7], raw[..., 7:].relu()), -1))
        return torch.stack(passes)
