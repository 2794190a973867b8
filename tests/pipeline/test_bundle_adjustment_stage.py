"""The improvement "bundle adjustment" on rendered photos with known cameras and depth."""

from __future__ import annotations

import types
from dataclasses import replace

import pytest
import torch

from recon3d.core.geometry import Geometry
from recon3d.metrics.poses import pair_errors
from recon3d.pipeline.artefacts import Arrays
from recon3d.pipeline.bundle_adjustment import Matched, improved, improvements, pack, unpack
from recon3d.pipeline.choices import FEW
from recon3d.pipeline.request import Request, plan
from recon3d.pipeline.sources import Asked
from recon3d.progress import Progress
from tools.benchmarks.bundle_adjustment import Noise, disturbed, procedural, refined_from

HOW = Matched(FEW, seed=0)


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return procedural(1, tmp_path_factory.mktemp("scene"), 192, views=6, samples=1)


@pytest.fixture(scope="module")
def adjusted(case):
    wrong = disturbed(case.geometry, Noise(), 0)
    scales = torch.tensor([1.0, 1.1, 0.9, 1.05, 1.0, 0.95])
    K = wrong.cameras.K.clone()
    K[::2, [0, 1], [0, 1]] *= 1.02
    depth = tuple(d * float(s) for d, s in zip(depth_of(wrong), scales, strict=True))
    wrong = replace(wrong, cameras=replace(wrong.cameras, K=K), depth=depth)
    fixed = torch.zeros(len(case.views), dtype=torch.bool)
    return wrong, *improved(case.views, wrong, case.photos, fixed, HOW, Progress())


def depth_of(geometry: Geometry) -> tuple[torch.Tensor, ...]:
    assert geometry.depth is not None
    return geometry.depth


def depth_off(case, geometry) -> torch.Tensor:
    """Of every view the median logarithm of its depth by the true one, in the scale of the true cameras."""
    spread = [g.cameras.centers_in_world.std(0).norm() for g in (case.geometry, geometry)]
    pairs = zip(depth_of(geometry), depth_of(case.geometry), strict=True)
    return torch.stack([torch.log(d[t > 0] / t[t > 0] * spread[0] / spread[1]).median() for d, t in pairs])


def test_disturbed_cameras_come_back_with_one_K_and_their_depth_follows(case, adjusted):
    wrong, right, report = adjusted
    true = case.geometry.cameras
    errors = [pair_errors(g.cameras.camera_from_world, true.camera_from_world).rotation.max() for g in (wrong, right)]
    assert report.kept and report.tracks == "sift" and report.adjusted == 6 and errors[1] < 0.4 < 0.8 < errors[0]
    assert report.px_after < 0.6 < 1.2 < report.px_before and report.agreeing_after > 0.95
    assert torch.equal(right.cameras.K, right.cameras.K[:1].expand(6, 3, 3)) and right.cameras.camera_index.unique().numel() == 1
    assert float((right.cameras.K[0, 0, 0] / true.K[0, 0, 0]).log().abs()) < 0.01
    assert float(depth_off(case, wrong).abs().max()) > 0.08 and float(depth_off(case, right).abs().max()) < 0.03


def test_its_points_are_tracks_that_its_cameras_see_where_they_were_found(case, adjusted):
    _, right, report = adjusted
    assert len(right.points) == report.points > 100 and torch.bincount(right.tracks.view, minlength=6).min() >= 20
    pixels, _ = right.cameras.project(right.points)
    photo_from_pixel = torch.linalg.inv(case.views.pixel_from_photo)[0, [0, 1], [0, 1]]
    off = (pixels[right.tracks.view, right.tracks.point] * photo_from_pixel - right.tracks.xy).norm(dim=1)
    assert float(off.median()) < 0.5
    right.check("bundle adjustment")


def test_it_lies_in_the_work_folder_as_it_was(adjusted):
    wrong, right, report = adjusted
    arrays: Arrays = pack((right, report))
    found, told = unpack(wrong, arrays)
    assert told == report and found.tracks is not None and torch.equal(found.tracks.xy, right.tracks.xy)
    assert all(torch.equal(a, b) for a, b in zip(depth_of(found), depth_of(right), strict=True))
    assert torch.equal(found.cameras.K, right.cameras.K) and torch.equal(found.points, right.points)


def test_views_get_pinholes_of_the_adjusted_K(case, adjusted):
    _, right, _ = adjusted
    seen = case.views.seen_by(right.cameras)
    K = case.views.pixel_from_photo[0].numpy() @ seen.lenses[0].K
    assert torch.allclose(torch.from_numpy(K), right.cameras.K[0])
    assert case.views.seen_by(case.geometry.cameras).lenses == case.views.lenses


def test_right_cameras_and_depth_come_back_to_the_bit(case):
    fixed = torch.zeros(len(case.views), dtype=torch.bool)
    same, report = improved(case.views, case.geometry, case.photos, fixed, HOW, Progress())
    assert same is case.geometry and not report.kept
    assert report.held_back_tracks is not None and report.held_back_tracks > 20


def asked(progress: Progress, **words) -> Asked:
    request = Request(**words)
    none_known = types.SimpleNamespace(pose_known=torch.zeros(3, dtype=torch.bool))
    loaded = types.SimpleNamespace(points=None, views=none_known)
    return Asked(request, plan(request), loaded, "photos", None, progress)  # type: ignore[arg-type]


def test_on_says_where_there_is_nothing_to_adjust_and_auto_is_silent(case):
    progress = Progress()
    assert improvements(asked(progress, geometry="colmap")) == ()
    assert improvements(asked(progress, geometry="da3-small", bundle_adjust="off")) == ()
    assert [i.name for i in improvements(asked(progress, geometry="da3-small"))] == ["bundle adjustment"]
    (step,) = improvements(asked(progress, geometry="colmap", bundle_adjust="on"))
    same, report = step.apply(case.views, case.geometry)
    assert same is case.geometry and not report.kept and "COLMAP" in report.why and report.why in progress.notes[0]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_held_out_photos_are_predicted_as_with_the_true_cameras(tmp_path, seed):
    """Half a degree, 1 % of the scene, 2 % of depth and 5 % outliers: within 0.5 dB at equal steps."""
    case = procedural(1, tmp_path, 256)
    wrong = disturbed(case.geometry, Noise(), seed)
    fixed = torch.zeros(len(case.views), dtype=torch.bool)
    right, _ = improved(case.views, wrong, case.photos, fixed, HOW, Progress())
    true = replace(wrong, cameras=case.geometry.cameras)
    with_true, with_wrong, with_adjusted = (refined_from(case, g, 300, False)[1] for g in (true, wrong, right))
    assert with_adjusted > with_true - 0.5 and with_adjusted > with_wrong + 0.5
