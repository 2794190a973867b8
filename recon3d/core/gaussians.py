"""Gaussians: physical values of a splat scene. Logs and logits live in the refinement and in the file codecs only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

import torch
from torch import Tensor

from recon3d.core.cameras import as_index
from recon3d.core.harmonics import rotated_harmonics
from recon3d.core.rotations import quaternion_product, quats_from_matrices
from recon3d.core.shapes import check_shapes
from recon3d.core.similarity import Similarity

Mode = Literal["default", "antialiased", "2dgs"]


@dataclass(frozen=True)
class Gaussians:
    """G anisotropic Gaussians in the world frame (Kerbl et al. 2023)."""

    means: Annotated[Tensor, "G 3"]
    quats: Annotated[Tensor, "G 4"]  # wxyz, unit: world_from_gaussian
    scales: Annotated[Tensor, "G 3"]  # > 0, standard deviations in world units
    opacities: Annotated[Tensor, "G"]  # 0 to 1
    sh: Annotated[Tensor, "G S 3"]  # S = (degree + 1)^2 coefficients of the real harmonics, colour = 0.5 + sum
    mode: Mode = "default"

    def __post_init__(self) -> None:
        check_shapes(self)
        if self.sh.shape[1] not in (1, 4, 9, 16):
            raise ValueError(f"Gaussians.sh has {self.sh.shape[1]} coefficients, expected 1, 4, 9 or 16")

    def __len__(self) -> int:
        return len(self.means)

    def __getitem__(self, index) -> Gaussians:
        index = as_index(index, len(self)).to(self.means.device)
        return Gaussians(
            self.means[index], self.quats[index], self.scales[index], self.opacities[index], self.sh[index], self.mode
        )

    @property
    def degree(self) -> int:
        return {1: 0, 4: 1, 9: 2, 16: 3}[self.sh.shape[1]]

    def to(self, device: torch.device | str) -> Gaussians:
        moved = {name: getattr(self, name).to(device) for name in ("means", "quats", "scales", "opacities", "sh")}
        return replace(self, **moved)

    def transformed(self, similarity: Similarity) -> Gaussians:
        """The same scene in a world moved by `similarity`; harmonics turn with it."""
        turn = quats_from_matrices(similarity.rotation[None]).to(self.quats)
        return replace(
            self,
            means=similarity.apply(self.means),
            quats=quaternion_product(turn, self.quats),
            scales=self.scales * similarity.scale.to(self.scales),
            sh=rotated_harmonics(self.sh, similarity.rotation),
        )

    def check(self, stage: str) -> None:
        """Raise ValueError naming the stage, the Gaussian and the number where a value cannot be rendered."""
        for name in ("means", "quats", "scales", "opacities", "sh"):
            value = getattr(self, name)
            bad = ~torch.isfinite(value).reshape(len(self), -1).all(1)
            if bad.any():
                raise ValueError(
                    f"{stage}: {name} of Gaussian {int(bad.nonzero()[0])} are not finite ({int(bad.sum())} in all)"
                )
        off = (self.quats.norm(dim=1) - 1).abs()
        if len(self) and off.max() > 1e-3:
            raise ValueError(
                f"{stage}: the quaternion of Gaussian {int(off.argmax())} has length {1 + float(off.max()):.4g}"
            )
        if len(self) and self.scales.min() <= 0:
            raise ValueError(
                f"{stage}: a scale of Gaussian {int(self.scales.amin(1).argmin())} is {float(self.scales.min()):.4g}"
            )
        if len(self) and (self.opacities.min() < 0 or self.opacities.max() > 1):
            raise ValueError(
                f"{stage}: opacities reach from {float(self.opacities.min()):.4g} to {float(self.opacities.max()):.4g}"
            )
