"""SSIM and its gradient on a CPU: the kernels of `ssim_kernels` run on tensors, as `ssim_triton` runs its own on CUDA."""

from __future__ import annotations

import torch
from torch import Tensor

from recon3d.core.jit import run
from recon3d.metrics.ssim_kernels import TAPS, ssim_backward, ssim_forward


def ssim_with_derivatives(a: Tensor, b: Tensor, wanted: bool) -> tuple[Tensor, list[Tensor]]:
    """The map, and its derivatives in the windows' statistics of a (empty where not wanted)."""
    height, width = a.shape[-2:]
    size = (*a.shape[:-2], height - TAPS + 1, width - TAPS + 1)
    values = torch.empty(size)
    derivatives = [torch.empty(size if wanted else 0) for _ in range(3)]
    rows = values.numel() // size[-1]
    run(ssim_forward, rows, flat(a), flat(b), height, width, flat(values), *(flat(d) for d in derivatives))
    return values, derivatives


def gradient_of_first(a: Tensor, b: Tensor, derivatives: list[Tensor], gradient: Tensor) -> Tensor:
    """From the gradient of the map to that of picture a."""
    height, width = a.shape[-2:]
    of_a = torch.empty(a.shape)
    inputs = (flat(a), flat(b), height, width, flat(gradient), *(flat(d) for d in derivatives))
    run(ssim_backward, of_a.numel() // width, *inputs, flat(of_a))
    return of_a


def flat(x: Tensor):
    """A tensor's values as the kernels read them; the same memory where it is contiguous."""
    return x.detach().contiguous().numpy().reshape(-1)
