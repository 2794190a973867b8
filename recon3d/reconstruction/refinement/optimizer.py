"""The Gaussians as refinement moves them: logs of scales, logits of opacities, and Adam's moments beside each."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from recon3d.core.gaussians import Gaussians
from recon3d.core.jit import run
from recon3d.reconstruction.refinement.adam_kernel import adam

GROUPS = ("means", "quats", "log_scales", "logits", "sh")
OPACITY_LIMIT = 1e-4  # a logit needs an opacity away from 0 and 1
BETAS = (0.9, 0.999)  # Kingma & Ba 2015, and 3DGS


class Parameters:
    """G Gaussians under optimisation. Values are float32 and contiguous; rows of all groups are the same Gaussians."""

    def __init__(self, gaussians: Gaussians, degree: int) -> None:
        """Harmonics start with `degree`; what the Gaussians lack is 0."""
        sh = torch.zeros(len(gaussians), (degree + 1) ** 2, 3)
        given = min(sh.shape[1], gaussians.sh.shape[1])
        sh[:, :given] = gaussians.sh[:, :given]
        opacities = gaussians.opacities.clamp(OPACITY_LIMIT, 1 - OPACITY_LIMIT)
        start = (gaussians.means, gaussians.quats, gaussians.scales.log(), torch.logit(opacities), sh)
        self.values = {name: x.detach().float().contiguous().clone() for name, x in zip(GROUPS, start, strict=True)}
        self.first = {name: torch.zeros_like(x) for name, x in self.values.items()}
        self.second = {name: torch.zeros_like(x) for name, x in self.values.items()}
        self.steps = 0

    def __len__(self) -> int:
        return len(self.values["means"])

    @property
    def opacities(self) -> Annotated[Tensor, "G"]:
        return torch.sigmoid(self.values["logits"])

    @property
    def scales(self) -> Annotated[Tensor, "G 3"]:
        return self.values["log_scales"].exp()

    def gaussians(self) -> Gaussians:
        """A copy in physical values."""
        quats = torch.nn.functional.normalize(self.values["quats"], dim=1)
        return Gaussians(self.values["means"].clone(), quats, self.scales, self.opacities, self.values["sh"].clone())

    def leaves(self, degree: int) -> dict[str, Tensor]:
        """The values to be differentiated, harmonics up to `degree` only; they share memory with the parameters."""
        values = dict(self.values, sh=self.values["sh"][:, : (degree + 1) ** 2])
        return {name: x.detach().requires_grad_() for name, x in values.items()}

    def step(self, leaves: dict[str, Tensor], rates: dict[str, Annotated[np.ndarray, "columns"]]) -> None:
        """One step of Adam by the gradients of `leaves`; `rates` has a float32 rate for each column of a group."""
        self.steps += 1
        correction = (1 - BETAS[1] ** self.steps) ** 0.5 / (1 - BETAS[0] ** self.steps)
        for name, leaf in leaves.items():
            assert leaf.grad is not None
            arrays = (self.values[name], leaf.grad.contiguous(), self.first[name], self.second[name])
            values, gradients, first, second = (x.numpy().reshape(-1) for x in arrays)
            width, used = values.size // max(len(self), 1), gradients.size // max(len(self), 1)
            scaled = (rates[name] * correction).astype(np.float32)
            run(adam, len(self), values, gradients, used, width, first, second, scaled, *BETAS, grain=256)

    def select(self, keep: Annotated[Tensor, "G"]) -> None:
        """Only the Gaussians where `keep` (bool), or of these indices."""
        for rows in (self.values, self.first, self.second):
            for name in GROUPS:
                rows[name] = rows[name][keep].contiguous()

    def append(self, extra: dict[str, Tensor]) -> None:
        """More Gaussians, whose moments start at 0."""
        for name in GROUPS:
            zeros = torch.zeros_like(extra[name])
            self.values[name] = torch.cat([self.values[name], extra[name]])
            self.first[name] = torch.cat([self.first[name], zeros])
            self.second[name] = torch.cat([self.second[name], zeros])

    def forget(self, index: Annotated[Tensor, "k"], names: tuple[str, ...] = GROUPS) -> None:
        """Moments of some Gaussians back to 0: what they were has been changed by hand."""
        for name in names:
            self.first[name][index] = 0
            self.second[name][index] = 0

    def rows(self, index: Annotated[Tensor, "k"]) -> dict[str, Tensor]:
        """Copies of the values of some Gaussians."""
        return {name: x[index].clone() for name, x in self.values.items()}
