"""The CPU rasterizer as one differentiable call on tensors."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from recon3d.rendering.cpu import rasterizer
from recon3d.rendering.cpu.rasterizer import Gradients, Splats, View
from recon3d.rendering.screen import Screen


def rasterize(
    means, quats, scales, opacities, sh, camera_from_world, K, width, height, screen: Screen | None = None, antialiased=False
):
    """The call of `recon3d.rendering.render.rasterize`, in float32 whatever comes in; no gradient in K."""
    inputs = (x.float() for x in (means, quats, scales, opacities, sh, camera_from_world))
    rgb, depth, alpha = Rasterize.apply(*inputs, K, width, height, screen or Screen(), antialiased)  # type: ignore[misc]
    return rgb.to(means.dtype), depth.to(means.dtype), alpha.to(means.dtype)


class Rasterize(torch.autograd.Function):
    @staticmethod
    def forward(ctx, means, quats, scales, opacities, sh, camera_from_world, K, width, height, screen, antialiased):
        splats = splats_of(means, quats, scales, opacities, sh, antialiased)
        cameras = camera_from_world.detach().double().numpy()[:, :3]
        lenses = [[k[0, 0], k[1, 1], k[0, 2], k[1, 2], width, height] for k in K.detach().double().numpy()]
        views = [View(np.ascontiguousarray(c), np.array(lens)) for c, lens in zip(cameras, lenses, strict=True)]
        states = []
        for view in views:
            projected = rasterizer.project(splats, view)
            lists = rasterizer.bin_into_tiles(projected, view)
            states.append((view, projected, lists, rasterizer.composite(projected, lists, view)))
        screen.radii = stacked([projected.radii for _, projected, _, _ in states])
        ctx.splats, ctx.states, ctx.screen = splats, states, screen
        ctx.sh_shape = sh.shape
        drawn = [composited for _, _, _, composited in states]
        return stacked([d.rgb for d in drawn]), stacked([d.depth for d in drawn]), stacked([d.alpha for d in drawn])

    @staticmethod
    @once_differentiable
    def backward(ctx, g_rgb, g_depth, g_alpha):
        g_rgb, g_depth, g_alpha = (g.contiguous().numpy() for g in (g_rgb, g_depth, g_alpha))
        gradients = Gradients.like(ctx.splats)
        d_cameras = torch.zeros(len(ctx.states), 4, 4)
        pixels = []
        for i, (view, projected, lists, drawn) in enumerate(ctx.states):
            sums = rasterizer.composite_backward(projected, lists, view, drawn, g_rgb[i], g_depth[i], g_alpha[i])
            d_camera, d_pixels = rasterizer.project_backward(
                ctx.splats, view, projected, lists, sums, gradients, accumulate=i > 0
            )
            d_cameras[i, :3] = torch.from_numpy(d_camera)
            pixels.append(d_pixels)
        ctx.screen.gradient = stacked(pixels)
        of_means, of_quats, of_scales, of_opacities, of_sh = (
            torch.from_numpy(getattr(gradients, name)) for name in ("means", "quats", "scales", "opacities", "sh")
        )
        of_splats = of_means, of_quats, of_scales, of_opacities, of_sh.reshape(ctx.sh_shape)
        return *of_splats, d_cameras, None, None, None, None, None


def splats_of(
    means: Tensor, quats: Tensor, scales: Tensor, opacities: Tensor, sh: Tensor, antialiased: bool = False
) -> Splats:
    """Tensors as the kernels read them, copied only where they are not contiguous (a cut of the coefficients is fine)."""
    sh = sh.detach()
    if sh.stride()[1:] != (3, 1):
        sh = sh.contiguous()
    count, coefficients = sh.shape[:2]
    stride = sh.stride(0) if count > 1 else 3 * coefficients
    flat = sh.as_strided((max(count - 1, 0) * stride + 3 * coefficients if count else 0,), (1,))
    means_, quats_, scales_, opacities_ = (x.detach().contiguous().numpy() for x in (means, quats, scales, opacities))
    return Splats(means_, quats_, scales_, opacities_, flat.numpy(), stride, int(coefficients**0.5) - 1, antialiased)


def stacked(arrays: list[np.ndarray]) -> Tensor:
    """One array without a copy, several with one."""
    return torch.from_numpy(arrays[0][None] if len(arrays) == 1 else np.stack(arrays))
