"""DA3's cameras: decoded from tokens of views, and known ones encoded into such tokens."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn

from recon3d.models.pose_encoding import encoding_from_matrices, inverse_of, matrices_from_encoding
from recon3d.models.sizes import TrunkConfig
from recon3d.models.vit import Block, LayerNorm, Linear, Mlp

ENCODING = 9  # recon3d.models.pose_encoding


def cameras_from_encoding(
    encoding: Annotated[Tensor, "... 9"], size: tuple[int, int]
) -> tuple[Annotated[Tensor, "... 3 4"], Annotated[Tensor, "... 3 3"]]:
    """(camera_from_world, K in pixels of a picture of `size` (height, width)); the encoding tells world_from_camera."""
    world_from_camera, K = matrices_from_encoding(encoding, size)
    return inverse_of(world_from_camera), K


def encoding_from_cameras(
    camera_from_world: Annotated[Tensor, "... 3 4"], K: Annotated[Tensor, "... 3 3"], size: tuple[int, int]
) -> Annotated[Tensor, "... 9"]:
    return encoding_from_matrices(inverse_of(camera_from_world), K, size)


class CameraDecoder(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.backbone = nn.Sequential(Linear(width, width), nn.ReLU(), Linear(width, width), nn.ReLU())
        self.fc_t = Linear(width, 3)
        self.fc_qvec = Linear(width, 4)
        self.fc_fov = nn.Sequential(Linear(width, 2), nn.ReLU())

    def forward(self, tokens: Tensor) -> Tensor:
        """Camera tokens [B, S, D] -> pose encodings [B, S, 9] of world_from_camera."""
        x = self.backbone(tokens)
        return torch.cat((self.fc_t(x), self.fc_qvec(x), self.fc_fov(x)), -1)


class CameraEncoder(nn.Module):
    def __init__(self, width: int, config: TrunkConfig) -> None:
        super().__init__()
        hidden = int(width * config.mlp_ratio)
        self.pose_branch = Mlp(ENCODING, width // 2, width)
        self.token_norm = LayerNorm(width, eps=1e-5)
        self.trunk = nn.ModuleList(
            Block(width, config.num_heads, hidden, 1e-5, layerscale=0.01) for _ in range(config.trunk_depth)
        )
        self.trunk_norm = LayerNorm(width, eps=1e-5)

    def forward(self, encoding: Tensor) -> Tensor:
        """Pose encodings [B, S, 9] of world_from_camera -> a token for each view [B, S, C]."""
        x = self.token_norm(self.pose_branch(encoding))
        for block in self.trunk:
            x = block(x)
        return self.trunk_norm(x)
