"""What a camera does to a picture: blur, vignette, white balance, noise, compression. Cameras and depth stay what they are.

Procedural pictures are cleaner than any photo; a network that starts from nothing has only this to tell it what photos are
like. Everything is drawn per view, on the pictures' device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor

BLUR = 0.8  # pixels, the largest standard deviation
VIGNETTE = 0.35  # of the light that the corners lose at most
SHOT, READ = 0.02, 0.012  # the largest noise: variance per light, standard deviation of what does not depend on light
GREY, COMPRESSED = 0.05, 0.3  # shares of views
COLOR = 0.06  # of a channel's factor; contrast and brightness are drawn as widely again
COARSEST = 24 / 255  # of the steps that a compressed view's frequencies are rounded to


def augmented(
    images: Annotated[Tensor, "B V 3 H W"], generators: Sequence[torch.Generator]
) -> Annotated[Tensor, "B V 3 H W"]:
    """Pictures of 0 to 1, as if photographed. A generator for each scene, on the pictures' device."""
    flat = images.flatten(0, 1)
    uniform, normal = chances(images, generators)
    x = blurred(flat, uniform(0.05, BLUR))
    x = x * vignette(flat.shape[-2:], uniform(0, VIGNETTE, 1, 1))[:, None]
    x = exposed_otherwise(x, uniform, normal)
    x = x + normal(*x.shape[1:]) * (uniform(0, SHOT, 1, 1, 1) ** 2 * x.clamp(0) + uniform(0, READ, 1, 1, 1) ** 2).sqrt()
    coarse = uniform(0, COARSEST, 1, 1, 1, 1, 1) * (uniform(0, 1, 1, 1, 1, 1, 1) < COMPRESSED)
    return compressed(x.clamp(0, 1), coarse).clamp(0, 1).unflatten(0, images.shape[:2])


def recolored(
    images: Annotated[Tensor, "B V 3 H W"], generators: Sequence[torch.Generator]
) -> Annotated[Tensor, "B V 3 H W"]:
    """Photos exposed and developed otherwise in each view. What else a camera does to a picture they have already."""
    x = exposed_otherwise(images.flatten(0, 1), *chances(images, generators))
    return x.clamp(0, 1).unflatten(0, images.shape[:2])


Chance = Callable[..., Tensor]


def chances(
    images: Annotated[Tensor, "B V 3 H W"], generators: Sequence[torch.Generator]
) -> tuple[Chance, Chance]:
    """uniform(low, high, *shape) and normal(*shape): of all views [B V, *shape], each scene's by its own generator."""
    views, device = images.shape[1], images.device

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        drawn = [torch.rand(views, *shape, generator=g, device=device) for g in generators]
        return low + (high - low) * torch.cat(drawn)

    def normal(*shape: int) -> Tensor:
        return torch.cat([torch.randn(views, *shape, generator=g, device=device) for g in generators])

    return uniform, normal


def exposed_otherwise(x: Annotated[Tensor, "N 3 H W"], uniform: Chance, normal: Chance) -> Tensor:
    """Contrast, brightness and white balance of each picture; some are grey."""
    color = 1 + COLOR * normal(3, 1, 1)
    contrast, brightness = uniform(0.8, 1.2, 1, 1, 1), uniform(-0.06, 0.06, 1, 1, 1)
    x = ((x - 0.5) * contrast + 0.5 + brightness) * color
    grey = uniform(0, 1, 1, 1, 1) < GREY
    return torch.where(grey, x.mean(1, keepdim=True), x)


def blurred(x: Annotated[Tensor, "N 3 H W"], sigma: Annotated[Tensor, "N"]) -> Tensor:
    """Each picture by a Gaussian of its own."""
    radius = 2
    offsets = torch.arange(-radius, radius + 1, device=x.device)
    weights = (-(offsets**2) / (2 * sigma[:, None] ** 2)).exp()
    weights = (weights / weights.sum(1, keepdim=True)).repeat_interleave(x.shape[1], 0)
    flat = x.flatten(0, 1)[None]
    flat = F.conv2d(F.pad(flat, (radius,) * 4, mode="replicate"), weights[:, None, None], groups=len(weights))
    return F.conv2d(flat, weights[:, None, :, None], groups=len(weights))[0].view_as(x)


def vignette(size: torch.Size | tuple[int, int], loss: Annotated[Tensor, "N 1 1"]) -> Annotated[Tensor, "N H W"]:
    """1 in the middle, 1 - loss in the corners."""
    y, x = (torch.linspace(-1, 1, n, device=loss.device) for n in size)
    return 1 - loss * (y[:, None] ** 2 + x**2) / 2


def compressed(
    x: Annotated[Tensor, "N 3 H W"], step: Annotated[Tensor, "N 1 1 1 1 1"]
) -> Annotated[Tensor, "N 3 H W"]:
    """Cosine coefficients of 8 × 8 blocks rounded to steps that grow with frequency, as JPEG has it; a step of 0: as it is."""
    height, width = x.shape[-2:]
    padded = F.pad(x, (0, -width % 8, 0, -height % 8), mode="replicate")
    k = torch.arange(8, device=x.device)
    basis = (torch.pi * (k + 0.5) * k[:, None] / 8).cos() * torch.where(k == 0, 0.125, 0.25).sqrt()[:, None]
    blocks = padded.unflatten(-1, (-1, 8)).unflatten(-3, (-1, 8)).transpose(-3, -2)  # N 3 h w 8 8
    coefficients = basis @ blocks @ basis.T
    steps = step * (1 + k + k[:, None])
    rounded = torch.where(steps > 0, (coefficients / steps.clamp_min(1e-6)).round() * steps, coefficients)
    back = (basis.T @ rounded @ basis).transpose(-3, -2).flatten(-4, -3).flatten(-2)
    return back[..., :height, :width]
