"""Growth, splitting and relocation: gsplat's own operations where it is installed, closed forms elsewhere."""

import math

import pytest
import torch

from recon3d.core.gaussians import Gaussians
from recon3d.core.synthetic import synthetic_gaussians
from recon3d.reconstruction.refinement.densification import (
    STRATEGIES,
    Moment,
    add_copies,
    drift,
    grow,
    most_pulled,
    relocate_dead,
    shared_out,
)
from recon3d.reconstruction.refinement.optimizer import GROUPS, Parameters
from recon3d.rendering.screen import Screen


def moment(step: int, cap: int, seed: int = 0) -> Moment:
    return Moment(step, 0.1, 1.0, cap, 1e-3, torch.Generator().manual_seed(seed))


def same_place(a, b):
    return (a[:, None] == b).all(-1)


def test_clones_and_splits_are_those_of_gsplat():
    ops = pytest.importorskip("gsplat.strategy.ops", reason="gsplat is not installed")
    parameters = Parameters(synthetic_gaussians(200, degree=1, size=0.05), 1)
    wanted = torch.rand(200, generator=torch.Generator().manual_seed(1)) < 0.4
    limit = float(parameters.scales.amax(1).median())
    theirs = {("scales" if n == "log_scales" else "opacities" if n == "logits" else n): torch.nn.Parameter(x.clone())
              for n, x in parameters.values.items()}  # fmt: skip
    optimizers = {name: torch.optim.Adam([x]) for name, x in theirs.items()}
    sum(x.sum() for x in theirs.values()).backward()
    for optimizer in optimizers.values():
        optimizer.step()
    with torch.no_grad():
        for name, x in zip(GROUPS, (theirs[n] for n in ("means", "quats", "scales", "opacities", "sh")), strict=True):
            x.copy_(parameters.values[name])
    large = parameters.scales.amax(1) > limit
    torch.manual_seed(7)
    ops.duplicate(theirs, optimizers, {}, wanted & ~large)
    split = torch.cat([wanted & large, torch.zeros(len(theirs["means"]) - 200, dtype=torch.bool)])
    ops.split(theirs, optimizers, {}, split)
    grow(parameters, wanted, limit, torch.Generator().manual_seed(7))
    for name, other in zip(GROUPS, ("means", "quats", "scales", "opacities", "sh"), strict=True):
        assert torch.allclose(parameters.values[name], theirs[other].detach(), atol=1e-5), name


def test_a_split_keeps_the_place_and_spread_of_what_it_replaces():
    """Over many splits of one shape, offsets have its covariance."""
    one = synthetic_gaussians(1, degree=0)[[0]]
    many = one[[0] * 20_000]
    parameters = Parameters(many, 0)
    grow(parameters, torch.ones(20_000, dtype=torch.bool), 0.0, torch.Generator().manual_seed(0))
    offsets = (parameters.values["means"] - one.means).double()
    from recon3d.core.rotations import matrices_from_quats

    axes = matrices_from_quats(one.quats.double())[0] * one.scales.double()
    found, expected = offsets.T @ offsets / len(offsets), axes @ axes.T
    assert len(offsets) == 40_000
    assert (found - expected).abs().max() < 0.03 * expected.abs().max()
    assert torch.allclose(parameters.scales, one.scales / 1.6, rtol=1e-4)


def test_where_room_is_scarce_the_strongest_grow():
    pulls = torch.tensor([5.0, 1.0, 4.0, 3.0, 0.0])
    assert most_pulled(pulls, 0.5, 7).tolist() == [True, False, True, False, False]
    assert most_pulled(pulls, 0.5, 100).tolist() == [True, True, True, True, False]
    assert not most_pulled(pulls, 0.5, 3).any()


@pytest.mark.parametrize("times", [2, 3, 7])
@pytest.mark.parametrize("opacity", [0.05, 0.5, 0.95])
def test_shared_out_gaussians_blend_to_the_opacity_and_the_integral_of_one(times, opacity):
    """In one dimension: 1 - (1 - o' exp(-x^2 / 2 s'^2))^N at 0, and its integral, by numbers."""
    each, shrink = (float(x) for x in shared_out(torch.tensor([opacity]), torch.tensor([times])))
    x = torch.linspace(-10, 10, 100_001, dtype=torch.float64)
    blended = 1 - (1 - each * torch.exp(-0.5 * (x / shrink) ** 2)) ** times
    assert float(blended.max()) == pytest.approx(opacity, rel=1e-5)
    assert float(torch.trapezoid(blended, x)) == pytest.approx(opacity * math.sqrt(2 * math.pi), rel=1e-4)


def test_dead_gaussians_move_onto_live_ones():
    gaussians = synthetic_gaussians(100, degree=0)
    opacities = gaussians.opacities.clamp(0.1, 0.9)
    opacities[:30] = 0.001
    parameters = Parameters(Gaussians(gaussians.means, gaussians.quats, gaussians.scales, opacities, gaussians.sh), 0)
    relocate_dead(parameters, torch.Generator().manual_seed(0))
    assert len(parameters) == 100
    assert parameters.opacities.min() > 0.005
    assert same_place(parameters.values["means"][:30], gaussians.means[30:]).any(1).all()


def test_copies_leave_opaque_centres_as_opaque_as_they_were():
    parameters = Parameters(synthetic_gaussians(50, degree=0), 0)
    before = parameters.opacities.clone()
    add_copies(parameters, 40, torch.Generator().manual_seed(0))
    assert len(parameters) == 90
    same = same_place(parameters.values["means"][:50], parameters.values["means"])
    kept = torch.stack([torch.prod(1 - parameters.opacities[row]) for row in same])
    assert torch.allclose(1 - kept, before, atol=1e-3)


def test_faint_gaussians_drift_within_their_own_shape_and_opaque_ones_stay():
    count = 1000
    scales = torch.tensor([[1.0, 0.5, 1e-4]]).repeat(2 * count, 1)
    opacities = torch.tensor([0.001] * count + [0.9] * count)
    still = torch.zeros(2 * count, 3)
    parameters = Parameters(
        Gaussians(still, torch.eye(4)[:1].repeat(2 * count, 1), scales, opacities, torch.zeros(2 * count, 1, 3)), 0
    )
    drift(parameters, 1.0, torch.Generator().manual_seed(0))
    faint, opaque = parameters.values["means"].split(count)
    assert opaque.abs().max() < 1e-6
    strength = float(torch.sigmoid(torch.tensor(-100 * (0.001 - 0.005))))
    assert torch.allclose(faint.std(0), strength * scales[0] ** 2, rtol=0.1, atol=1e-6)


@pytest.mark.parametrize("name", STRATEGIES)
def test_no_strategy_exceeds_its_cap(name):
    options = {
        "default": {"threshold": 0.0, "every": 1, "first": 1, "until": 1.0, "size_limit": 0.05},
        "mcmc": {"every": 1, "first": 1, "until": 1.0, "growth": 0.5, "noise": 0.0, "opacity_penalty": 0.0, "scale_penalty": 0.0},
    }
    strategy = STRATEGIES[name](**options[name])
    parameters = Parameters(synthetic_gaussians(100, degree=0), 0)
    for step in range(1, 8):
        n = len(parameters)
        strategy.observe(Screen(torch.ones(1, n, 2), torch.ones(1, n, 2)), 32, 32)
        strategy.adjust(parameters, moment(step, 250))
        assert len(parameters) <= 250
    assert len(parameters) > 240
