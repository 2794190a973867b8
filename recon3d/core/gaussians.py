"""Gaussians: physical values of a splat scene. Logs and logits live in the refinement and in the file codecs only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from recon3d.core.cameras import as_index
from recon3d.core.harmonics import DEGREES
from recon3d.core.shapes import check_shapes
from recon3d.core.similarity import Similarity
from recon3d.core.splats import FIELDS, Mode, Splats


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
        if self.sh.shape[1] not in DEGREES:
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
        return DEGREES[self.sh.shape[1]]

    @staticmethod
    def of(splats: Splats) -> Gaussians:
        """Splats of a file as tensors, which share their memory."""
        return Gaussians(
            *(torch.from_numpy(np.ascontiguousarray(getattr(splats, n))) for n in FIELDS), mode=splats.mode
        )

    def splats(self) -> Splats:
        """The same values as arrays, without gradients."""
        return Splats(*(getattr(self, name).detach().cpu().numpy() for name in FIELDS), mode=self.mode)

    def to(self, device: torch.device | str) -> Gaussians:
        moved = {name: getattr(self, name).to(device) for name in FIELDS}
        return replace(self, **moved)

    def transformed(self, similarity: Similarity) -> Gaussians:
        """The same scene, without gradients, in a world moved by `similarity`; harmonics turn with it."""
        rotation, translation = similarity.rotation.cpu().numpy(), similarity.translation.cpu().numpy()
        moved = self.splats().moved(rotation, float(similarity.scale), translation)
        return Gaussians.of(moved).to(self.means.device)

    def check(self, stage: str) -> None:
        """Raise ValueError naming the stage, the Gaussian and the number where a value cannot be rendered."""
        self.splats().check(stage)
