"""What the joint network is trained by: pictures of views between its inputs, and the depth of its Gaussians.

Half of the views of procedural scenes are inputs, whose depth is made as wrong as networks and stereo have it. Gaussians are
judged as they come; or, as ForeSplat (arXiv 2605.22020) does, after some steps of refinement, whose gradient is taken for
that of the Gaussians before them (first order).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recon3d.core.gaussians import Gaussians
from recon3d.data.batch import Batch
from recon3d.metrics.lpips import Lpips, Unavailable, load_lpips, of_pair
from recon3d.models.ilrm.network import HeadGaussians
from recon3d.models.ilrm.normalisation import reference_camera
from recon3d.models.joint.network import JointViews
from recon3d.reconstruction.refinement.optimizer import Parameters
from recon3d.reconstruction.refinement.refine import (
    COLOR_RATE,
    MEANS_RATE,
    OPACITY_RATE,
    QUATS_RATE,
    SCALES_RATE,
)
from recon3d.rendering.render import backend_for, rasterize

ANCHORS = 3  # of the inputs, where they are more: the others are there to be read
SMOOTH, FINE, CELLS = (0.005, 0.1), 0.25, 6  # of depth: log-normal errors, of cells of a picture and a share of it of a pixel
HOLES, HOLE_CELLS = 0.5, 24  # the largest share of a view that nothing tells, and how finely it is torn
STEREO = 0.5  # confidence of stereo, and how often a scene's depth is as of stereo (reconstruction.heads.start_depth)
PERCEPTUAL = 0.05  # weight of LPIPS beside squared differences: pixelSplat's (arXiv 2312.12337) and MVSplat's
RATES = {"means": MEANS_RATE, "quats": QUATS_RATE, "log_scales": SCALES_RATE, "logits": OPACITY_RATE, "sh": COLOR_RATE}


@dataclass(frozen=True)
class Losses:
    """Unweighted means over scenes."""

    picture: Tensor  # squared differences of colours, and LPIPS where there are weights for it
    depth: Tensor  # of logarithms


@dataclass(frozen=True)
class Given:
    """Scenes as the network sees them, and the views that it does not, in a world of its units."""

    inputs: JointViews
    depth: Annotated[Tensor, "B N H W"]  # the true one of the inputs, 0 where unknown
    images: Annotated[Tensor, "B T 3 H W"]
    camera_from_world: Annotated[Tensor, "B T 4 4"]
    K: Annotated[Tensor, "B T 3 3"]


def losses(
    network: nn.Module, given: Given, step: int, refined_steps: int, seed: int, perceptual: Lpips | None = None
) -> Losses:
    """`step`: image pixels to a pixel of the Gaussians' grid; `seed`: of the photos that refinement looks at."""
    found, anchors = network(given.inputs, anchors_of(given))
    pictures = [
        picture_loss(found, scene, given, refined_steps, np.random.default_rng([seed, scene]), perceptual)
        for scene in range(len(given.images))
    ]
    return Losses(torch.stack(pictures).mean(), depth_loss(found, given, anchors, step))


def anchors_of(given: Given) -> int:
    """Fewer than there are inputs, so that all of the network is used."""
    return min(ANCHORS, given.depth.shape[1] - 1)


def picture_loss(
    found: HeadGaussians, scene: int, given: Given, refined_steps: int, chance: np.random.Generator, perceptual: Lpips | None
) -> Tensor:
    """Of one scene. Its gradient at the Gaussians is that at the refined ones."""
    view = given.camera_from_world[scene], given.K[scene], given.images
    if refined_steps == 0:
        return difference(drawn(found, scene, *view), given.images[scene], perceptual)
    parameters = refined(found, scene, given, refined_steps, chance)
    leaves = parameters.leaves(0)
    loss = difference(by_values(leaves, *view), given.images[scene], perceptual)
    gradients = torch.autograd.grad(loss, list(leaves.values()))
    before = (
        found.means[scene], found.quats[scene], found.scales[scene].log(), torch.logit(found.opacities[scene], 1e-4),
        found.sh[scene],
    )  # fmt: skip
    through = torch.stack([(x * g).sum() for x, g in zip(before, gradients, strict=True)]).sum()
    return loss.detach() + through - through.detach()


