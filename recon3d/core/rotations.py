"""Rotations between their forms: matrices in the product, quaternions wxyz where a format or a Gaussian wants them."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor


def matrices_from_quats(quats: Annotated[Tensor, "G 4"]) -> Annotated[Tensor, "G 3 3"]:
    """wxyz of any positive length -> rotation matrices."""
    w, x, y, z = (quats / quats.norm(dim=-1, keepdim=True)).unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, -1).reshape(*quats.shape[:-1], 3, 3)


def quats_from_matrices(rotations: Annotated[Tensor, "G 3 3"]) -> Annotated[Tensor, "G 4"]:
    """Rotation matrices -> unit wxyz with w >= 0, by the largest of the four components (Shepperd 1978)."""
    r = rotations
    xx, yy, zz = r[..., 0, 0], r[..., 1, 1], r[..., 2, 2]
    # Row k holds 4 q_k q; the one with the largest q_k has no cancellation.
    four = torch.stack(
        [
            torch.stack(
                [
                    1 + xx + yy + zz,
                    r[..., 2, 1] - r[..., 1, 2],
                    r[..., 0, 2] - r[..., 2, 0],
                    r[..., 1, 0] - r[..., 0, 1],
                ],
                -1,
            ),
            torch.stack(
                [
                    r[..., 2, 1] - r[..., 1, 2],
                    1 + xx - yy - zz,
                    r[..., 0, 1] + r[..., 1, 0],
                    r[..., 0, 2] + r[..., 2, 0],
                ],
                -1,
            ),
            torch.stack(
                [
                    r[..., 0, 2] - r[..., 2, 0],
                    r[..., 0, 1] + r[..., 1, 0],
                    1 - xx + yy - zz,
                    r[..., 1, 2] + r[..., 2, 1],
                ],
                -1,
            ),
            torch.stack(
                [
                    r[..., 1, 0] - r[..., 0, 1],
                    r[..., 0, 2] + r[..., 2, 0],
                    r[..., 1, 2] + r[..., 2, 1],
                    1 - xx - yy + zz,
                ],
                -1,
            ),
        ],
        -2,
    )
    best = torch.diagonal(four, dim1=-2, dim2=-1).argmax(-1)
    quats = torch.take_along_dim(four, best[..., None, None], -2)[..., 0, :]
    quats = quats / quats.norm(dim=-1, keepdim=True)
    return torch.where(quats[..., :1] < 0, -quats, quats)


def rotation_from_vector(vector: Annotated[Tensor, "... 3"]) -> Annotated[Tensor, "... 3 3"]:
    """Rotation about `vector` by its length in radians (Rodrigues), differentiable at zero."""
    zero = torch.zeros_like(vector[..., 0])
    x, y, z = vector.unbind(-1)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*vector.shape[:-1], 3, 3)
    return torch.linalg.matrix_exp(skew)


def rotation_angle(rotations: Annotated[Tensor, "... 3 3"]) -> Annotated[Tensor, "..."]:
    """Angle of rotation in degrees."""
    # atan2 of the two parts, not acos of the trace, which loses half of its digits at small angles.
    r = rotations
    skew = torch.stack([r[..., 2, 1] - r[..., 1, 2], r[..., 0, 2] - r[..., 2, 0], r[..., 1, 0] - r[..., 0, 1]], -1)
    trace = torch.diagonal(rotations, dim1=-2, dim2=-1).sum(-1)
    return torch.rad2deg(torch.atan2(skew.norm(dim=-1), trace - 1))
