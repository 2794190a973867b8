"""Depth errors against golden cases, closed forms and numpy's least squares."""

import math

import numpy as np
import pytest
import torch

from recon3d.metrics.depth import ALIGNMENTS, depth_figures
from tests.metrics.golden import check, golden_cases, tensors


def depths(seed: int = 0) -> torch.Tensor:
    return 1 + 4 * torch.rand(12, 17, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@golden_cases("depth")
def test_depth_errors_are_those_of_the_golden_case(case):
    golden = tensors(case)
    found = {}
    for alignment in ALIGNMENTS:
        figures = depth_figures(golden["in.prediction"], golden["in.truth"], alignment)
        assert figures.coverage == 1
        found[f"{alignment}_absrel"] = figures.abs_rel
        found |= {f"{alignment}_delta_{k}": getattr(figures, f"delta_{k}") for k in (1, 2, 3)}
    check(case, found)


@pytest.mark.parametrize(("factor", "deltas"), [(1.2, (1, 1, 1)), (1.3, (0, 1, 1)), (0.6, (0, 0, 1)), (2.0, (0, 0, 0))])
def test_a_factor_is_an_error_without_alignment_and_none_with_any(factor, deltas):
    truth = depths()
    found = depth_figures(factor * truth, truth, "none")
    assert found.abs_rel == pytest.approx(abs(factor - 1), abs=1e-12)
    assert found.rmse == pytest.approx(abs(factor - 1) * float(truth.square().mean().sqrt()), abs=1e-12)
    assert (found.delta_1, found.delta_2, found.delta_3) == deltas
    for alignment in ("median", "scale", "scale_shift"):
        found = depth_figures(factor * truth, truth, alignment)
        assert (found.abs_rel, found.rmse, found.shift) == pytest.approx((0, 0, 0), abs=1e-12)
        assert found.delta_1 == 1 and found.scale == pytest.approx(1 / factor)


def test_a_shift_goes_with_scale_and_shift_only():
    truth = depths()
    assert depth_figures(truth + 0.25, truth, "none").rmse == pytest.approx(0.25, abs=1e-12)
    assert depth_figures(truth + 0.25, truth, "scale").rmse > 0.01
    found = depth_figures(2 * truth + 0.5, truth, "scale_shift")
    assert (found.scale, found.shift, found.rmse) == pytest.approx((0.5, -0.25, 0), abs=1e-12)
    assert found.alignment == "scale_shift"


def test_alignments_are_numpys_medians_and_least_squares():
    truth = depths()
    estimated = truth**1.3 + 0.3 * depths(1)
    d, g = estimated.numpy().ravel(), truth.numpy().ravel()
    assert depth_figures(estimated, truth, "median").scale == pytest.approx(np.median(g) / np.median(d))
    assert depth_figures(estimated, truth, "scale").scale == pytest.approx(np.linalg.lstsq(d[:, None], g)[0][0])
    found = depth_figures(estimated, truth, "scale_shift")
    scale, shift = np.polyfit(d, g, 1)
    assert (found.scale, found.shift) == pytest.approx((scale, shift))
    assert found.abs_rel == pytest.approx(np.mean(np.abs(scale * d + shift - g) / g))


def test_pixels_without_a_truth_do_not_count_and_those_without_a_depth_lower_the_coverage():
    truth, estimated = depths(), 1.1 * depths()
    truth[0], truth[1, :3] = 0, torch.tensor([math.nan, math.inf, -1.0])
    estimated[0] = 1e6
    assert depth_figures(estimated, truth, "none").coverage == 1
    estimated[6:], estimated[5, 0] = 0, math.nan
    found = depth_figures(estimated, truth, "none")
    assert found.abs_rel == pytest.approx(0.1, abs=1e-12)
    assert found.coverage == pytest.approx((5 * 17 - 4) / (11 * 17 - 3))


def test_a_depth_that_alignment_takes_below_zero_fails_every_delta():
    """Far where the truth is near: least squares turns depth around and takes the last of the four below 0."""
    truth, estimated = torch.tensor([5.0, 4.0, 0.1, 0.1]), torch.tensor([1.0, 2.0, 5.0, 6.0])
    scale, shift = np.polyfit(estimated.numpy(), truth.numpy(), 1)
    aligned = scale * estimated.numpy() + shift
    assert aligned.min() < 0
    expected = np.mean([a > 0 and max(a / g, g / a) < 1.25**3 for a, g in zip(aligned, truth.tolist(), strict=True)])
    assert depth_figures(estimated, truth, "scale_shift").delta_3 == expected


def test_one_depth_everywhere_becomes_the_mean_truth():
    truth = depths()
    found = depth_figures(torch.full_like(truth, 3), truth, "scale_shift")
    assert (found.scale, found.shift) == pytest.approx((0, float(truth.mean())))


def test_nothing_to_compare_and_two_shapes_are_refused():
    with pytest.raises(ValueError, match="no pixel"):
        depth_figures(depths(), torch.zeros(12, 17), "none")
    with pytest.raises(ValueError, match="two shapes"):
        depth_figures(depths(), depths()[:5], "none")
