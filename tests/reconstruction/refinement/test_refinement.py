"""Refinement on photos of splats that are known."""

import sys
import types
from dataclasses import replace

import pytest
import torch

from recon3d.core.following import following
from recon3d.core.gaussians import Gaussians
from recon3d.core.rotations import rotation_angle, rotation_from_vector
from recon3d.metrics.image import psnr
from recon3d.progress import Progress
from recon3d.reconstruction.pruning import unmasked
from recon3d.reconstruction.refinement.refine import Refinement, Snapshot, refine
from recon3d.rendering import cuda
from recon3d.rendering.render import BACKENDS, rasterize, render
from recon3d.rendering.screen import Screen
from tests.reconstruction.scenes import splat_photos, views_of

SHORT = Refinement(steps=60, max_gaussians=400, half_until=0.0)


def disturbed(gaussians: Gaussians) -> Gaussians:
    generator = torch.Generator().manual_seed(5)
    moved = gaussians.means + 0.03 * torch.randn(gaussians.means.shape, generator=generator)
    return replace(gaussians, means=moved, sh=gaussians.sh * 0, scales=gaussians.scales * 1.3)


def mean_psnr(gaussians, geometry, views, index) -> float:
    pictures = render(gaussians, geometry.cameras, device="cpu").rgb
    return sum(psnr(pictures[i].clamp(0, 1), views.rgb(i)) for i in index) / len(index)


def values(gaussians: Gaussians) -> bytes:
    return b"".join(getattr(gaussians, n).numpy().tobytes() for n in ("means", "quats", "scales", "opacities", "sh"))


@pytest.mark.parametrize("strategy", ["default", "mcmc"])
def test_photos_that_were_not_used_are_predicted_better_than_before(strategy):
    views, geometry, truth = splat_photos(held_out=[2])
    start = disturbed(truth)
    refined = refine(views, geometry, start, replace(SHORT, steps=150, strategy=strategy))
    assert mean_psnr(refined.gaussians, geometry, views, [2]) > mean_psnr(start, geometry, views, [2]) + 6
    refined.gaussians.check("refinement")
    assert refined.steps == 150 and not refined.interrupted


def test_two_runs_with_one_seed_give_the_same_bits_and_another_seed_others():
    views, geometry, truth = splat_photos()
    a, b, c = (refine(views, geometry, disturbed(truth), replace(SHORT, seed=s)).gaussians for s in (3, 3, 4))
    assert values(a) == values(b)
    assert values(a) != values(c)


def test_pixels_of_held_out_photos_have_no_part_in_it():
    views, geometry, truth = splat_photos(held_out=[2])
    black = replace(views, images=tuple(x * 0 if i == 2 else x for i, x in enumerate(views.images)))
    a, b = (refine(v, geometry, disturbed(truth), SHORT).gaussians for v in (views, black))
    assert values(a) == values(b)


def test_what_a_mask_excludes_may_be_anything():
    views, geometry, truth = splat_photos()
    mask = torch.ones(64, 64, dtype=torch.bool)
    mask[:, 40:] = False
    spoiled = [torch.where(mask, x, 255) for x in views.images]
    masked = replace(views, images=tuple(spoiled), masks=(mask,) * len(views))
    refined = refine(masked, geometry, disturbed(truth), replace(SHORT, steps=150)).gaussians
    pictures = render(refined, geometry.cameras, device="cpu").rgb
    inside = torch.zeros_like(mask)
    inside[:, :36] = True
    before = render(disturbed(truth), geometry.cameras, device="cpu").rgb
    for i in range(len(views)):
        assert psnr(pictures[i], views.rgb(i), inside) > psnr(before[i], views.rgb(i), inside) + 5


def test_a_time_budget_ends_it():
    views, geometry, truth = splat_photos()
    refined = refine(views, geometry, disturbed(truth), replace(SHORT, steps=None, seconds=0.5))
    assert refined.steps > 0
    assert 0.5 <= refined.seconds < 5


def test_an_interruption_keeps_what_was_reached():
    views, geometry, truth = splat_photos()

    def listen(event):
        if event.kind == "advance" and event.done >= 20:
            raise KeyboardInterrupt

    refined = refine(views, geometry, disturbed(truth), SHORT, Progress(listen))
    assert refined.interrupted and refined.steps == 20
    same = refine(views, geometry, disturbed(truth), SHORT)
    assert not same.interrupted and same.steps == 60
    refined.gaussians.check("interrupted")


def test_progress_is_told_of_steps_and_given_snapshots():
    views, geometry, truth = splat_photos()
    events = []
    refine(views, geometry, disturbed(truth), replace(SHORT, snapshot_every=30), Progress(events.append))
    snapshots = [e.payload for e in events if e.kind == "snapshot"]
    assert [s.step for s in snapshots] == [30, 60] and isinstance(snapshots[0], Snapshot)
    assert [e.done for e in events if e.kind == "advance"] == [10, 20, 30, 40, 50, 60]


