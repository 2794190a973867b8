"""The one call that makes pictures of splats, and the table of backends that it can go to."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from recon3d.core.cameras import Cameras
from recon3d.core.gaussians import Gaussians
from recon3d.core.scene import Rendering
from recon3d.errors import InputError
from recon3d.rendering.constants import ALPHA_KNOWN
from recon3d.rendering.screen import Screen


@dataclass(frozen=True)
class Backend:
    """A row of BACKENDS. `call` and `probe` are "module:function", loaded when they are used."""

    call: str  # has the arguments and the results of `rasterize`
    device: str  # where it computes: "cpu" or "cuda"
    about: str
    probe: str | None = None  # () -> str | None: why it cannot run here, in one sentence with the remedy

    def why_not(self) -> str | None:
        return load(self.probe)() if self.probe else None


BACKENDS = {
    "cpu": Backend("recon3d.rendering.cpu.autograd:rasterize", "cpu", "our numba kernels, on all cores"),
    "gsplat": Backend(
        "recon3d.rendering.cuda:rasterize", "cuda", "gsplat's kernels, on an NVIDIA GPU", "recon3d.rendering.cuda:why_not"
    ),
    "reference": Backend("recon3d.rendering.reference:rasterize", "cpu", "plain torch, slow and obvious: for tests"),
}


def load(reference: str):
    """The object that "module:name" names."""
    module, name = reference.split(":")
    return getattr(importlib.import_module(module), name)


def backend_for(device: str = "auto") -> str:
    """The key of BACKENDS that draws on a device: "cuda" is gsplat, "cpu" and "mps" are our kernels.

    "auto" is gsplat where it runs, else our kernels.
    """
    if device == "auto":
        return "cpu" if BACKENDS["gsplat"].why_not() else "gsplat"
    return "gsplat" if torch.device(device).type == "cuda" else "cpu"


def usable_backend(device: str) -> str:
    """`backend_for`, after a look at whether it runs here; raises InputError at --device where it does not."""
    name = backend_for(device)
    if reason := BACKENDS[name].why_not():
        raise InputError("--device", reason, "Or use --device cpu")
    return name


def render(gaussians: Gaussians, cameras: Cameras, *, device: str = "auto") -> Rendering:
    """What cameras of one size see, drawn on the device that `backend_for` chooses; gradients flow where tensors ask for
    them.

    Splats of mode "antialiased" are drawn so, all others classically: surfels ("2dgs") as flat Gaussians. Raises
    ValueError where sizes differ (see `render_each`), InputError where the backend cannot run here.
    """
    if len(torch.unique(cameras.sizes, dim=0)) > 1:
        sizes = " and ".join(f"{width}x{height}" for height, width in torch.unique(cameras.sizes, dim=0).tolist())
        raise ValueError(f"cameras of one size are needed, these have {sizes}: use render_each, or one of them (cameras[[i]])")
    name = usable_backend(device)
    g = gaussians
    height, width = cameras.size(0)
    rgb, depth, alpha = rasterize(
        g.means, g.quats, g.scales, g.opacities, g.sh, cameras.camera_from_world, cameras.K, width, height,
        antialiased=g.mode == "antialiased", backend=name,
    )  # fmt: skip
    known = alpha >= ALPHA_KNOWN
    return Rendering(rgb, torch.where(known, depth / torch.where(known, alpha, 1), 0), alpha)


def render_each(gaussians: Gaussians, cameras: Cameras, *, device: str = "auto") -> list[Rendering]:
    """A rendering of one view for each camera, whatever their sizes.

    All of them are held at once: of many large pictures, render one after the other.
    """
    return [render(gaussians, cameras[[i]], device=device) for i in range(len(cameras))]


def rasterize(
    means: Annotated[Tensor, "G 3"],
    quats: Annotated[Tensor, "G 4"],
    scales: Annotated[Tensor, "G 3"],
    opacities: Annotated[Tensor, "G"],
    sh: Annotated[Tensor, "G S 3"],
    camera_from_world: Annotated[Tensor, "N 4 4"],
    K: Annotated[Tensor, "N 3 3"],
    width: int,
    height: int,
    screen: Screen | None = None,
    *,
    antialiased: bool = False,
    backend: str = "cpu",
) -> tuple[Annotated[Tensor, "N 3 H W"], Annotated[Tensor, "N H W"], Annotated[Tensor, "N H W"]]:
    """Colours, sums of w z (not divided by alpha) and alpha of N cameras, differentiable in all but K.

    Tensors may lie on any device: they go to the backend's, and the pictures come back to that of the means. The screen
    stays with the backend.

    Quaternions (wxyz) may have any length but 0. `screen` is filled with what densification asks for. Where `antialiased`,
    opacities are lowered by what the splat gains in area by its least width. Source: Kerbl et al. 2023 and Yu et al. 2024
    (Mip-Splatting) as gsplat's classic and antialiased modes; `rendering.reference` is the specification.
    """
    row = BACKENDS[backend]
    there = (x.to(row.device) for x in (means, quats, scales, opacities, sh, camera_from_world, K))
    rgb, depth, alpha = load(row.call)(*there, width, height, screen, antialiased)
    return rgb.to(means.device), depth.to(means.device), alpha.to(means.device)


def warm_up(backend: str = "cpu") -> None:
    """Compile all kernels of rendering and SSIM on the backend's device, or load them from the cache.

    On a CPU seconds, or half a minute; gsplat compiles for more than a minute at its first use.
    """
    ssim = load("recon3d.metrics.image:ssim")  # a neighbour of this layer, named like a backend: one call warms all
    device = BACKENDS[backend].device
    generator = torch.Generator().manual_seed(0)
    means, quats = ((torch.rand(8, n, generator=generator) - 0.5).to(device) for n in (3, 4))
    scales, opacities = torch.full((8, 3), 0.1, device=device), torch.full((8,), 0.5, device=device)
    sh = torch.zeros(8, 4, 3, device=device)
    camera_from_world = torch.eye(4).repeat(2, 1, 1)
    camera_from_world[:, 2, 3] = 3
    K = torch.tensor([[32.0, 0, 16], [0, 32, 16], [0, 0, 1]]).repeat(2, 1, 1)
    means.requires_grad_()
    rgb, depth, alpha = rasterize(means, quats, scales, opacities, sh, camera_from_world, K, 32, 32, backend=backend)
    (ssim(rgb, torch.zeros_like(rgb)) + depth.mean() + alpha.mean()).backward()
