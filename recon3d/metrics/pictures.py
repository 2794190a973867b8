"""PSNR and SSIM of renders as published tables have them. `image.py` has those that refinement and reports live by.

Both clip pictures to 0 and 1. SSIM is scikit-image's (sample covariance), which lies about 1e-4 off the one of losses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from recon3d.core.shapes import check_shapes
from recon3d.metrics.image import WINDOW, plain_ssim_map, psnr

PERFECT_PSNR = 100.0  # dB, in place of infinity, so that means exist
SAMPLE_COVARIANCE = WINDOW**2 / (WINDOW**2 - 1)  # scikit-image's: N / (N - 1) of the window's pixels, weighted or not


@dataclass(frozen=True)
class PictureFigures:
    """One value for each picture; tables show the mean over a scene's pictures, then over scenes."""

    psnr: Annotated[Tensor, "N"]  # dB
    ssim: Annotated[Tensor, "N"]
    perfect: int  # pictures without any error, whose PSNR of 100 stands for infinity

    def __post_init__(self) -> None:
        check_shapes(self)


def picture_figures(rendered: Annotated[Tensor, "N 3 H W"], photos: Annotated[Tensor, "N 3 H W"]) -> PictureFigures:
    """PSNR = -10 log10(mean squared difference) over channels and pixels, and the mean of SSIM, of each picture clipped.

    SSIM: Wang et al. 2004 by scikit-image's structural_similarity(win_size=11, gaussian_weights=True, channel_axis,
    data_range=1): sigma 1.5, sample covariance, the mean over windows that lie wholly inside. Raises ValueError below 11
    x 11 pixels and for two sizes.
    """
    if rendered.shape != photos.shape or min(photos.shape[-2:]) < WINDOW:
        sizes = f"{[*rendered.shape]} and {[*photos.shape]}"
        raise ValueError(f"pictures to compare need one size of at least {WINDOW} pixels: {sizes}")
    decibels, similarities = [], []
    for a, b in zip(rendered, photos, strict=True):
        a, b = a.detach().double().clamp(0, 1), b.detach().double().clamp(0, 1)
        decibels.append(psnr(a, b))
        similarities.append(float(plain_ssim_map(a, b, SAMPLE_COVARIANCE).mean()))
    perfect = sum(map(math.isinf, decibels))
    shown = [PERFECT_PSNR if math.isinf(value) else value for value in decibels]
    return PictureFigures(
        torch.tensor(shown, dtype=torch.float64), torch.tensor(similarities, dtype=torch.float64), perfect
    )