def test_disturbed_cameras_come_nearer_to_the_true_ones_and_held_out_ones_follow():
    """The held-out photo's pixels have no part in it: its camera moves by as little as the mean of its neighbours."""
    views, geometry, truth = splat_photos(held_out=[0])
    turns = 0.01 * torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    turns[0] = 0
    poses = geometry.cameras.camera_from_world.clone()
    poses[:, :3] = rotation_from_vector(turns) @ poses[:, :3]
    wrong = geometry.with_cameras(replace(geometry.cameras, camera_from_world=poses))
    refined = refine(views, wrong, truth, replace(SHORT, steps=300, refine_cameras=True))
    found = refined.geometry.cameras.camera_from_world

    def off(cameras):
        return rotation_angle(cameras[1:, :3, :3] @ geometry.cameras.camera_from_world[1:, :3, :3].transpose(1, 2)).mean()

    assert off(found) < 0.7 * off(poses)
    carried = following(wrong.cameras, refined.geometry.cameras, torch.arange(6) > 0).camera_from_world
    assert torch.equal(found[0], carried[0]) and not torch.equal(found[0], poses[0])
    unmoved = refine(views, wrong, truth, SHORT)
    assert torch.equal(unmoved.geometry.cameras.camera_from_world, poses)


def test_two_darker_photos_do_not_darken_the_scene_where_exposure_is_learned():
    """Of one alone among six the absolute difference makes an outlier, exposure or not."""
    views, geometry, truth = splat_photos()
    dark = replace(views, images=tuple((x * 0.6).to(torch.uint8) if i in (2, 3) else x for i, x in enumerate(views.images)))
    options = replace(SHORT, steps=400)
    start = disturbed(truth)
    plain, learned = (refine(dark, geometry, start, replace(options, exposure=e)).gaussians for e in (False, True))
    assert mean_psnr(learned, geometry, views, [2, 3]) > mean_psnr(plain, geometry, views, [2, 3]) + 3


def test_nothing_is_done_in_no_steps():
    views, geometry, truth = splat_photos()
    refined = refine(views, geometry, truth, replace(SHORT, steps=0))
    assert refined.gaussians is truth and refined.steps == 0


def test_gaussians_that_only_masked_pixels_see_are_pruned():
    views, geometry, truth = splat_photos(held_out=[5])
    mask = torch.zeros(64, 64, dtype=torch.bool)
    mask[:, :32] = True
    masked = replace(views, masks=(mask,) * 5 + (torch.ones_like(mask),))
    kept = unmasked(masked, geometry, truth)
    pixels, _ = geometry.cameras.project(kept.means)
    inside = ((pixels >= 0) & (pixels < 64)).all(-1) & (pixels[..., 0] < 32)
    assert 0 < len(kept) < len(truth)
    assert inside[:5].any(0).all()
    assert len(unmasked(views, geometry, truth)) == len(truth)
    assert len(views_of(torch.zeros(1, 3, 16, 16))) == 1


def stand_in(means, quats, scales, opacities, sh, camera_from_world, K, width, height, **options):
    """gsplat.rasterization's call, layout and screen, drawn by our own kernels."""
    screen = Screen()
    camera = camera_from_world, K, width, height
    rgb, depth, alpha = rasterize(means, quats, scales, opacities, sh, *camera, screen)
    means2d = torch.zeros(len(K), len(means), 2, requires_grad=True)
    means2d.absgrad = torch.full_like(means2d, 1e-3)  # type: ignore[attr-defined]
    drawn = torch.cat((rgb, depth[:, None]), 1).permute(0, 2, 3, 1) + 0 * means2d.sum()
    return drawn, alpha[..., None], {"radii": screen.radii, "means2d": means2d}


@pytest.mark.parametrize("strategy", ["default", "mcmc"])
def test_refinement_goes_through_the_call_of_gsplat(strategy, monkeypatch):
    monkeypatch.setitem(sys.modules, "gsplat", types.SimpleNamespace(rasterization=stand_in))
    monkeypatch.setitem(BACKENDS, "gsplat", replace(BACKENDS["gsplat"], device="cpu"))
    improves(replace(SHORT, steps=60, strategy=strategy, exposure=True, backend="gsplat"))


@pytest.mark.gpu
@pytest.mark.skipif(cuda.why_not() is not None, reason="gsplat does not run here")
@pytest.mark.parametrize("strategy", ["default", "mcmc"])
def test_refinement_runs_on_a_gpu(strategy):
    improves(replace(SHORT, steps=150, strategy=strategy, exposure=True, refine_cameras=True, backend="gsplat"))


def improves(options: Refinement) -> None:
    views, geometry, truth = splat_photos(held_out=[2])
    start = disturbed(truth)
    refined = refine(views, geometry, start, options)
    assert mean_psnr(refined.gaussians, geometry, views, [2]) > mean_psnr(start, geometry, views, [2]) + 4
    assert refined.gaussians.means.device.type == "cpu"
