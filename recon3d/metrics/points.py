"""How far a cloud of points is from a true one, as both stand: alignment comes before. Memory grows with P + Q, not P Q."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class PointFigures:
    """Distances in the units of the points. Accuracy: from the estimate to the truth; completeness: the way back."""

    accuracy_mean: float
    accuracy_median: float
    completeness_mean: float
    completeness_median: float
    at: dict[float, ThresholdFigures]  # by threshold
    normal_consistency_accuracy: float | None  # None without normals
    normal_consistency_completeness: float | None

    @property
    def chamfer(self) -> float:
        """Mean, not sum, of mean accuracy and mean completeness: `overall` of MVSNet's table of DTU (Yao et al. 2018)."""
        return (self.accuracy_mean + self.completeness_mean) / 2


@dataclass(frozen=True)
class ThresholdFigures:
    """Shares of points nearer than a threshold (Knapitsch et al. 2017)."""

    precision: float  # of the estimate
    recall: float  # of the truth

    @property
    def f_score(self) -> float:
        """2 P R / (P + R), the harmonic mean; 0 where both are 0."""
        together = self.precision + self.recall
        return 2 * self.precision * self.recall / together if together > 0 else 0.0


def point_figures(
    estimated: Annotated[Tensor, "P 3"],
    reference: Annotated[Tensor, "Q 3"],
    thresholds: Sequence[float] = (),
    estimated_normals: Annotated[Tensor, "P 3"] | None = None,
    reference_normals: Annotated[Tensor, "Q 3"] | None = None,
) -> PointFigures:
    """Distances of nearest neighbours both ways, and how well normals agree where both clouds have them.

    Accuracy: mean and median over p of min_q |p - q|; completeness: the same over q. Normal consistency: mean |n.n'| of
    unit normals of nearest neighbours, the same both ways (Mescheder et al. 2019; signs are free).
    Raises ValueError where a cloud is empty or holds a number that is not finite.
    """
    if not len(estimated) or not len(reference):
        raise ValueError("distances need points on both sides")
    distances, nearest_true = nearest(estimated, reference)
    distances_back, nearest_estimated = nearest(reference, estimated)
    consistency = consistency_back = None
    if estimated_normals is not None and reference_normals is not None:
        consistency = normal_consistency(estimated_normals, reference_normals[nearest_true])
        consistency_back = normal_consistency(reference_normals, estimated_normals[nearest_estimated])
    return PointFigures(
        accuracy_mean=float(distances.mean()),
        accuracy_median=float(np.median(distances.numpy())),
        completeness_mean=float(distances_back.mean()),
        completeness_median=float(np.median(distances_back.numpy())),
        at={t: ThresholdFigures(_share_below(distances, t), _share_below(distances_back, t)) for t in thresholds},
        normal_consistency_accuracy=consistency,
        normal_consistency_completeness=consistency_back,
    )


def nearest(
    points: Annotated[Tensor, "P 3"], others: Annotated[Tensor, "Q 3"]
) -> tuple[Annotated[Tensor, "P"], Annotated[Tensor, "P"]]:
    """Distance to the nearest of the others, float64, and which one that is."""
    from scipy.spatial import KDTree  # cKDTree under the name that has types

    distances, indices = KDTree(others.double().numpy()).query(points.double().numpy())
    return torch.from_numpy(distances), torch.from_numpy(indices)


def normal_consistency(a: Annotated[Tensor, "P 3"], b: Annotated[Tensor, "P 3"]) -> float:
    """Mean |cosine| of the angle between normals; a normal of zero agrees with none."""
    a, b = torch.nn.functional.normalize(a.double(), dim=1), torch.nn.functional.normalize(b.double(), dim=1)
    return float((a * b).sum(1).abs().mean())


def _share_below(distances: Annotated[Tensor, "P"], threshold: float) -> float:
    return float((distances < threshold).double().mean())
