"""What each stage of a run has to report, as values beside its result; `told` makes them what report.json holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any


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
    weights: Mapping[str, Any] | None = None
    network: Mapping[str, Any] | None = None


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
    weights: Mapping[str, Any] | None = None
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


def told(report: Any) -> dict[str, Any]:
    """The fields as JSON takes them; optional ones that nothing was said of are left out."""
    optional = {field.name for field in fields(report) if field.default is None}
    found = {name: value for name, value in asdict(report).items() if value is not None or name not in optional}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}
