"""How far estimated cameras are from reference cameras, pair by pair: no frame and no scale need to agree.

Definitions: for views i < j, R_ij = R_j R_i^T and t_ij = t_j - R_ij t_i of camera_from_world = [R | t]. The rotation error
is the angle of R_ij(estimated)^T R_ij(reference); the translation error is the angle between both t_ij.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from recon3d.core.rotations import rotation_angle
from recon3d.core.shapes import check_shapes

UNREGISTERED = 180.0  # degrees, of every pair with a view that has no estimated camera
LIMITS = (5, 15, 30)  # degrees, of RRA, RTA and VGGT's AUC
EXACT_LIMITS = (5, 10, 20)  # degrees, of SuperGlue's AUC: ScanNet-1500, NoPoSplat


@dataclass(frozen=True)
class PairErrors:
    """Errors of E pairs of views in degrees, 0 to 180."""

    rotation: Annotated[Tensor, "E"]
    translation: Annotated[Tensor, "E"]  # of the direction; its sign counts

    def __post_init__(self) -> None:
        check_shapes(self)

    @property
    def translation_sign_free(self) -> Annotated[Tensor, "E"]:
        """min(e, 180 - e), as in ScanNet-1500's protocol; 180 for pairs of which a view has no camera."""
        absent = (self.rotation == UNREGISTERED) & (self.translation == UNREGISTERED)
        return torch.where(absent, UNREGISTERED, torch.minimum(self.translation, 180 - self.translation))

    @property
    def worst(self) -> Annotated[Tensor, "E"]:
        """The larger of both errors; its `auc` is the usual figure."""
        return torch.maximum(self.rotation, self.translation)

    @property
    def worst_sign_free(self) -> Annotated[Tensor, "E"]:
        return torch.maximum(self.rotation, self.translation_sign_free)


def pair_errors(
    estimated: Annotated[Tensor, "N 4 4"],
    reference: Annotated[Tensor, "N 4 4"],
    registered: Annotated[Tensor, "N"] | None = None,
) -> PairErrors:
    """Errors of all pairs i < j of camera_from_world, in lexicographic order.

    `registered` (bool; None: all) tells which estimated cameras exist; the others may hold anything.
    """
    i, j = torch.triu_indices(len(reference), len(reference), 1)
    rotation_a, translation_a = _relative(estimated.double(), i, j)
    rotation_b, translation_b = _relative(reference.double(), i, j)
    rotation = rotation_angle(rotation_a.transpose(1, 2) @ rotation_b)
    translation = _angle(translation_a, translation_b)
    if registered is not None:
        both = registered[i].bool() & registered[j].bool()
        rotation, translation = rotation.where(both, UNREGISTERED), translation.where(both, UNREGISTERED)
    return PairErrors(rotation, translation)


def accuracy(errors: Annotated[Tensor, "E"], limit: float) -> float:
    """Share of errors below `limit` degrees: RRA of rotation errors, RTA of translation errors."""
    return float((errors < limit).double().mean())


def auc(errors: Annotated[Tensor, "E"], limit: int) -> float:
    """AUC@limit as VGGT's evaluation has it: mean over t = 1, 2, ..., limit of the share of errors below t degrees."""
    return sum(accuracy(errors, t) for t in range(1, limit + 1)) / limit


def auc_exact(errors: Annotated[Tensor, "E"], limit: float) -> float:
    """AUC@limit as SuperGlue's evaluation has it: area under the recall curve up to `limit` degrees, over `limit`.

    The curve joins (0, 0) and the points (k-th smallest error, k / E) by straight lines and is level after the last one.
    """
    ordered = errors.double().sort().values
    ordered = ordered[ordered < limit]
    zero = torch.zeros(1, dtype=torch.float64)
    at = torch.cat([zero, ordered, torch.full_like(zero, limit)])
    recall = torch.arange(len(ordered) + 1, dtype=torch.float64) / len(errors)
    return float(torch.trapezoid(torch.cat([recall, recall[-1:]]), at)) / limit


@dataclass(frozen=True)
class PoseFigures:
    """Shares of pairs, 0 to 1, by limit in degrees."""

    rra: dict[int, float]  # rotation errors below the limit (PoseDiffusion, Wang et al. 2023)
    rta: dict[int, float]  # translation errors below it; the sign counts
    rta_sign_free: dict[int, float]
    auc: dict[int, float]  # of the larger of both errors, by `auc` (VGGT)
    auc_sign_free: dict[int, float]
    auc_exact_sign_free: dict[int, float]  # by `auc_exact` (SuperGlue); at EXACT_LIMITS


@dataclass(frozen=True)
class PoseFiguresOfScenes:
    """The same figures by two ways to average; they differ where scenes differ in their number of views."""

    over_pairs: PoseFigures  # every pair of every scene counts the same
    over_scenes: PoseFigures  # every scene counts the same: the mean of its figures


def pose_figures(errors: PairErrors) -> PoseFigures:
    """RRA, RTA and AUC of pairs of views; which is which stands at the fields. Raises ValueError where there is no pair."""
    if not len(errors.rotation):
        raise ValueError("pose errors are of pairs: a scene needs two views")
    return PoseFigures(
        rra={limit: accuracy(errors.rotation, limit) for limit in LIMITS},
        rta={limit: accuracy(errors.translation, limit) for limit in LIMITS},
        rta_sign_free={limit: accuracy(errors.translation_sign_free, limit) for limit in LIMITS},
        auc={limit: auc(errors.worst, limit) for limit in LIMITS},
        auc_sign_free={limit: auc(errors.worst_sign_free, limit) for limit in LIMITS},
        auc_exact_sign_free={limit: auc_exact(errors.worst_sign_free, limit) for limit in EXACT_LIMITS},
    )


def pose_figures_of_scenes(scenes: Sequence[PairErrors]) -> PoseFiguresOfScenes:
    """Figures of all pairs of all scenes, and the mean of the figures of each. Raises ValueError where a scene has no pair."""
    each = [pose_figures(errors) for errors in scenes]
    pairs = PairErrors(*(torch.cat([getattr(s, name) for s in scenes]) for name in ("rotation", "translation")))
    means = {
        name: {limit: sum(getattr(figures, name)[limit] for figures in each) / len(each) for limit in values}
        for name, values in vars(each[0]).items()
    }
    return PoseFiguresOfScenes(pose_figures(pairs), PoseFigures(**means))


def _relative(
    camera_from_world: Annotated[Tensor, "N 4 4"], i: Annotated[Tensor, "E"], j: Annotated[Tensor, "E"]
) -> tuple[Annotated[Tensor, "E 3 3"], Annotated[Tensor, "E 3"]]:
    rotation, translation = camera_from_world[:, :3, :3], camera_from_world[:, :3, 3:]
    between = rotation[j] @ rotation[i].transpose(1, 2)
    return between, (translation[j] - between @ translation[i])[:, :, 0]


def _angle(a: Annotated[Tensor, "E 3"], b: Annotated[Tensor, "E 3"]) -> Annotated[Tensor, "E"]:
    # atan2, not acos, which loses half of its digits at small angles. No translation has no direction: as wrong as a right
    # angle, where there is one, so that cameras that are all left in one place are not taken for right ones.
    angle = torch.rad2deg(torch.atan2(torch.linalg.cross(a, b).norm(dim=1), (a * b).sum(1)))
    return angle.where((a == 0).all(1) == (b == 0).all(1), 90.0)
