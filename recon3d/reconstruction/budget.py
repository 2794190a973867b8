"""A scene below a number of Gaussians: what the pictures miss least is left out, and what covers one place is joined."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated

import torch
from torch import Tensor

from recon3d.core.cameras import Cameras, fitted_size, resize_map
from recon3d.core.gaussians import Gaussians
from recon3d.core.geometry import Geometry
from recon3d.core.harmonics import C0
from recon3d.core.rotations import matrices_from_quats, quats_from_matrices
from recon3d.core.views import Views
from recon3d.metrics.image import psnr
from recon3d.reconstruction.pruning import thinned
from recon3d.rendering.render import backend_for, rasterize

SIZE = 256  # longest side in pixels of the pictures that Gaussians are judged on
MOST_VIEWS = 24  # that they are judged on, evenly spread
CELL = 1.0  # side of a cell in which Gaussians are joined, in their largest standard deviations


# (Gaussians, their contributions, how many at most) -> no more than that.
Way = Callable[[Gaussians, Tensor, int], Gaussians]


@dataclass(frozen=True)
class Budgeted:
    """What a budget cost, on the pictures that it was judged on (dB)."""

    way: str
    psnr_before: float
    psnr_after: float


def within_budget(
    gaussians: Gaussians, views: Views, geometry: Geometry, most: int, ways: Mapping[str, Way], device: str = "auto"
) -> tuple[Gaussians, Budgeted | None]:
    """At most `most` Gaussians, by whichever of `ways` keeps the pictures of these (seen) views best; None where there are
    no more already. Which way is best depends on the scene, so each is tried and measured."""
    if len(gaussians) <= most:
        return gaussians, None
    pictures, cameras = judged_on(views, geometry)
    weights = contributions(gaussians, cameras, device)
    best = None
    for name, way in ways.items():
        kept = way(gaussians, weights, most)
        found = agreement(kept, cameras, pictures, device)
        if best is None or found > best[0]:
            best = (found, name, kept)
    assert best is not None
    before = agreement(gaussians, cameras, pictures, device)
    return best[2], Budgeted(best[1], round(before, 2), round(best[0], 2))


def judged_on(views: Views, geometry: Geometry) -> tuple[list[Tensor], Cameras]:
    """Some of the photos, small, and their cameras."""
    chosen = torch.linspace(0, len(views) - 1, min(MOST_VIEWS, len(views))).round().long()
    pictures, maps, sizes = [], [], []
    for i in chosen.tolist():
        old = geometry.cameras.size(i)
        new = fitted_size(*old, SIZE)
        resized = torch.nn.functional.interpolate(views.rgb(i)[None], new, mode="bilinear", antialias=True)
        pictures.append(resized[0])
        maps.append(resize_map(old, new))
        sizes.append(new)
    return pictures, geometry.cameras[chosen].resized(torch.stack(maps), torch.tensor(sizes))


def drawn(gaussians: Gaussians, cameras: Cameras, i: int, device: str) -> Tensor:
    height, width = cameras.size(i)
    g, one = gaussians, cameras[[i]]
    return rasterize(
        g.means, g.quats, g.scales, g.opacities, g.sh, one.camera_from_world.float(), one.K.float(), width, height,
        antialiased=g.mode == "antialiased", backend=backend_for(device),
    )[0][0]  # fmt: skip


@torch.no_grad()
def agreement(gaussians: Gaussians, cameras: Cameras, pictures: list[Tensor], device: str) -> float:
    """Mean PSNR over the views, in dB."""
    values = [psnr(drawn(gaussians, cameras, i, device).clamp(0, 1), p) for i, p in enumerate(pictures)]
    return sum(values) / len(values)


def contributions(gaussians: Gaussians, cameras: Cameras, device: str = "auto") -> Annotated[Tensor, "G"]:
    """The sum over all pixels of what each Gaussian's colour counts there (opacity times what shines through to it).

    The colour of a pixel is the sum of colours times these weights, so a weight is what the pixels' sum derives to by the
    colour: any rasterizer with gradients gives it.
    """
    # A grey that no pixel clips at zero, and of degree 0: then the derivative is C0 times the weight.
    sh = torch.zeros(len(gaussians), 1, 3, requires_grad=True)
    grey = replace(gaussians, sh=sh)
    total = torch.zeros(len(gaussians))
    for i in range(len(cameras)):
        (gradient,) = torch.autograd.grad(drawn(grey, cameras, i, device)[0].sum(), sh)
        total += gradient[:, 0, 0] / C0
    return total


def strongest(gaussians: Gaussians, weights: Tensor, most: int) -> Gaussians:
    """Those that count most in the pictures; the first of equals."""
    kept = weights.argsort(descending=True, stable=True)[:most].sort().values
    return gaussians[kept]


def strongest_grown(gaussians: Gaussians, weights: Tensor, most: int) -> Gaussians:
    """The same, as much larger as there are fewer that count at all: surfaces made of like Gaussians stay covered."""
    counting = max(int((weights > 0).sum()), most)
    kept = strongest(gaussians, weights, most)
    return replace(kept, scales=kept.scales * (counting / most) ** 0.5)


def drawn_evenly(gaussians: Gaussians, weights: Tensor, most: int, seed: int = 0) -> Gaussians:
    """A random choice, grown."""
    return thinned(gaussians, most, seed)


def joined_then_strongest(gaussians: Gaussians, weights: Tensor, most: int) -> Gaussians:
    """Neighbours of the same size joined, in ever larger cells while that leaves too many; then the strongest."""
    cell = CELL
    while len(gaussians) > most and cell <= 4 * CELL:
        gaussians, weights = joined(gaussians, weights, cell)
        cell *= 2
    return strongest(gaussians, weights, most)


# Of a scene that is finished. One that is refined afterwards starts best from an even choice: on four scenes and two seeds
# it loses 0.3 dB where the next best way loses 0.9 (tools/benchmarks/budget.py).
WAYS: dict[str, Way] = {
    "the strongest": strongest,
    "the strongest, grown": strongest_grown,
    "drawn evenly": drawn_evenly,
    "joined": joined_then_strongest,
}


def joined(
    gaussians: Gaussians, weights: Annotated[Tensor, "G"], cell: float
) -> tuple[Gaussians, Annotated[Tensor, "K"]]:
    """One Gaussian for all whose centres lie in one cell of a grid as fine as they are small (powers of two).

    Mean and covariance are those of the mixture (law of total covariance), weighted by what each counts in the pictures;
    opacities and colours are weighted means. As in hierarchies of Gaussians (Kerbl et al. 2024, section 4.1).
    """
    size = gaussians.scales.amax(1).clamp_min(1e-12)
    level = size.log2().round()
    cells = torch.cat(((gaussians.means / (cell * 2**level)[:, None]).floor(), level[:, None]), 1).long()
    _, group, counts = cells.unique(dim=0, return_inverse=True, return_counts=True)
    count = len(counts)
    if count == len(gaussians):
        return gaussians, weights
    w = weights.double() + 1e-9 * float(weights.max())
    total = torch.zeros(count, dtype=torch.float64).index_add_(0, group, w)
    share = w / total[group]

    def mean(values: Tensor) -> Tensor:
        flat = values.double().flatten(1) * share[:, None]
        summed = torch.zeros(count, flat.shape[1], dtype=torch.float64).index_add_(0, group, flat)
        return summed.unflatten(1, values.shape[1:])

    means = mean(gaussians.means)
    off = gaussians.means.double() - means[group]
    covariances = mean(covariances_of(gaussians) + off[:, :, None] * off[:, None])
    values, vectors = torch.linalg.eigh(covariances)
    vectors = vectors * torch.linalg.det(vectors).sign()[:, None, None]
    one = Gaussians(
        means.float(), quats_from_matrices(vectors).float(), values.clamp_min(1e-18).sqrt().float(),
        mean(gaussians.opacities[:, None])[:, 0].float(), mean(gaussians.sh).float(), gaussians.mode,
    )  # fmt: skip
    return one, torch.zeros(count).index_add_(0, group, weights)


def covariances_of(gaussians: Gaussians) -> Annotated[Tensor, "G 3 3"]:
    scaled = matrices_from_quats(gaussians.quats.double()) * gaussians.scales.double()[:, None]
    return scaled @ scaled.transpose(1, 2)