def difference(
    pictures: Annotated[Tensor, "T 3 H W"], truth: Annotated[Tensor, "T 3 H W"], perceptual: Lpips | None
) -> Tensor:
    squared = F.mse_loss(pictures, truth)
    if perceptual is None:
        return squared
    pairs = [of_pair(*pair, perceptual) for pair in zip(pictures, truth, strict=True)]
    return squared + PERCEPTUAL * torch.stack(pairs).mean().to(squared)


@cache
def perceptual_of(file: str, device: str) -> Lpips | None:
    """LPIPS over the weights in a file, on a device; without a file none. Raises InputError for a file of something else."""
    found = load_lpips("vgg", Path(file) if file else None)
    return None if isinstance(found, Unavailable) else found.to(device)


def refined(
    found: HeadGaussians, scene: int, given: Given, steps: int, chance: np.random.Generator
) -> Parameters:
    """The Gaussians of a scene after steps of refinement on its inputs."""
    start = [getattr(found, name)[scene].detach().cpu() for name in ("means", "quats", "scales", "opacities", "sh")]
    views = given.inputs
    parameters = Parameters(Gaussians(*start), 0, str(views.images.device))
    rates = {name: np.full(x[0].numel(), RATES[name], np.float32) for name, x in parameters.values.items()}
    cameras = torch.linalg.inv(views.world_from_camera[scene])
    for _ in range(steps):
        view = [int(chance.integers(len(cameras)))]
        leaves = parameters.leaves(0)
        picture = by_values(leaves, cameras[view], views.K[scene, view], views.images)
        F.mse_loss(picture, views.images[scene, view]).backward()
        parameters.step(leaves, rates)
    return parameters


def by_values(
    values: dict[str, Tensor], camera_from_world: Tensor, K: Tensor, like: Tensor
) -> Annotated[Tensor, "T 3 H W"]:
    """Pictures of Gaussians as refinement has them."""
    g = HeadGaussians(
        values["means"][None], F.normalize(values["quats"], dim=-1)[None], values["log_scales"].exp()[None],
        values["logits"].sigmoid()[None], values["sh"][None],
    )  # fmt: skip
    return drawn(g, 0, camera_from_world, K, like)


def drawn(
    found: HeadGaussians, scene: int, camera_from_world: Tensor, K: Tensor, like: Tensor
) -> Annotated[Tensor, "T 3 H W"]:
    """Pictures of one scene, of the size of others."""
    return rasterize(
        found.means[scene], found.quats[scene], found.scales[scene], found.opacities[scene], found.sh[scene],
        camera_from_world, K, like.shape[-1], like.shape[-2], backend=backend_for(like.device.type),
    )[0]  # fmt: skip


