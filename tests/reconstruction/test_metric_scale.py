"""Metres from places of cameras and from known lengths, on captures whose unit is known."""

import math

import pytest
import torch

from recon3d.core.rotations import rotation_from_vector
from recon3d.core.similarity import Similarity
from recon3d.reconstruction.metric_scale import (
    MOST_DEVIATION,
    PlacesFit,
    deviation_of_track,
    fit_places,
    scale_of_length,
    scale_of_ratios,
)

TRUE = 3.7  # metres for a unit of the world


def capture(count: int, seed: int, across: float = 30.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Camera centres of a half circle in a turned world of another unit, and the same in metres."""
    generator = torch.Generator().manual_seed(seed)
    angles = torch.linspace(0, math.pi, count, dtype=torch.float64)
    heights = 2 * torch.rand(count, generator=generator, dtype=torch.float64)
    metres = torch.stack([across / 2 * angles.cos(), across / 2 * angles.sin(), heights], 1)
    turn = rotation_from_vector(torch.randn(3, generator=generator, dtype=torch.float64))
    return Similarity.of(1 / TRUE, turn, torch.tensor([5.0, -2, 1])).apply(metres), metres


def tagged(count: int, seed: int, noise: float, wrong: int = 0) -> PlacesFit:
    centers, metres = capture(count, seed)
    generator = torch.Generator().manual_seed(1000 + seed)
    places = metres + noise * torch.randn(count, 3, generator=generator, dtype=torch.float64)
    places[:wrong] += 40 * torch.randn(wrong, 3, generator=generator, dtype=torch.float64)
    return fit_places(centers, places)


@pytest.mark.parametrize("seed", range(5))
def test_tags_with_a_metre_of_noise_on_a_capture_of_30_metres_give_the_scale_within_5_percent(seed):
    fit = tagged(20, seed, noise=1.0)
    assert float(fit.metres_from_world.scale) == pytest.approx(TRUE, rel=0.05)
    assert fit.deviation < 0.03


@pytest.mark.parametrize("seed", range(3))
def test_a_few_wrong_tags_are_found(seed):
    fit = tagged(16, seed, noise=1.0, wrong=3)
    assert float(fit.metres_from_world.scale) == pytest.approx(TRUE, rel=0.06)
    assert not fit.used[:3].any() and int(fit.used.sum()) >= 12


def test_the_deviation_is_the_spread_over_many_captures():
    """Of 20 places on a half circle of 30 metres with noise of 2 metres by axis, what USUAL_ERROR says too."""
    fits = [tagged(20, seed, noise=2.0) for seed in range(30)]
    logs = torch.tensor([float(f.metres_from_world.scale) / TRUE for f in fits]).log()
    said = sum(f.deviation for f in fits) / len(fits)
    assert float(logs.std()) == pytest.approx(said, rel=0.35)


@pytest.mark.parametrize("count", [3, 4, 6, 10, 30])
def test_tags_that_are_only_noise_are_not_believed(count):
    """Photos of a desk: places differ by metres where cameras stand half a metre apart."""
    for seed in range(6):
        centers, metres = capture(count, seed, across=0.5)
        noise = torch.randn(count, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        assert fit_places(centers, metres + 3 * noise).deviation > MOST_DEVIATION


def test_exact_places_of_few_photos_far_apart_are_taken():
    centers, metres = capture(3, 0, across=300)
    fit = fit_places(centers, metres)
    assert float(fit.metres_from_world.scale) == pytest.approx(TRUE, rel=1e-9) and fit.deviation < MOST_DEVIATION
    assert float(fit.residuals.max()) < 1e-6


def drifting(count: int, seed: int, across: float, forget: int) -> tuple[torch.Tensor, PlacesFit]:
    """A capture whose places are off by a drift of 2 metres by axis, forgotten in so many places; and its fit."""
    centers, metres = capture(count, seed, across)
    keep = math.exp(-1 / forget)
    steps = 2 * torch.randn(count, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    steps[1:] *= math.sqrt(1 - keep**2)
    for i in range(1, count):
        steps[i] += keep * steps[i - 1]
    return centers, fit_places(centers, metres + steps)


@pytest.mark.parametrize("forget", [40, 200])
def test_a_drift_beside_a_desk_is_not_believed_however_many_frames_share_it(forget):
    for seed in range(6):
        centers, fit = drifting(100, seed, across=0.5, forget=forget)
        assert deviation_of_track(fit, centers) > MOST_DEVIATION
        assert abs(float(fit.metres_from_world.scale) / TRUE - 1) > 0.1  # it is wrong indeed


def test_a_drift_over_30_metres_is_believed_as_far_as_it_is_right():
    errors, said = [], []
    for seed in range(20):
        centers, fit = drifting(100, seed, across=30, forget=40)
        errors.append(float(fit.metres_from_world.scale) / TRUE - 1)
        said.append(deviation_of_track(fit, centers))
    assert max(said) < MOST_DEVIATION
    assert float(torch.tensor(errors).square().mean().sqrt()) < 1.5 * sum(said) / len(said)


def test_what_frames_share_is_added_by_the_size_of_the_capture():
    centers, metres = capture(30, 0)
    spread = float((metres - metres.mean(0)).square().sum(1).mean().sqrt())
    fit = fit_places(centers, metres)
    assert deviation_of_track(fit, centers) == pytest.approx(math.hypot(fit.deviation, 0.75 / spread), rel=1e-6)


@pytest.mark.parametrize("count", [2, 5])
def test_places_on_a_line_leave_no_similarity(count):
    line = torch.arange(count, dtype=torch.float64)[:, None] * torch.tensor([1.0, 2, 0.5])
    with pytest.raises(ValueError, match="line"):
        fit_places(capture(count, 0)[0], line)


def test_a_length_is_exact_and_equal_centres_have_none():
    centers, _ = capture(6, 0)
    scale = scale_of_length(centers, 1, 4, 2.5)
    assert float((scale * (centers[1] - centers[4])).norm()) == pytest.approx(2.5, rel=1e-12)
    with pytest.raises(ValueError, match="one place"):
        scale_of_length(torch.cat([centers, centers[:1] + 1e-9]), 0, 6, 2.5)


def test_the_scale_of_views_is_their_median_and_one_view_tells_no_deviation():
    scale, deviation = scale_of_ratios(torch.tensor([2.0, 2.1, 1.9, 50.0, 2.0]))
    assert scale == pytest.approx(2.0) and deviation < MOST_DEVIATION
    assert scale_of_ratios(torch.tensor([1.0, 2, 4, 8]))[1] > MOST_DEVIATION
    assert scale_of_ratios(torch.tensor([3.0])) == (pytest.approx(3.0), math.inf)
