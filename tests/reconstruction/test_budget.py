"""A budget of Gaussians: what each counts, what joining keeps, and that the number is met."""

from dataclasses import replace

import pytest
import torch

from recon3d.core.gaussians import Gaussians
from recon3d.core.rotations import matrices_from_quats
from recon3d.core.synthetic import Synthetic, arc_of_cameras
from recon3d.reconstruction.budget import WAYS, agreement, contributions, joined, judged_on, within_budget
from recon3d.rendering.render import render
from tests.reconstruction.scenes import splat_photos


def ball(x: float = 0.0, opacity: float = 0.5, scale: float = 0.05) -> Gaussians:
    return Gaussians(
        torch.tensor([[x, 0, 0]]), torch.tensor([[1.0, 0, 0, 0]]), torch.full((1, 3), scale), torch.tensor([opacity]),
        torch.zeros(1, 1, 3),
    )  # fmt: skip


def both(a: Gaussians, b: Gaussians) -> Gaussians:
    names = ("means", "quats", "scales", "opacities", "sh")
    return Gaussians(*(torch.cat((getattr(a, n), getattr(b, n))) for n in names))


def test_what_a_gaussian_counts_is_its_alpha_where_nothing_stands_before_it() -> None:
    cameras = arc_of_cameras(Synthetic(views=2, height=48, width=48, arc=40))
    one = ball()
    expected = render(one, cameras, device="cpu").alpha.sum()
    torch.testing.assert_close(contributions(one, cameras, "cpu"), expected[None], rtol=1e-4, atol=0)


def test_contributions_of_a_scene_sum_to_its_alpha_and_what_is_behind_counts_less() -> None:
    cameras = arc_of_cameras(Synthetic(views=1, height=48, width=48, arc=0))
    toward = cameras.centers_in_world[0].float()
    front = replace(ball(opacity=0.9), means=0.3 * toward[None])
    scene = both(front, replace(ball(opacity=0.9), means=torch.zeros(1, 3)))
    found = contributions(scene, cameras, "cpu")
    torch.testing.assert_close(found.sum(), render(scene, cameras, device="cpu").alpha.sum(), rtol=1e-4, atol=0)
    assert found[1] < 0.5 * found[0]


def test_two_equal_gaussians_join_to_the_mixture_s_mean_and_covariance() -> None:
    apart = 0.02
    scene = both(ball(0.001), ball(0.001 + apart))
    one, weights = joined(scene, torch.tensor([1.0, 1.0]), cell=8.0)
    assert len(one) == 1 and float(weights) == 2
    torch.testing.assert_close(one.means, torch.tensor([[0.001 + apart / 2, 0, 0]]), atol=1e-6, rtol=0)
    turned = matrices_from_quats(one.quats) * one.scales[:, None]
    variance = torch.diagonal(turned[0] @ turned[0].T)
    expected = torch.tensor([0.05**2 + (apart / 2) ** 2, 0.05**2, 0.05**2])
    torch.testing.assert_close(variance, expected, atol=1e-7, rtol=1e-3)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("share", [0.5, 0.1])
def test_every_way_meets_the_number_with_gaussians_that_can_be_rendered(way: str, share: float) -> None:
    views, geometry, gaussians = splat_photos(views=4)
    most = int(share * len(gaussians))
    kept, cost = within_budget(gaussians, views, geometry, most, {way: WAYS[way]}, "cpu")
    assert 0 < len(kept) <= most and cost is not None and cost.way == way
    kept.check("budget")
    assert cost.psnr_before > cost.psnr_after


def test_the_best_way_is_taken_and_beats_a_blind_choice() -> None:
    """Half of the Gaussians are invisible: a choice by what counts loses nothing."""
    views, geometry, gaussians = splat_photos(views=4)
    hidden = replace(gaussians, opacities=torch.full_like(gaussians.opacities, 1e-4))
    scene = both(gaussians, hidden)
    kept, cost = within_budget(scene, views, geometry, len(gaussians), WAYS, "cpu")
    assert cost is not None and cost.way == "the strongest"
    pictures, cameras = judged_on(views, geometry)
    assert agreement(kept, cameras, pictures, "cpu") > agreement(gaussians, cameras, pictures, "cpu") - 0.1
    assert cost.psnr_after > cost.psnr_before - 0.1


def test_a_scene_within_the_budget_is_left_alone() -> None:
    views, geometry, gaussians = splat_photos(views=2)
    kept, cost = within_budget(gaussians, views, geometry, len(gaussians), WAYS, "cpu")
    assert kept is gaussians and cost is None
