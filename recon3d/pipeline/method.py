"""The figure of the README in code: photos to geometry, to splats, to a refined scene. Nothing else lives here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from recon3d.core.gaussians import Gaussians
from recon3d.core.geometry import Geometry
from recon3d.core.scene import Scene
from recon3d.core.views import Views
from recon3d.pipeline.beside import started
from recon3d.pipeline.stage_reports import GeometryReport, RefinementReport, SplatsReport, StageReports
from recon3d.progress import Progress


@dataclass(frozen=True)
class Improvement:
    """A step on the geometry that returns its input where it does no better, and what it has to say (None: nothing)."""

    name: str
    apply: Callable[[Views, Geometry], tuple[Geometry, Any]]


@dataclass(frozen=True)
class Method:
    """Who does each stage. A stage returns what it has to report beside its result."""

    geometry: Callable[[Views], tuple[Views, Geometry, GeometryReport]]
    improvements: tuple[Improvement, ...]
    splats: Callable[[Views, Geometry], tuple[Gaussians, SplatsReport]]
    prepare: Callable[[], None]  # compile what refinement runs, beside the stages before it
    refine: Callable[[Views, Geometry, Gaussians], tuple[Gaussians, Geometry, RefinementReport]]


@dataclass(frozen=True)
class Located:
    """What the progress is given when the cameras stand where the scene will have them."""

    views: Views
    geometry: Geometry


def run(views: Views, method: Method, progress: Progress) -> tuple[Scene, StageReports]:
    """Views as loaded -> a scene of those that have a camera, undistorted. Values are checked at each seam."""
    prepared = started(method.prepare)
    with progress.stage("geometry"):
        views, geometry, of_geometry = method.geometry(views)
    geometry.check("geometry")
    of_improvements: dict[str, Any] = {}
    for improve in method.improvements:
        with progress.stage(improve.name):
            geometry, of_improvements[improve.name] = improve.apply(views, geometry)
        geometry.check(improve.name)
    views = views.seen_by(geometry.cameras)
    progress.snapshot(Located(views, geometry))
    seen = ~views.held_out  # held-out views may give cameras, never pixels
    with progress.stage("splats"):
        gaussians, of_splats = method.splats(views[seen], geometry[seen])
    gaussians.check("splats")
    with progress.stage("compiling"):
        prepared()
    with progress.stage("refinement"):
        gaussians, geometry, of_refinement = method.refine(views, geometry, gaussians)
    gaussians.check("refinement")
    geometry.check("refinement")
    reports = StageReports(of_geometry, of_splats, of_refinement, of_improvements)
    return Scene(gaussians, geometry, views), reports
