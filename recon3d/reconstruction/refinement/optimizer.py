"""The Gaussians as refinement moves them: logs of scales, logits of opacities, and Adam's moments beside each.

They live on one device, and so does all that is done to them.
"""

from __future__ import annotations

from dataclasses import dataclass
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
TINY = 1e-15  # 3DGS


@dataclass(frozen=True)
class Moved:
    """A group in a step of Adam. The gradient may have fewer columns than the others: their first ones are moved."""

    values: Tensor
    gradient: Tensor
    first: Tensor
    second: Tensor
    rates: Annotated[np.ndarray, "columns"]  # float32, with both corrections of the bias in them

    def used(self) -> tuple[Tensor, Tensor, Tensor]:
        """Values and moments of the columns that are moved, sharing memory with all of them."""
        bands = slice(None) if self.gradient.dim() == 1 else slice(self.gradient.shape[1])
        return tuple(x if x.dim() == 1 else x[:, bands] for x in (self.values, self.first, self.second))  # type: ignore[return-value]


def compiled_adam(groups: list[Moved]) -> None:
    """On a CPU: one pass through memory for each group."""
    for group in groups:
        rows = max(len(group.values), 1)
        arrays = (group.values, group.gradient.contiguous(), group.first, group.second)
        values, gradient, first, second = (x.numpy().reshape(-1) for x in arrays)
        width, used = values.size // rows, gradient.size // rows
        rates = group.rates.astype(np.float32)
        run(adam, len(group.values), values, gradient, used, width, first, second, rates, *BETAS, grain=256)


def torch_adam(groups: list[Moved]) -> None:
    """On any device: the same arithmetic, each operation once for all groups whose memory is whole, and for the others.

    One tensor that is a part of another takes all that it is handed over with off torch's fused way.
    """
    whole = [all(x.is_contiguous() for x in (group.gradient, *group.used())) for group in groups]
    for together in (True, False):
        if some := [group for group, is_whole in zip(groups, whole, strict=True) if is_whole == together]:
            moved_together(some)


def moved_together(groups: list[Moved]) -> None:
    gradients = [group.gradient for group in groups]
    values, first, second = (list(x) for x in zip(*(group.used() for group in groups), strict=True))
    # One launch for all groups each; torch documents them ("foreach operations") without exporting their names.
    torch._foreach_lerp_(first, gradients, 1 - BETAS[0])  # pyright: ignore[reportPrivateImportUsage]
    torch._foreach_mul_(second, BETAS[1])  # pyright: ignore[reportPrivateImportUsage]
    torch._foreach_addcmul_(second, gradients, gradients, 1 - BETAS[1])  # pyright: ignore[reportPrivateImportUsage]
    roots = torch._foreach_sqrt(second)  # pyright: ignore[reportPrivateImportUsage]
    torch._foreach_add_(roots, TINY)  # pyright: ignore[reportPrivateImportUsage]
    steps = torch._foreach_div(first, roots)  # pyright: ignore[reportPrivateImportUsage]
    for value, step, group in zip(values, steps, groups, strict=True):
        if (group.rates == group.rates[0]).all():
            value.sub_(step, alpha=float(group.rates[0]))
        else:
            rates = torch.from_numpy(group.rates[: step[0].numel()]).to(step.device, non_blocking=True)
            value.sub_(step * rates.view(step.shape[1:]))


class Parameters:
    """G Gaussians under optimisation. Values are float32 and contiguous; rows of all groups are the same Gaussians."""

    def __init__(self, gaussians: Gaussians, degree: int, device: str = "cpu") -> None:
        """Harmonics start with `degree`; what the Gaussians lack is 0. Values and moments lie on `device`."""
        sh = torch.zeros(len(gaussians), (degree + 1) ** 2, 3)
        given = min(sh.shape[1], gaussians.sh.shape[1])
        sh[:, :given] = gaussians.sh[:, :given]
        opacities = gaussians.opacities.clamp(OPACITY_LIMIT, 1 - OPACITY_LIMIT)
        start = (gaussians.means, gaussians.quats, gaussians.scales.log(), torch.logit(opacities), sh)
        ready = [x.detach().float().contiguous().clone().to(device) for x in start]
        self.values: dict[str, Tensor] = dict(zip(GROUPS, ready, strict=True))
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
        """A copy in physical values, on the CPU."""
        quats = torch.nn.functional.normalize(self.values["quats"], dim=1)
        means, sh = (self.values[name].clone() for name in ("means", "sh"))
        return Gaussians(means.cpu(), quats.cpu(), self.scales.cpu(), self.opacities.cpu(), sh.cpu())

    def leaves(self, degree: int) -> dict[str, Tensor]:
        """The values to be differentiated, harmonics up to `degree` only; they share memory with the parameters."""
        values = dict(self.values, sh=self.values["sh"][:, : (degree + 1) ** 2])
        return {name: x.detach().requires_grad_() for name, x in values.items()}

    def step(self, leaves: dict[str, Tensor], rates: dict[str, Annotated[np.ndarray, "columns"]]) -> None:
        """One step of Adam by the gradients of `leaves`; `rates` has a float32 rate for each column of a group."""
        self.steps += 1
        correction = (1 - BETAS[1] ** self.steps) ** 0.5 / (1 - BETAS[0] ** self.steps)
        moved = [
            Moved(self.values[name], leaf.grad, self.first[name], self.second[name], rates[name] * correction)
            for name, leaf in leaves.items()
            if leaf.grad is not None
        ]
        (compiled_adam if self.values["means"].device.type == "cpu" else torch_adam)(moved)

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
