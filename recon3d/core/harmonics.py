"""Real spherical harmonics in the order and sign of 3DGS, up to degree 3, and their rotation. Loads no torch by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

C0 = 0.28209479177387814
DEGREES = {1: 0, 4: 1, 9: 2, 16: 3}  # of a number of coefficients


def basis(x: Any, y: Any, z: Any, degree: int) -> list[Any]:
    """Values of the (degree + 1)^2 functions for unit directions, numpy arrays or tensors, from the camera to the Gaussian.

    Source: Kerbl et al. 2023 (Condon-Shortley signs: Y1 = (-y, z, -x)); the constants are those of the real harmonics.
    """
    xx, yy, zz = x * x, y * y, z * z
    rows = [0 * x + C0]
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
    return rows


def harmonics(directions: Annotated[Tensor, "G 3"], degree: int) -> Annotated[Tensor, "G S"]:
    """The functions of `basis` for unit directions, in world axes."""
    import torch

    x, y, z = directions.unbind(-1)
    return torch.stack(basis(x, y, z, degree), -1)


def turning(turn: Annotated[np.ndarray, "3 3"], degree: int) -> Annotated[np.ndarray, "S S"]:
    """The float64 matrix from coefficients to those of the same colours in a world turned (or mirrored) by `turn`.

    new(R d) = old(d) for every direction d. Each degree is closed under rotation, so its block is found by solving at
    more directions than it has functions: Y(R d) M = Y(d); the system is exact, the residual is rounding.
    """
    d = np.random.default_rng(0).normal(size=(3, 64))
    d /= np.linalg.norm(d, axis=0)
    turned = np.asarray(turn, np.float64) @ d
    old = np.stack(basis(d[0], d[1], d[2], degree), -1)
    new = np.stack(basis(turned[0], turned[1], turned[2], degree), -1)
    matrix = np.eye((degree + 1) ** 2)
    for band in range(1, degree + 1):
        rows = slice(band * band, (band + 1) ** 2)
        matrix[rows, rows] = np.linalg.lstsq(new[:, rows], old[:, rows], rcond=None)[0]
    return matrix
