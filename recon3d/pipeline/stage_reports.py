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
class JoinReport:
    """How two windows were joined by the photos that both saw."""

    windows: tuple[int, int]
    shared: tuple[str, ...]  # names
    agreeing: int  # of these, whose cameras agree on one similarity
    scale: float  # the first window's unit of the second's: how much larger its numbers are
    degrees: float  # what is left between the agreeing cameras: turned,
    shift: float  # moved, in median depths,
    scale_deviation: float  # and the deviation of the photos' own ratios of depth, in shares
    why: str | None = None  # why it is not determined


@dataclass(frozen=True)
class MissReport:
    """By how much windows missed a loop."""

    degrees: float
    shift: float  # median depths
    scale: float  # shares


@dataclass(frozen=True)
class LoopReport:
    """Two photos far apart in the order that look alike."""

    views: tuple[str, str]
    matches: int  # between the two photos, on one epipolar geometry
    closed: bool
    agreeing: float | None = None  # share of the matches that a pass over both ends agrees with
    why: str | None = None  # why it was not closed
    before: MissReport | None = None
    after: MissReport | None = None


@dataclass(frozen=True)
class WindowsReport:
    """How more views than one pass takes went through a network."""

    count: int
    size: int
    overlap: int
    order: str  # of the photos: as given, or by resemblance
    joins: tuple[JoinReport, ...]
    loops: tuple[LoopReport, ...]


@dataclass(frozen=True)
class NetworkReport:
    """How a network was run in the memory that there was."""

    device: str
    size: int  # pixels, of the side that its preprocessing sets
    chunk: int  # views that dense heads took at a time
    linear_layers: str  # the type they computed in
    estimated_mb: int
    why: str
    windows: WindowsReport | None = None


@dataclass(frozen=True)
class KnownCamerasReport:
    """How a network's prediction met cameras that were given, which stand as they were given."""

    poses: int
    lenses: int
    told: bool  # the network was told them; False: its prediction was moved to them only
    scale: float | None  # given units for a predicted one; None: one pose, or centres at one place, tell none
    rotation_degrees: float | None  # median over given poses, after the alignment
    centre_distance: float | None  # median, in the given unit
    worst: str | None  # the photo whose predicted camera is turned most from the given one
    worst_degrees: float | None
    focal_ratio: float | None  # median of given over predicted focal lengths
    depth: Mapping[str, Mapping[str, Any]]  # by photo: how its depth was solved again
    unconfirmed: tuple[str, ...] | None = None  # photos whose depth no other photo confirms


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
    sky: float | None = None  # share of the pixels of depth maps that was taken for sky
    known_cameras: KnownCamerasReport | None = None
    held_out_photos: str | None = None  # of a network: whether they took part in its pass, and why
    folded: FoldedReport | None = None  # photos that may have been put onto a like place


@dataclass(frozen=True)
class BundleAdjustmentReport:
    """Whether cameras that were predicted are adjusted ones now, and what that did. Pixels are those of full-size photos."""

    kept: bool
    why: str
    tracks: str | None = None  # whose: sift, or the network's own (mast3r, vggt); None: none were looked for
    held_back_tracks: int | None = None  # by which it was judged
    px_before: float | None = None  # median over their observations
    px_after: float | None = None
    agreeing_before: float | None = None  # share of their observations that lie near
    agreeing_after: float | None = None
    adjusted: int | None = None  # views
    following: tuple[str, ...] | None = None  # views that matches did not adjust, and that followed their neighbours
    joined: tuple[str, ...] | None = None  # adjusted views that SIFT's tracks did not reach, and the network's own did
    points: int | None = None
    depth_scales: tuple[float, ...] | None = None  # least and largest, by which the depth of views was multiplied
    depth_off_before: float | None = None  # median share by which depth differs from that of the points, in one scale
    depth_off_after: float | None = None


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
class CameraMotionReport:
    """How far refinement moved the cameras of seen photos, in the median."""

    degrees: float
    shift: float  # share of the scene's extent: how far cameras stand from their middle
    following: tuple[str, ...]  # held-out views, which followed their neighbours


@dataclass(frozen=True)
class RefinementReport:
    steps: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    way: str | None = None  # where it is not the toolkit's own
    exposures: str | None = None  # why those of the photos were fitted, where they were
    distractors: Mapping[str, float] | None = None  # photos that show what no other does, and its share of each that had no part
    cameras: CameraMotionReport | None = None  # where it might move them


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
