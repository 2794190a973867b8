"""How close two pictures are: PSNR, and SSIM that can be trained on. Values are 0 to 1."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import math
from types import ModuleType
from typing import Annotated

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

WINDOW = 11  # pixels: SSIM says nothing about the five outermost on each side


def psnr(a: Tensor, b: Tensor, mask: Tensor | None = None) -> float:
    """Peak signal-to-noise ratio in dB over all pixels together; infinite where the pictures are equal.

    a, b: [3,H,W] or [N,3,H,W]. mask, bool [H,W] or [N,H,W]: only pixels where it is true count; NaN where none is.
    """
    squared = (a.detach().double() - b.detach().double()).square().mean(-3)
    error = float((squared if mask is None else squared[mask]).mean())
    return -10 * math.log10(error) if error > 0 else (math.inf if error == 0 else math.nan)


def ssim(a: Tensor, b: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean structural similarity (Wang et al. 2004) of [3,H,W] or [N,3,H,W] pictures: a scalar, 1 where they are equal.

    Gaussian window of 11 pixels with sigma 1.5, only where it lies wholly inside. With a mask (bool, [H,W] or [N,H,W])
    the mean is over windows centred where it is true, and pixels outside of it are taken to agree: they have no say and
    receive no gradient. NaN where no window is left.
    """
    if mask is None:
        return ssim_map(a, b).mean()
    mask = mask[..., None, :, :]
    values = ssim_map(torch.where(mask, a, b), b)
    edge = WINDOW // 2
    counted = mask[..., edge:-edge, edge:-edge].expand(values.shape).to(values.dtype)
    return (values * counted).sum() / counted.sum()


def ssim_map(a: Tensor, b: Tensor) -> Annotated[Tensor, "... H-10 W-10"]:
    """SSIM of each window that lies inside of the pictures, for each channel; differentiable in both.

    float32 runs compiled kernels (numba on a CPU, Triton on CUDA where it is installed), anything else plain torch. Raises
    ValueError below 11 x 11 pixels.
    """
    if a.shape != b.shape or min(a.shape[-2:]) < WINDOW:
        raise ValueError(f"SSIM needs two pictures of one size of at least {WINDOW} pixels: {[*a.shape]} and {[*b.shape]}")
    if a.dtype == b.dtype == torch.float32 and has_kernels(a.device.type):
        return CompiledSsim.apply(a, b)  # type: ignore[return-value]
    return plain_ssim_map(a, b)


@functools.cache
def has_kernels(device: str) -> bool:
    return device == "cpu" or (device == "cuda" and importlib.util.find_spec("triton") is not None)


def plain_ssim_map(a: Tensor, b: Tensor, covariance_scale: float = 1.0) -> Tensor:
    """`ssim_map` in plain torch, on any device in any precision.

    Variances and the covariance are multiplied by `covariance_scale`: those of the paper, or a sample's, N / (N - 1).
    """
    from recon3d.metrics.ssim_kernels import C1, C2

    mean_a, mean_b = windowed(a), windowed(b)
    covariance = covariance_scale * (windowed(a * b) - mean_a * mean_b)
    variances = covariance_scale * (windowed(a * a) - mean_a**2 + windowed(b * b) - mean_b**2)
    light = (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
    return light * (2 * covariance + C2) / (variances + C2)


def windowed(x: Tensor) -> Tensor:
    """The window's weighted mean at every place where it lies inside."""
    from recon3d.metrics.ssim_kernels import WINDOW as WEIGHTS

    weights = torch.from_numpy(WEIGHTS).to(x)
    planes = x.reshape(-1, 1, *x.shape[-2:])
    planes = torch.nn.functional.conv2d(planes, weights.reshape(1, 1, -1, 1))
    planes = torch.nn.functional.conv2d(planes, weights.reshape(1, 1, 1, -1))
    return planes.reshape(*x.shape[:-2], *planes.shape[-2:])


def kernels_on(device: str) -> ModuleType:
    """The module whose two functions compute SSIM and its gradient there."""
    return importlib.import_module(f"recon3d.metrics.ssim_{'numba' if device == 'cpu' else 'triton'}")


class CompiledSsim(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a, b):
        values, derivatives = kernels_on(a.device.type).ssim_with_derivatives(a, b, wanted=ctx.needs_input_grad[0])
        ctx.save_for_backward(a, b, *derivatives)
        return values

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        a, b, *derivatives = ctx.saved_tensors
        kernels = kernels_on(a.device.type)
        of_a = kernels.gradient_of_first(a, b, derivatives, gradient) if ctx.needs_input_grad[0] else None
        if not ctx.needs_input_grad[1]:
            return of_a, None
        # Seldom asked for: SSIM is symmetric, so that the second picture's gradient is the first's of the swapped pair.
        of_swapped = kernels.ssim_with_derivatives(b, a, wanted=True)[1]
        return of_a, kernels.gradient_of_first(b, a, of_swapped, gradient)
