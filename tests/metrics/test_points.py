"""Distances of clouds of points against golden cases, closed forms and all pairs."""

import math

import pytest
import torch

from recon3d.metrics.points import ThresholdFigures, point_figures
from tests.metrics.golden import check, golden_cases, tensors


def plane(side: int = 9) -> torch.Tensor:
    """Points one apart on z = 0."""
    x, y = torch.meshgrid(torch.arange(side).double(), torch.arange(side).double(), indexing="ij")
    return torch.stack([x, y, torch.zeros_like(x)], -1).reshape(-1, 3)


@golden_cases("points")
def test_distances_are_those_of_the_golden_case(case):
    golden = tensors(case)
    clouds = golden["in.prediction"], golden["in.truth"]
    normals = golden["in.prediction_normals"], golden["in.truth_normals"]
    figures = point_figures(*clouds, (0.05, 0.1), *normals)
    found = {name: value for name, value in vars(figures).items() if name != "at"}
    scores = {f"f_score_{threshold:g}": shares.f_score for threshold, shares in figures.at.items()}
    check(case, {**found, **scores, "chamfer": figures.chamfer})


def test_distances_are_those_of_all_pairs():
    generator = torch.Generator().manual_seed(0)
    a, b, normals_a, normals_b = (
        torch.randn(n, 3, generator=generator, dtype=torch.float64) for n in (300, 201, 300, 201)
    )
    found = point_figures(a, b, (0.3,), normals_a, normals_b)
    pairs = torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")
    there, back = pairs.min(1), pairs.min(0)
    assert found.accuracy_mean == pytest.approx(float(there.values.mean()), abs=1e-12)
    assert found.accuracy_median == pytest.approx(float(there.values.quantile(0.5)), abs=1e-12)
    assert found.completeness_mean == pytest.approx(float(back.values.mean()), abs=1e-12)
    assert found.completeness_median == pytest.approx(float(back.values.median()), abs=1e-12)
    assert found.at[0.3].precision == float((there.values < 0.3).double().mean())
    assert found.at[0.3].recall == float((back.values < 0.3).double().mean())
    cosines = torch.cosine_similarity(normals_a[:, None], normals_b[None], dim=2).abs()
    assert found.normal_consistency_accuracy == pytest.approx(float(cosines[torch.arange(300), there.indices].mean()))
    back_cosines = cosines[back.indices, torch.arange(201)]
    assert found.normal_consistency_completeness == pytest.approx(float(back_cosines.mean()))


def test_a_plane_moved_along_its_normal_errs_by_that_both_ways():
    found = point_figures(plane() + torch.tensor([0, 0, 0.2], dtype=torch.float64), plane(), (0.1, 0.3))
    figures = (found.accuracy_mean, found.accuracy_median, found.completeness_mean, found.completeness_median)
    assert figures == pytest.approx((0.2,) * 4, abs=1e-12) and found.chamfer == pytest.approx(0.2)
    assert found.at == {0.1: ThresholdFigures(0, 0), 0.3: ThresholdFigures(1, 1)}
    assert (found.at[0.1].f_score, found.at[0.3].f_score) == (0, 1)


def test_a_half_that_is_right_is_accurate_and_half_complete():
    """One row of two: the other row lies one away. Precision 1 and recall 1/2 make 2/3."""
    rows = plane(2)
    found = point_figures(rows[:2], rows, (0.5,))
    assert (found.accuracy_mean, found.completeness_mean, found.chamfer) == (0, 0.5, 0.25)
    assert found.at[0.5].f_score == pytest.approx(2 / 3)


def test_normals_agree_by_the_cosine_whatever_their_sign_and_length():
    tilt = math.radians(25)
    normals = torch.tensor([[0.0, 0, 1]]).repeat(81, 1)
    tilted = torch.tensor([[0, math.sin(tilt), -3 * math.cos(tilt)]]).repeat(81, 1) * torch.tensor([1.0, 3, 1])
    found = point_figures(plane(), plane(), (), tilted, normals)
    assert found.normal_consistency_accuracy == pytest.approx(math.cos(tilt), abs=1e-6)
    assert found.normal_consistency_completeness == pytest.approx(math.cos(tilt), abs=1e-6)
    assert point_figures(plane(), plane()).normal_consistency_accuracy is None


def test_many_points_take_no_memory_of_all_pairs():
    """All pairs would take 20 GB."""
    points = torch.rand(50_000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert point_figures(points + torch.tensor([1e-7, 0, 0]), points).accuracy_mean == pytest.approx(1e-7, rel=1e-6)


def test_an_empty_cloud_is_refused():
    for clouds in ((plane(), torch.zeros(0, 3)), (torch.zeros(0, 3), plane())):
        with pytest.raises(ValueError, match="points on both sides"):
            point_figures(*clouds)
