"""Real spherical harmonics in the order and sign of 3DGS, up to degree 3, and their rotation."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

C0 = 0.28209479177387814


def harmonics(directions: Annotated[Tensor, "G 3"], degree: int) -> Annotated[Tensor, "G S"]:
    """Values of the (degree + 1)^2 basis functions for unit directions from the camera centre to the Gaussian, in world axes.

    Source: Kerbl et al. 2023 (Condon-Shortley signs: Y1 = (-y, z, -x)); the constants are those of the real harmonics.
    """
    x, y, z = directions.unbind(-1)
    xx, yy, zz = x * x, y * y, z * z
    rows = [torch.full_like(x, C0)]
    if degree > 0:
        rows += [-0.48860251190292 * y, 0.48860251190292 * z, -0.48860251190292 * x]
    if degree > 1:
        rows += [
            1.092548430592079 * x * y,
            -1.092548430592079 * y * z,
            0.31539156525252 * (2 * zz - xx - yy),
            -1.092548430592079 * x * z,
            0.5462742152960395 * (xx - yy),
        ]
    if degree > 2:
        rows += [
            -0.5900435899266435 * y * (3 * xx - yy),
            2.890611442640554 * x * y * z,
            -0.4570457994644657 * y * (4 * zz - xx - yy),
            0.3731763325901154 * z * (2 * zz - 3 * xx - 3 * yy),
            -0.4570457994644657 * x * (4 * zz - xx - yy),
            1.445305721320277 * z * (xx - yy),
            -0.5900435899266435 * x * (xx - 3 * yy),
        ]
    return torch.stack(rows, -1)


def rotated_harmonics(sh: Annotated[Tensor, "G S 3"], rotation: Annotated[Tensor, "3 3"]) -> Annotated[Tensor, "G S 3"]:
    """Coefficients of the same colours in a world turned by `rotation`: new(R d) = old(d) for every direction d.

    Each degree is closed under rotation, so its matrix is found by solving at more directions than it has functions:
    Y(R d) M = Y(d), in float64; the system is exact, the residual is rounding.
    """
    degree = {1: 0, 4: 1, 9: 2, 16: 3}[sh.shape[1]]
    generator = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(64, 3, generator=generator, dtype=torch.float64), dim=-1)
    old = harmonics(directions, degree)
    new = harmonics(directions @ rotation.double().cpu().T, degree)
    turned = sh.clone()
    for band in range(1, degree + 1):
        rows = slice(band * band, (band + 1) ** 2)
        matrix = torch.linalg.lstsq(new[:, rows], old[:, rows]).solution
        turned[:, rows] = torch.einsum("ij,gjc->gic", matrix.to(sh), sh[:, rows])
    return turned
