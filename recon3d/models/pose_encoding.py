"""Nine numbers a camera: translation, quaternion (x, y, z, w), vertical and horizontal field of view in radians.

VGGT (Wang et al. 2025) and those after it decode cameras so; whether the matrix is camera_from_world or its inverse is
said where it is called. The principal point is the middle of the picture.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from recon3d.core.rotations import quats_from_matrices

LEAST_TANGENT = 1e-6  # a field of view of 0, which a ReLU can give, is kept from an infinite focal length


def matrices_from_encoding(
    encoding: Annotated[Tensor, "... 9"], size: tuple[int, int]
) -> tuple[Annotated[Tensor, "... 3 4"], Annotated[Tensor, "... 3 3"]]:
    """([R | t], K in pixels of a picture of `size` (height, width))."""
    rotation = rotation_from_xyzw(encoding[..., 3:7])
    height, width = size
    focal = torch.tensor([width, height]).to(encoding) / 2 / (encoding[..., [8, 7]] / 2).tan().clamp_min(LEAST_TANGENT)
    K = torch.zeros(*encoding.shape[:-1], 3, 3, dtype=encoding.dtype, device=encoding.device)
    K[..., 0, 0], K[..., 1, 1] = focal.unbind(-1)
    K[..., 0, 2], K[..., 1, 2], K[..., 2, 2] = width / 2, height / 2, 1
    return torch.cat((rotation, encoding[..., :3, None]), -1), K


def encoding_from_matrices(
    matrices: Annotated[Tensor, "... 3 4"], K: Annotated[Tensor, "... 3 3"], size: tuple[int, int]
) -> Annotated[Tensor, "... 9"]:
    """The encoding of [R | t] and K; the principal point is ignored, w of the quaternion is not negative."""
    height, width = size
    half = torch.tensor([height, width]).to(K) / 2
    views = 2 * torch.atan(half / torch.stack((K[..., 1, 1], K[..., 0, 0]), -1))
    xyzw = quats_from_matrices(matrices[..., :3])[..., [1, 2, 3, 0]]
    return torch.cat((matrices[..., 3], xyzw, views), -1)


def rotation_from_xyzw(quats: Annotated[Tensor, "... 4"]) -> Annotated[Tensor, "... 3 3"]:
    """Rotation matrices of quaternions (x, y, z, w) of any length."""
    i, j, k, r = quats.unbind(-1)
    s = 2 / quats.square().sum(-1)
    rows = (
        1 - s * (j * j + k * k), s * (i * j - k * r), s * (i * k + j * r),
        s * (i * j + k * r), 1 - s * (i * i + k * k), s * (j * k - i * r),
        s * (i * k - j * r), s * (j * k + i * r), 1 - s * (i * i + j * j),
    )  # fmt: skip
    return torch.stack(rows, -1).unflatten(-1, (3, 3))


def inverse_of(matrices: Annotated[Tensor, "... 3 4"]) -> Annotated[Tensor, "... 3 4"]:
    """[R | t] -> [Rᵀ | −Rᵀ t]."""
    transposed = matrices[..., :3].transpose(-1, -2)
    return torch.cat((transposed, -transposed @ matrices[..., 3:]), -1)
