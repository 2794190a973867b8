"""How far a frame's pixels move against a key frame: the measure by which LingBot-Map may choose its key frames."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from recon3d.models.pose_encoding import inverse_of, matrices_from_encoding

STRIDE = 8  # every how many pixels one is followed
NEAR = 1e-6  # depths below are no surface


def mean_flow(
    encoding: Annotated[Tensor, "... 9"], depth: Annotated[Tensor, "... H W"], key_encoding: Annotated[Tensor, "... 9"],
    stride: int = STRIDE,
) -> Annotated[Tensor, "..."]:  # fmt: skip
    """Mean length in pixels by which pixels of a frame with `depth` move in the key frame's camera; 0 where none is seen.

    Cameras are world_from_camera. Pixels count from 0 at the first one's centre, as in the reference: the half pixel beside
    docs/conventions.md lies in both ends of the flow.
    """
    height, width = depth.shape[-2:]
    world_from_camera, K = matrices_from_encoding(encoding, (height, width))
    world_from_key, K_key = matrices_from_encoding(key_encoding, (height, width))
    rows, columns = torch.arange(0, height, stride), torch.arange(0, width, stride)
    v, u = torch.meshgrid(rows.to(depth), columns.to(depth), indexing="ij")
    pixels = torch.stack((u, v), -1).flatten(0, 1)  # n 2
    z = depth[..., ::stride, ::stride].flatten(-2)[..., None]  # ... n 1
    in_camera = torch.cat(((pixels - center(K)) / focal(K) * z, z), -1)
    in_key = moved(inverse_of(world_from_key), moved(world_from_camera, in_camera))
    ahead = in_key[..., 2:]
    seen = ((z > NEAR) & (ahead > NEAR))[..., 0]
    flow = in_key[..., :2] / ahead.clamp_min(NEAR) * focal(K_key) + center(K_key) - pixels
    return torch.where(seen, flow.norm(dim=-1), 0).sum(-1) / seen.sum(-1).clamp_min(1)


def moved(matrices: Annotated[Tensor, "... 3 4"], points: Annotated[Tensor, "... n 3"]) -> Annotated[Tensor, "... n 3"]:
    return points @ matrices[..., :3].transpose(-1, -2) + matrices[..., None, :, 3]


def focal(K: Annotated[Tensor, "... 3 3"]) -> Annotated[Tensor, "... 1 2"]:
    return K.diagonal(dim1=-2, dim2=-1)[..., None, :2]


def center(K: Annotated[Tensor, "... 3 3"]) -> Annotated[Tensor, "... 1 2"]:
    return K[..., None, :2, 2]
