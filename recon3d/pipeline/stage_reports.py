"""What each stage of a run has to report, as values beside its result; `told` makes them what report.json holds.

Fields are the keys of report.json (docs/report.schema.json). One whose default is None is left out where nothing was said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from recon3d.models.checkpoints import WeightsReport
from recon3d.sfm.folded import FoldedReport


@dataclass(frozen=True)
class NetworkReport:
    """How a network was run in the memory that there was."""

    device: str
    size: int  # pixels, of the side that its preprocessing sets
    chunk: int  # views that dense heads took at a time
    linear_layers: str  # the type they computed in
    estimated_mb: int
    why: str


@dataclass(frozen=True)
class GeometryReport:
    row: str
    rule: str  # why that row
    licence: str
    settings: str
    why: str
    registered: int
    total: int
    unregistered: tuple[str, ...]
    points: int
    reprojection_px: float | None
    acceptance: Mapping[str, Any]
    disagreement: Mapping[str, Any] | None
    repeatable: bool
    weights: WeightsReport | None = None
    network: NetworkReport | None = None
    folded: FoldedReport | None = None  # photos that may have been put onto a like place


@dataclass(frozen=True)
class BudgetReport:
    """How a scene was brought below a number of Gaussians, and what that cost on the pictures that it was made of."""

    most: int
    before: int
    after: int
    way: str
    psnr_before: float
    psnr_after: float


@dataclass(frozen=True)
class SplatsReport:
    row: str
    rule: str
    licence: str
    weights: WeightsReport | None = None
    anchors: tuple[str, ...] | None = None  # names of the views that Gaussians stand in
    windows: int | None = None  # passes over overlapping views, where one did not hold them all
    outside: tuple[str, ...] | None = None  # how the input differs from what the weights were trained on
    budget: BudgetReport | None = None


@dataclass(frozen=True)
class RefinementReport:
    steps: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    way: str | None = None  # where it is not the toolkit's own


@dataclass(frozen=True)
class StageReports:
    """What the stages had to report, under their names."""

    geometry: GeometryReport
    splats: SplatsReport
    refinement: RefinementReport
    improvements: Mapping[str, Any]  # frozen values by the names of the improvements; None: nothing to say


def told(value: Any) -> Any:
    """A report as JSON takes it: fields by name, tuples as lists, optional fields that nothing was said of left out."""
    if is_dataclass(value):
        said = [(field, getattr(value, field.name)) for field in fields(value)]
        return {field.name: told(x) for field, x in said if x is not None or field.default is not None}
    if isinstance(value, Mapping):
        return {key: told(x) for key, x in value.items()}
    return [told(x) for x in value] if isinstance(value, list | tuple) else value
