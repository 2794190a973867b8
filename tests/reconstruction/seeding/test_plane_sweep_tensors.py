"""Plane sweep in torch operations against the numba kernels, step by step and as a whole."""

import numpy as np
import pytest
import torch

from recon3d.core.jit import run
from recon3d.reconstruction.seeding import plane_sweep, plane_sweep_tensors
from recon3d.reconstruction.seeding import plane_sweep_kernels as kernels
from tests.reconstruction.scenes import plane_photos

WEIGHTS = (plane_sweep.SMALL, plane_sweep.LARGE, plane_sweep.CONTRAST)


def swept_pair():
    """A picture of the wall with its neighbours, and inverse depths."""
    views, geometry, _ = plane_photos(views=4)
    small = [plane_sweep.small_picture(views, geometry, i) for i in range(4)]
    near = [(small[j], *plane_sweep.seen_from(small[1], small[j])) for j in (0, 2, 3)]
    return small[1], near, plane_sweep.inverse_depths(geometry, 1)


@pytest.mark.parametrize("size", [(20, 30), (3, 30), (20, 1), (20, 4), (2, 6)])
def test_means_over_windows_are_of_what_a_picture_has_of_them(size: tuple[int, int]) -> None:
    """Also where it is narrower than a window."""
    values = np.random.default_rng(0).random(size, np.float32)
    found, radius = np.empty(size, np.float32), kernels.RADIUS
    kernels.boxed(values, np.empty(size[1] + 2 * radius, np.float32), found)
    for y, x in np.ndindex(size):
        window = values[max(y - radius, 0) : y + radius + 1, max(x - radius, 0) : x + radius + 1]
        np.testing.assert_allclose(found[y, x], window.mean(), rtol=1e-5)
    np.testing.assert_allclose(plane_sweep_tensors.boxed(torch.from_numpy(values)[None])[0].numpy(), found, rtol=1e-5)


def test_costs_of_a_neighbour_are_the_kernels() -> None:
    here, near, inverse = swept_pair()
    there, matrix, shift = near[0]
    best, second = (np.full((*here.grey.shape, len(inverse)), np.inf, np.float32) for _ in range(2))
    run(kernels.correlate, len(inverse), here.grey, there.grey, matrix, shift, inverse, best, second, grain=8)
    places = (torch.from_numpy(x) for x in (matrix, shift, inverse))
    pictures = plane_sweep_tensors.warped(torch.from_numpy(there.grey), here.grey.shape, *places)
    costs = plane_sweep_tensors.correlation_costs(torch.from_numpy(here.grey), pictures).permute(1, 2, 0).numpy()
    both = np.isfinite(best) & np.isfinite(costs)
    assert both.mean() > 0.5 and (np.isfinite(best) == np.isfinite(costs)).mean() > 0.999
    assert np.abs(best[both] - costs[both]).max() < 2e-3  # flat windows: squares less squares of means


def test_paths_and_the_choice_are_the_kernels() -> None:
    random = np.random.default_rng(0)
    costs, picture = random.random((9, 7, 12), np.float32), random.random((9, 7), np.float32)
    inverse = np.linspace(0.1, 1, 12).astype(np.float32)
    total, expected = np.zeros_like(costs), np.empty((9, 7), np.float32)
    weights = tuple(np.float32(w) for w in WEIGHTS)
    run(kernels.smooth_rows, 9, costs, picture, *weights, total)
    run(kernels.smooth_columns, 7, costs, picture, *weights, total)
    run(kernels.choose, 9, total, inverse, expected)
    ours = plane_sweep_tensors.smoothed(torch.from_numpy(costs).permute(2, 0, 1), torch.from_numpy(picture), *WEIGHTS)
    np.testing.assert_allclose(ours.permute(1, 2, 0).numpy(), total, atol=1e-5)
    np.testing.assert_allclose(plane_sweep_tensors.chosen(ours, torch.from_numpy(inverse)).numpy(), expected, atol=1e-4)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_a_sweep_chooses_the_same_depths(device: str) -> None:
    here, near, inverse = swept_pair()
    expected, costs = plane_sweep.sweep_on_a_cpu(here, near, inverse)
    found, ours = plane_sweep.sweep_on_device(here, near, inverse, device)
    step = inverse[1] - inverse[0]
    assert (np.abs(found - expected) < 0.1 * step).mean() > 0.999
    assert (np.abs(ours - costs) < 2e-3).mean() > 0.999
