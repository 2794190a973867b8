"""Where Gaussians are added, moved and taken away while they are refined: two published strategies.

Source: 3DGS (Kerbl et al. 2023, section 5) and 3DGS-MCMC (Kheradmand et al. 2024), with gsplat's meaning of every number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from recon3d.core.rotations import matrices_from_quats
from recon3d.reconstruction.refinement.optimizer import Parameters
from recon3d.rendering.screen import Screen

PRUNE_OPACITY = 0.005  # fainter Gaussians are taken away (gsplat's prune_opa, and MCMC's min_opacity)
SPLIT_SHRINK = 1.6  # 3DGS, section 5.2


@dataclass(frozen=True)
class Moment:
    """Where a refinement stands when a strategy is asked."""

    step: int  # from 1
    share: float  # 0 to 1: of the steps or of the time
    extent: float  # world units: the size of the scene
    cap: int  # no more Gaussians than this
    means_rate: float  # world units: the present learning rate of the means
    generator: torch.Generator


class GrowByGradient:
    """3DGS: what pulls at its projected centre is cloned where small and split where large; what is faint goes."""

    opacity_penalty = 0.0
    scale_penalty = 0.0

    def __init__(
        self, threshold: float = 4e-4, every: int = 40, first: int = 50, until: float = 0.7, size_limit: float = 0.01
    ) -> None:
        """Mean gradient in half pictures above `threshold`, each `every` steps after `first`, until that share of the
        refinement; larger than size_limit times the extent is split."""
        self.threshold, self.every, self.first, self.until, self.size_limit = threshold, every, first, until, size_limit
        self.total = self.seen = torch.zeros(0)

    def observe(self, screen: Screen, width: int, height: int) -> None:
        """Add up what the last step showed of every Gaussian; gradients are counted in half pictures, as in 3DGS."""
        assert screen.gradient is not None and screen.radii is not None
        half = torch.tensor([width / 2, height / 2], device=screen.gradient.device)
        pulls = (screen.gradient * half * len(screen.gradient)).norm(dim=2)
        shown = (screen.radii > 0).all(2).float()
        if len(self.total) != pulls.shape[1]:
            self.total, self.seen = (torch.zeros(pulls.shape[1], device=pulls.device) for _ in range(2))
        self.total += (pulls * shown).sum(0)
        self.seen += shown.sum(0)

    def adjust(self, parameters: Parameters, at: Moment) -> None:
        if at.step % self.every or at.step < self.first or at.share >= self.until or not len(self.total):
            return
        pulls = self.total / self.seen.clamp_min(1)
        self.total = self.seen = torch.zeros(0)
        grow(parameters, most_pulled(pulls, self.threshold, at.cap), self.size_limit * at.extent, at.generator)
        parameters.select(parameters.opacities > PRUNE_OPACITY)


def most_pulled(pulls: Annotated[Tensor, "G"], threshold: float, cap: int) -> Annotated[Tensor, "G"]:
    """Whose gradient is above the threshold (bool); of these the strongest, where `cap` leaves no room for all."""
    room = max(cap - len(pulls), 0)
    wanted = pulls > threshold
    if int(wanted.sum()) > room:
        best = torch.argsort(pulls, descending=True, stable=True)[:room]
        wanted &= torch.zeros_like(wanted).index_fill_(0, best, True)
    return wanted


def grow(parameters: Parameters, wanted: Annotated[Tensor, "G"], size_limit: float, generator: torch.Generator) -> None:
    """Clone what is wanted and at most `size_limit` large; put two smaller ones in place of what is larger."""
    large = parameters.scales.amax(1) > size_limit
    clone, split = wanted & ~large, wanted & large
    copies, halves = parameters.rows(clone), parameters.rows(split)
    halves = {name: torch.cat([x, x]) for name, x in halves.items()}
    halves["means"] += offsets(halves, generator)
    halves["log_scales"] -= math.log(SPLIT_SHRINK)
    parameters.select(~split)
    parameters.append(copies)
    parameters.append(halves)


def offsets(rows: dict[str, Tensor], generator: torch.Generator) -> Annotated[Tensor, "k 3"]:
    """A random point of each Gaussian, from its centre."""
    local = torch.randn(rows["means"].shape, generator=generator, device=generator.device) * rows["log_scales"].exp()
    return (matrices_from_quats(rows["quats"]) @ local[:, :, None])[:, :, 0]


class Relocate:
    """3DGS-MCMC: a fixed pace of growth; dead Gaussians move to live ones, and faint ones drift at random."""

    def __init__(
        self, every: int = 50, first: int = 50, until: float = 0.8, growth: float = 0.15, noise: float = 5e5,
        opacity_penalty: float = 0.01, scale_penalty: float = 0.01,
    ) -> None:  # fmt: skip
        """`growth` of their number is added each `every` steps; `noise` scales the random drift."""
        self.every, self.first, self.until, self.growth, self.noise = every, first, until, growth, noise
        self.opacity_penalty, self.scale_penalty = opacity_penalty, scale_penalty

    def observe(self, screen: Screen, width: int, height: int) -> None:
        """Gradients on the screen are not used."""

    def adjust(self, parameters: Parameters, at: Moment) -> None:
        if at.step % self.every == 0 and at.step >= self.first and at.share < self.until:
            relocate_dead(parameters, at.generator)
            count = min(at.cap, int((1 + self.growth) * len(parameters))) - len(parameters)
            add_copies(parameters, count, at.generator)
        drift(parameters, self.noise * at.means_rate, at.generator)


def relocate_dead(parameters: Parameters, generator: torch.Generator) -> None:
    """Move Gaussians that are too faint onto live ones, drawn by opacity."""
    opacities = parameters.opacities
    dead, alive = (opacities <= PRUNE_OPACITY).nonzero()[:, 0], (opacities > PRUNE_OPACITY).nonzero()[:, 0]
    if not len(dead) or not len(alive):
        return
    chosen = alive[torch.multinomial(opacities[alive], len(dead), replacement=True, generator=generator)]
    share_out(parameters, chosen)
    for value in parameters.values.values():
        value[dead] = value[chosen]
    parameters.forget(torch.cat([dead, chosen]))


def add_copies(parameters: Parameters, count: int, generator: torch.Generator) -> None:
    """Put `count` more Gaussians onto live ones, drawn by opacity."""
    if count <= 0 or not len(parameters):
        return
    chosen = torch.multinomial(parameters.opacities, count, replacement=True, generator=generator)
    share_out(parameters, chosen)
    extra = parameters.rows(chosen)
    parameters.forget(chosen)
    parameters.append(extra)


def share_out(parameters: Parameters, chosen: Annotated[Tensor, "k"]) -> None:
    """New opacities and scales of Gaussians that are to stand in one place several times, so that the picture stays.

    Source: Kheradmand et al. 2024, eq. 9: N in one place get opacity 1 - (1 - o)^(1/N), and scales that keep the integral.
    """
    times = torch.bincount(chosen, minlength=len(parameters)) + 1
    index = (times > 1).nonzero()[:, 0]
    opacities, shrink = shared_out(parameters.opacities[index], times[index].clamp_max(MOST_COPIES))
    parameters.values["logits"][index] = torch.logit(opacities.clamp(PRUNE_OPACITY, 1 - 1e-7))
    parameters.values["log_scales"][index] += shrink.log()[:, None]


MOST_COPIES = 51  # gsplat's n_max: more copies of one Gaussian count as so many


def shared_out(
    opacities: Annotated[Tensor, "k"], times: Annotated[Tensor, "k"]
) -> tuple[Annotated[Tensor, "k"], Annotated[Tensor, "k"]]:
    """Opacity of each of `times` equal Gaussians in one place, and the factor of their scales."""
    each = 1 - (1 - opacities.double()).pow(1 / times)
    total = torch.zeros_like(each)
    for i in range(1, int(times.max()) + 1 if len(times) else 1):
        for k in range(i):
            term = math.comb(i - 1, k) * (-1) ** k / math.sqrt(k + 1) * each.pow(k + 1)
            total += torch.where(times >= i, term, 0)
    return each.float(), (opacities / total).float()


def drift(parameters: Parameters, size: float, generator: torch.Generator) -> None:
    """Random steps of the means in the shape of each Gaussian, none for opaque ones (Kheradmand et al. 2024, section 4.2)."""
    if size == 0:
        return
    values = parameters.values
    faint = torch.sigmoid(-100 * (parameters.opacities - PRUNE_OPACITY))
    axes = matrices_from_quats(values["quats"]) * parameters.scales[:, None, :]
    noise = torch.randn(values["means"].shape, generator=generator, device=generator.device) * (faint * size)[:, None]
    values["means"] += (axes @ (axes.transpose(1, 2) @ noise[:, :, None]))[:, :, 0]


STRATEGIES = {"default": GrowByGradient, "mcmc": Relocate}
