"""The functions of raycast.py on a CUDA device, compiled by numba: a thread for each pixel, torch tensors in and out.

Needs numba's CUDA target and the toolkit's compiler library, as numba finds them. Arithmetic is float64, as on a CPU.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import cuda
from torch import Tensor

from recon3d.data.primitives import Scenes
from recon3d.data.raycast import Shots, photographed

THREADS = 128  # of a block: pixels beside each other mostly meet the same primitives


@cuda.jit
def photograph_pixels(scenes, shots, candidates, samples, rgb, depth, surfaces):
    item = cuda.grid(1)  # type: ignore[call-arg]
    views, height, width = depth.shape[1], depth.shape[2], depth.shape[3]
    if item >= depth.size:
        return
    b, v = item // (views * height * width), item // (height * width) % views
    y, x = item // width % height, item % width
    photographed(scenes, shots, b, v, candidates, scenes.counts[b] - 1, y, x, samples, rgb, depth, surfaces)


def photograph(
    scenes: Scenes, shots: Shots, size: tuple[int, int], samples: int, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """As procedural.photograph, with tensors on `device`."""
    def there(array: np.ndarray) -> Any:
        return cuda.as_cuda_array(torch.from_numpy(np.ascontiguousarray(array)).to(device, non_blocking=True))

    grid = (*shots.K.shape[:2], *size)
    rgb = torch.empty((*grid[:2], 3, *size), device=device)
    depth = torch.empty(grid, device=device)
    surfaces = torch.empty(grid, dtype=torch.int16, device=device)
    stream = cuda.external_stream(torch.cuda.current_stream(device).cuda_stream)
    candidates = there(np.arange(1, scenes.kinds.shape[1]))
    photograph_pixels[-(-depth.numel() // THREADS), THREADS, stream](  # type: ignore[index]
        Scenes(*map(there, scenes)), Shots(*map(there, shots)), candidates, samples,
        *(cuda.as_cuda_array(x) for x in (rgb, depth, surfaces)),
    )  # fmt: skip
    return rgb, depth, surfaces
