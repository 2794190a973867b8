"""How far depth is from true depth, after an alignment that is named: AbsRel, RMSE and shares below a ratio."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from torch import Tensor

Alignment = Literal["none", "median", "scale", "scale_shift"]
Values = Annotated[Tensor, "P"]
DELTA = 1.25  # Eigen et al. 2014


@dataclass(frozen=True)
class DepthFigures:
    """Of scale * depth + shift against the truth."""

    alignment: Alignment
    scale: float
    shift: float  # units of truth
    abs_rel: float
    rmse: float  # units of truth
    delta_1: float
    delta_2: float
    delta_3: float
    coverage: float  # share of pixels with a truth that have a depth; all other figures are over these


def depth_figures(
    estimated: Annotated[Tensor, "..."], reference: Annotated[Tensor, "..."], alignment: Alignment
) -> DepthFigures:
    """Errors of one z-depth picture, or of several that share one alignment, against true depth g of the same shape.

    With d aligned: AbsRel = mean |d - g| / g, RMSE = sqrt(mean (d - g)^2), delta_k = share with max(d / g, g / d) <
    1.25^k (Eigen et al. 2014). A depth of 0, below or not finite is unknown, in both; one that the
    alignment takes below 0 has no ratio and fails every delta. Raises ValueError where no pixel has both depths.
    """
    if estimated.shape != reference.shape:
        raise ValueError(f"depth and truth have two shapes: {[*estimated.shape]} and {[*reference.shape]}")
    true, known = _known(reference.double()), _known(estimated.double())
    if not (true & known).any():
        raise ValueError("no pixel has both a depth and a true one")
    d, g = estimated.double()[true & known], reference.double()[true & known]
    scale, shift = ALIGNMENTS[alignment](d, g)
    aligned = scale * d + shift
    ratio = torch.maximum(aligned / g, g / aligned).where(aligned > 0, torch.inf)
    return DepthFigures(
        alignment,
        scale,
        shift,
        abs_rel=float(((aligned - g).abs() / g).mean()),
        rmse=float((aligned - g).square().mean().sqrt()),
        delta_1=float((ratio < DELTA).double().mean()),
        delta_2=float((ratio < DELTA**2).double().mean()),
        delta_3=float((ratio < DELTA**3).double().mean()),
        coverage=len(g) / int(true.sum()),
    )


def nothing(d: Values, g: Values) -> tuple[float, float]:
    """Metric depth stands as it is."""
    return 1.0, 0.0


def ratio_of_medians(d: Values, g: Values) -> tuple[float, float]:
    """scale = median(g) / median(d) (Zhou et al. 2017)."""
    return float(np.median(g.numpy()) / np.median(d.numpy())), 0.0


def least_squares_scale(d: Values, g: Values) -> tuple[float, float]:
    """The scale with least sum (scale d - g)^2: d.g / d.d."""
    return float(d @ g / (d @ d)), 0.0


def least_squares_scale_and_shift(d: Values, g: Values) -> tuple[float, float]:
    """Scale and shift with least sum (scale d + shift - g)^2, on depth and not on disparity.

    Of one depth everywhere, which leaves the scale undecided: 0, and the mean truth as shift.
    """
    mean_d, mean_g = d.mean(), g.mean()
    variance = (d - mean_d).square().sum()
    scale = (d - mean_d) @ (g - mean_g) / variance if variance > 0 else torch.zeros_like(mean_d)
    return float(scale), float(mean_g - scale * mean_d)


ALIGNMENTS: dict[Alignment, Callable[[Values, Values], tuple[float, float]]] = {
    "none": nothing,
    "median": ratio_of_medians,
    "scale": least_squares_scale,
    "scale_shift": least_squares_scale_and_shift,
}


def _known(depth: Annotated[Tensor, "..."]) -> Annotated[Tensor, "..."]:
    return (depth > 0) & depth.isfinite()
