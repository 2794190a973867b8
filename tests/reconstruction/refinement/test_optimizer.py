"""Adam in one pass, against torch's."""

import numpy as np
import pytest
import torch

from recon3d.core.synthetic import synthetic_gaussians
from recon3d.reconstruction.refinement import optimizer as ours
from recon3d.reconstruction.refinement.optimizer import Parameters

RATES = {"means": 1e-3, "quats": 2e-3, "log_scales": 5e-3, "logits": 5e-2, "sh": 2.5e-3}


def loss_of(values, targets):
    return sum(((values[name] - targets[name]) ** 2 * (i + 1)).sum() for i, name in enumerate(RATES))


@pytest.fixture(params=["compiled", "torch"])
def adam(request, monkeypatch):
    """Adam as it runs on a CPU, and as it runs on other devices."""
    if request.param == "torch":
        monkeypatch.setattr(ours, "compiled_adam", ours.torch_adam)


def test_steps_are_those_of_torch_adam(adam):
    parameters = Parameters(synthetic_gaussians(50, degree=1), 1)
    random = torch.Generator().manual_seed(1)
    targets = {name: x + torch.randn(x.shape, generator=random) for name, x in parameters.values.items()}
    theirs = {name: x.clone().requires_grad_() for name, x in parameters.values.items()}
    optimizer = torch.optim.Adam([{"params": [x], "lr": RATES[name]} for name, x in theirs.items()], eps=1e-15)
    rates = {name: np.full(x.numel() // len(x), RATES[name], np.float32) for name, x in theirs.items()}
    for _ in range(20):
        leaves = parameters.leaves(1)
        loss_of(leaves, targets).backward()
        parameters.step(leaves, rates)
        optimizer.zero_grad()
        loss_of(theirs, targets).backward()
        optimizer.step()
    for name, x in theirs.items():
        assert (parameters.values[name] - x.detach()).abs().max() < 0.01 * RATES[name], name


def test_bands_of_harmonics_that_are_not_asked_for_stay_as_they_are(adam):
    gaussians = synthetic_gaussians(20, degree=2)
    parameters = Parameters(gaussians, 2)
    leaves = parameters.leaves(1)
    assert leaves["sh"].shape == (20, 4, 3)
    sum(x.square().sum() for x in leaves.values()).backward()
    parameters.step(leaves, {name: np.full(27, 1e-2, np.float32) for name in RATES})
    assert torch.equal(parameters.values["sh"][:, 4:], gaussians.sh[:, 4:])
    assert (parameters.values["sh"][:, :4] != gaussians.sh[:, :4]).all()


def test_each_column_has_its_own_rate(adam):
    gaussians = synthetic_gaussians(20, degree=1)
    parameters = Parameters(gaussians, 1)
    leaves = parameters.leaves(1)
    sum(x.sum() for x in leaves.values()).backward()
    rates = {name: np.full(12, 1e-3, np.float32) for name in RATES} | {"sh": np.linspace(0, 1e-2, 12, dtype=np.float32)}
    parameters.step(leaves, rates)
    # The first step of Adam is by the rate itself, whatever the gradient.
    moved = (gaussians.sh - parameters.values["sh"]).flatten(1)
    torch.testing.assert_close(moved, torch.linspace(0, 1e-2, 12).expand(20, 12), atol=1e-6, rtol=0)


def test_physical_values_go_in_and_come_out():
    gaussians = synthetic_gaussians(100, degree=1)
    back = Parameters(gaussians, 1).gaussians()
    for name in ("means", "quats", "scales", "opacities", "sh"):
        assert torch.allclose(getattr(back, name), getattr(gaussians, name), atol=1e-5), name


def test_rows_taken_away_and_added_keep_their_moments_and_start_at_rest():
    parameters = Parameters(synthetic_gaussians(4, degree=0), 0)
    for name in parameters.first:
        parameters.first[name] += torch.arange(4.0).reshape(4, *[1] * (parameters.first[name].dim() - 1))
    parameters.select(torch.tensor([False, True, False, True]))
    parameters.append(parameters.rows(torch.tensor([0])))
    assert len(parameters) == 3
    for name, first in parameters.first.items():
        assert [float(row.reshape(-1)[0]) for row in first] == [1, 3, 0], name
        assert torch.equal(parameters.values[name][2], parameters.values[name][0])