def depth_loss(found: HeadGaussians, given: Given, anchors: Annotated[Tensor, "B A"], step: int) -> Tensor:
    """How far the Gaussians are from the surface that is seen at their pixel: the mean over what is known."""
    here = torch.arange(len(anchors), device=anchors.device)[:, None]
    cameras = torch.linalg.inv(given.inputs.world_from_camera)[here, anchors]
    truth = given.depth[here, anchors][..., step // 2 :: step, step // 2 :: step].flatten(2)
    means = found.means.view(*anchors.shape, -1, 3)
    z = (means @ cameras[..., 2, :3, None])[..., 0] + cameras[..., 2, 3, None]
    known = truth > 0
    error = (z.clamp_min(1e-3).log() - truth.clamp_min(1e-6).log()).abs()
    return torch.where(known, error, 0).sum() / known.sum().clamp_min(1)


def given_of(batch: Batch, generators: Sequence[torch.Generator]) -> Given:
    """Every second view as an input. The mean input camera is the origin, the median depth of the inputs 1."""
    inputs, targets = batch.views(slice(0, None, 2)), batch.views(slice(1, None, 2))
    found = [
        measured(depth) if source == "stereo" else as_found(depth, chance)
        for depth, source, chance in zip(inputs.depth, batch.depth_from, generators, strict=True)
    ]
    depth, confidence = (torch.stack(x) for x in zip(*found, strict=True))
    unit = depth.flatten(1).median(1).values[:, None, None, None]
    cameras = torch.linalg.inv(inputs.camera_from_world)
    reference = torch.stack([reference_camera(c) for c in cameras])[:, None]
    world_from_camera = in_units(torch.linalg.inv(reference) @ cameras, unit[..., 0, 0])
    wanted = in_units(torch.linalg.inv(reference) @ torch.linalg.inv(targets.camera_from_world), unit[..., 0, 0])
    views = JointViews(inputs.images, inputs.K, world_from_camera, depth / unit, confidence)
    return Given(views, inputs.depth / unit, targets.images, torch.linalg.inv(wanted), targets.K)


def in_units(world_from_camera: Annotated[Tensor, "B V 4 4"], unit: Annotated[Tensor, "B 1"]) -> Tensor:
    moved = world_from_camera.clone()
    moved[..., :3, 3] /= unit[..., None]
    return moved


def as_found(
    depth: Annotated[Tensor, "V H W"], chance: torch.Generator
) -> tuple[Annotated[Tensor, "V H W"], Annotated[Tensor, "V H W"]]:
    """True depth made wrong, and what it is trusted: with smooth errors as a network's are, or with holes as of stereo.

    What nothing tells, sky among it, has the depth around it and no confidence.
    """
    def uniform(low: float = 0.0, high: float = 1.0) -> float:
        return low + (high - low) * float(torch.rand((), generator=chance, device=depth.device))

    def smooth(cells: int) -> Tensor:
        coarse = torch.randn(len(depth), 1, cells, cells, generator=chance, device=depth.device)
        return F.interpolate(coarse, depth.shape[1:], mode="bicubic", align_corners=False)[:, 0]

    size = uniform(*SMOOTH)
    fine = torch.randn(depth.shape, generator=chance, device=depth.device)
    known, confidence = depth > 0, uniform(0.3, 1.0)
    if uniform() < STEREO:
        torn = smooth(HOLE_CELLS)
        known, confidence = known & (torn > torn.quantile(HOLES * uniform())), STEREO
    wrong = depth * torch.exp(size * (smooth(CELLS) + FINE * fine))
    return filled(wrong, known), confidence * known.float()


def measured(
    depth: Annotated[Tensor, "V H W"],
) -> tuple[Annotated[Tensor, "V H W"], Annotated[Tensor, "V H W"]]:
    """Depth that stereo found, which is as wrong as stereo is."""
    return filled(depth, depth > 0), STEREO * (depth > 0).float()


def filled(depth: Annotated[Tensor, "V H W"], known: Annotated[Tensor, "V H W"]) -> Annotated[Tensor, "V H W"]:
    """Where it is not known, the mean of what is known in a cell around, the smallest of 2, 4, ... pixels that has some
    (pull and push, Gortler et al. 1996); 1 in a view of which nothing is."""
    if max(depth.shape[1:]) == 1:
        return torch.where(known, depth, 1.0)
    share, total = (
        F.avg_pool2d(x[:, None], 2, ceil_mode=True)[:, 0] for x in (known.float(), torch.where(known, depth, 0))
    )
    coarse = filled(total / share.clamp_min(1e-6), share > 0)
    return torch.where(known, depth, F.interpolate(coarse[:, None], depth.shape[1:])[:, 0])
