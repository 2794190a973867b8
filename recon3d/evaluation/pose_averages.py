"""Pose figures of records by both averages: over scenes and over all pairs of all scenes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from recon3d.evaluation.records import Record

WORST_SIGN_FREE = 90.0  # degrees

if TYPE_CHECKING:
    from recon3d.metrics.poses import PairErrors, PoseFigures


def with_pose_figures(record: Record) -> Record:
    """With the figures of the scene's own pairs, where it has pairs; those in the record come before."""
    if record.status != "ok" or record.pair_errors is None or not record.pair_errors.rotation:
        return record
    from recon3d.metrics.poses import pose_figures

    return replace(record, figures=named(pose_figures(_pairs(record))) | record.figures)


def over_pairs(records: Sequence[Record]) -> dict[str, float]:
    """Figures of all pairs of records that have some; every pair of a scene that failed counts 180 degrees."""
    from recon3d.metrics.poses import pose_figures_of_scenes

    scenes = [_pairs(record) for record in records]
    return named(pose_figures_of_scenes([pairs for pairs in scenes if len(pairs.rotation)]).over_pairs)


def named(figures: PoseFigures) -> dict[str, float]:
    """rra_5, ..., auc_30, auc_exact_sign_free_20."""
    return {f"{name}_{limit}": value for name, values in vars(figures).items() for limit, value in values.items()}


def _pairs(record: Record) -> PairErrors:
    import torch

    from recon3d.metrics.poses import UNREGISTERED, PairErrors

    if record.pair_errors is not None:
        rotation = torch.tensor(record.pair_errors.rotation, dtype=torch.float64)
        translation = torch.tensor(record.pair_errors.translation, dtype=torch.float64)
    else:
        views = record.total or record.views
        rotation = torch.full((views * (views - 1) // 2,), UNREGISTERED, dtype=torch.float64)
        translation = rotation
    # A sign-free error is min(e, 180 - e): 180 degrees, which stands for a pair without cameras, would be a perfect one.
    lost = (rotation == UNREGISTERED) & (translation == UNREGISTERED)
    return PairErrors(rotation, translation.where(~lost, WORST_SIGN_FREE))
