"""Similarities of the world: scale, rotation, translation; applied, composed, inverted and fitted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from recon3d.core.shapes import check_shapes


@dataclass(frozen=True)
class Similarity:
    """x -> scale * rotation @ x + translation."""

    scale: Annotated[Tensor, ""]
    rotation: Annotated[Tensor, "3 3"]
    translation: Annotated[Tensor, "3"]

    def __post_init__(self) -> None:
        check_shapes(self)

    @staticmethod
    def identity() -> Similarity:
        return Similarity(
            torch.ones((), dtype=torch.float64), torch.eye(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
        )

    @staticmethod
    def of(scale: float = 1.0, rotation: Tensor | None = None, translation: Tensor | None = None) -> Similarity:
        """From parts, float64; what is not given is that of the identity."""
        one = Similarity.identity()
        return Similarity(
            torch.as_tensor(scale, dtype=torch.float64),
            one.rotation if rotation is None else rotation.double(),
            one.translation if translation is None else translation.double(),
        )

    def apply(self, points: Annotated[Tensor, "P 3"]) -> Annotated[Tensor, "P 3"]:
        """Points in the old world -> points in the new one, in the dtype of the points."""
        moved = self.scale * (points.double() @ self.rotation.T) + self.translation
        return moved.to(points.dtype)

    def inverse(self) -> Similarity:
        rotation = self.rotation.T
        return Similarity(1 / self.scale, rotation, -(rotation @ self.translation) / self.scale)

    def __matmul__(self, other: Similarity) -> Similarity:
        return Similarity(
            self.scale * other.scale,
            self.rotation @ other.rotation,
            self.scale * (self.rotation @ other.translation) + self.translation,
        )


def fit_points(
    source: Annotated[Tensor, "P 3"], target: Annotated[Tensor, "P 3"], weights: Annotated[Tensor, "P"] | None = None
) -> Similarity:
    """The similarity that takes `source` to `target` with least weighted squares (Umeyama 1991, eq. 40 to 43).

    Raises ValueError for fewer than three points, or points on a line, which leave a rotation undecided.
    """
    source, target = source.double(), target.double()
    w = torch.ones(len(source), dtype=torch.float64) if weights is None else weights.double()
    w = w / w.sum()
    mean_source, mean_target = w @ source, w @ target
    a, b = source - mean_source, target - mean_target
    u, s, vt = torch.linalg.svd((b * w[:, None]).T @ a)
    if len(source) < 3 or s[1] <= 1e-9 * s[0]:
        raise ValueError("a similarity needs three points that are not on one line")
    sign = torch.ones(3, dtype=torch.float64)
    sign[2] = torch.sign(torch.linalg.det(u) * torch.linalg.det(vt))
    rotation = u @ torch.diag(sign) @ vt
    scale = (s * sign).sum() / (w @ a.square().sum(1))
    return Similarity(scale, rotation, mean_target - scale * rotation @ mean_source)


def mean_rotation(
    rotations: Annotated[Tensor, "N 3 3"], weights: Annotated[Tensor, "N"] | None = None
) -> Annotated[Tensor, "3 3"]:
    """The rotation nearest to the (weighted) mean matrix: the chordal L2 mean (Hartley et al. 2013, section 5.3)."""
    w = torch.ones(len(rotations), dtype=torch.float64) if weights is None else weights.double()
    u, _, vt = torch.linalg.svd((w[:, None, None] * rotations.double()).sum(0))
    sign = torch.ones(3, dtype=torch.float64)
    sign[2] = torch.sign(torch.linalg.det(u) * torch.linalg.det(vt))
    return u @ torch.diag(sign) @ vt
