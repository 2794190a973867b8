"""The figure, with stages that are made up: who is given what, and what comes back."""

from __future__ import annotations

from dataclasses import replace

import torch

from recon3d.core.gaussians import Gaussians
from recon3d.core.geometry import Geometry
from recon3d.core.synthetic import Synthetic, arc_of_cameras, synthetic_gaussians
from recon3d.core.views import Views
from recon3d.models.checkpoints import WeightsReport
from recon3d.pipeline.method import Improvement, Method, run
from recon3d.pipeline.stage_reports import GeometryReport, NetworkReport, RefinementReport, SplatsReport, told
from recon3d.progress import Progress
from tests.reconstruction.scenes import bare_geometry, views_of

GEOMETRY = GeometryReport("colmap", "named", "MIT", "default", "because", 2, 3, ("c.jpg",), 0, None, {"pairs": (1, 2)}, {}, True)


def test_every_stage_is_given_what_is_its_own_and_its_report_comes_back_under_its_name() -> None:
    cameras = arc_of_cameras(Synthetic(views=3))
    moved, fewer = bare_geometry(cameras), synthetic_gaussians(5)

    def geometry(views: Views) -> tuple[Views, Geometry, GeometryReport]:
        return views, bare_geometry(cameras), GEOMETRY

    def splats(views: Views, geometry: Geometry) -> tuple[Gaussians, SplatsReport]:
        assert views.names == ("000.png", "002.png") and len(geometry.cameras) == 2  # the held-out view gives no pixel
        assert torch.equal(geometry.cameras.K, moved.cameras[[0, 2]].K)
        return synthetic_gaussians(9), SplatsReport("lift", "named", "MIT")

    def refine(views: Views, geometry: Geometry, gaussians: Gaussians) -> tuple[Gaussians, Geometry, RefinementReport]:
        assert geometry is moved and len(gaussians) == 9 and len(views) == 3
        return fewer, geometry, RefinementReport(steps=7)

    method = Method(geometry, (Improvement("moved", lambda views, geometry: (moved, "by one")),), splats, lambda: None, refine)
    progress = Progress()
    scene, reports = run(views_of(torch.zeros(3, 3, 8, 8), held_out=[1]), method, progress)
    assert scene.gaussians is fewer and scene.geometry is moved
    assert (reports.geometry, reports.splats.row, reports.refinement.steps) == (GEOMETRY, "lift", 7)
    assert reports.improvements == {"moved": "by one"}
    assert [stage.name for stage in progress.stages] == ["geometry", "moved", "splats", "compiling", "refinement"]


def test_what_a_report_did_not_say_is_left_out_and_what_nobody_could_measure_is_null() -> None:
    words = told(GEOMETRY)
    assert words["reprojection_px"] is None and "weights" not in words and "network" not in words
    assert words["unregistered"] == ["c.jpg"] and words["acceptance"] == {"pairs": [1, 2]}
    assert list(words)[:3] == ["row", "rule", "licence"]
    run_so = NetworkReport("cpu", 504, 1, "float32", 900, "it fits")
    words = told(replace(GEOMETRY, weights=WeightsReport("vggt-1b", "MIT", True, random=True), network=run_so))
    assert words["weights"] == {"key": "vggt-1b", "licence": "MIT", "commercial": True, "random": True}
    assert words["network"]["linear_layers"] == "float32"
