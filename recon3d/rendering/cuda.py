"""Splats on an NVIDIA GPU: gsplat's public `rasterization`, called like our own backends."""

from __future__ import annotations

import functools
import importlib.util

import torch

from recon3d.rendering.constants import EPS2D, FAR, NEAR, TILE
from recon3d.rendering.screen import Screen


@functools.cache
def why_not() -> str | None:
    """Why gsplat cannot run in this process, with what to do about it. Asks once; nothing is compiled yet."""
    if not torch.cuda.is_available():
        return "torch sees no CUDA device; on a machine with an NVIDIA GPU install a CUDA build of torch (pytorch.org)"
    if importlib.util.find_spec("gsplat") is None:
        return "gsplat is not installed; run: pip install 'recon3d-toolkit[gsplat]'"
    try:
        from gsplat import rasterization  # noqa: F401 # type: ignore[import-not-found]
    except (ImportError, OSError, RuntimeError) as reason:
        first = (str(reason).splitlines() or [type(reason).__name__])[0]
        return f"gsplat cannot be imported ({first}); reinstall it for this torch: pip install --force-reinstall gsplat"
    from torch.utils.cpp_extension import CUDA_HOME

    if CUDA_HOME is None and importlib.util.find_spec("gsplat.csrc") is None:
        return "gsplat compiles at first use and finds no CUDA compiler; install the CUDA toolkit, or gsplat's prebuilt wheel"
    return None


def rasterize(
    means, quats, scales, opacities, sh, camera_from_world, K, width, height, screen: Screen | None = None, antialiased=False
):
    """The call of `recon3d.rendering.render.rasterize`, in float32 whatever comes in; no gradient in K."""
    from gsplat import rasterization  # type: ignore[import-not-found]

    inputs = (x.float() for x in (means, quats, scales, opacities, sh, camera_from_world, K.detach()))
    drawn, alpha, meta = rasterization(
        *inputs, width, height, near_plane=NEAR, far_plane=FAR, eps2d=EPS2D, sh_degree=int(sh.shape[1] ** 0.5) - 1,
        packed=False, tile_size=TILE, render_mode="RGB+D", rasterize_mode="antialiased" if antialiased else "classic",
    )  # fmt: skip
    if screen is not None:
        fill(screen, meta)
    drawn, alpha = drawn.to(means.dtype), alpha.to(means.dtype)
    return drawn[..., :3].permute(0, 3, 1, 2), drawn[..., 3], alpha[..., 0]


def fill(screen: Screen, meta: dict) -> None:
    radii, means2d = meta["radii"], meta["means2d"]
    # Before 1.5 a Gaussian had one radius, since then one for each axis.
    screen.radii = radii if radii.dim() == 3 else radii[..., None].expand(*radii.shape, 2)
    if not means2d.requires_grad:
        return

    def keep(gradient) -> None:
        screen.gradient = gradient

    means2d.register_hook(keep)


@functools.cache
def alpha_max() -> float:
    """The largest alpha that the installed gsplat gives to one Gaussian, from a picture: 0.999 in 1.5.3, 0.99 later."""
    mean, quat, lens = [[0.0, 0, 1]], [[1.0, 0, 0, 0]], [[[16.0, 0, 8.5], [0, 16, 8.5], [0, 0, 1]]]
    values = (mean, quat, [[1.0, 1, 1]], [1.0], [[[0.0, 0, 0]]], torch.eye(4)[None].tolist(), lens)
    with torch.no_grad():
        _, _, alpha = rasterize(*(torch.tensor(v, device="cuda") for v in values), width=17, height=17)
    return round(float(alpha[0, 8, 8]), 4)
