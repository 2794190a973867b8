"""The CPU kernels against float64 autograd of the specification, and against closed forms."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recon3d.core.rotations import matrices_from_quats
from recon3d.core.similarity import Similarity
from recon3d.core.synthetic import Synthetic, arc_of_cameras, synthetic_gaussians
from recon3d.rendering import reference
from recon3d.rendering.render import rasterize, render
from recon3d.rendering.screen import Screen
from tests.compare import (
    BORDERLINE,
    FLIP,
    FLIP_RATE,
    GRADIENT,
    PICTURE,
    SCREEN,
    TURNED,
    TURNED_FLIP_RATE,
    beyond,
    flips,
    gradient_differences,
    picture_differences,
)
from tests.rendering.proof import CASES, INPUTS, compared, needles
from tools.benchmarks.cases import scene


@pytest.mark.parametrize("antialiased", [False, True], ids=["classic", "antialiased"])
@pytest.mark.parametrize("name", CASES)
def test_pictures_and_gradients_are_those_of_the_reference_in_float64(name, antialiased):
    result = compared(CASES[name](), antialiased=antialiased)
    assert not beyond(picture_differences(result.ours, result.exact, result.flipped), PICTURE)
    assert result.flipped.double().mean() <= FLIP_RATE
    assert (result.ours[2] - result.exact[2]).abs().max() <= FLIP
    for label, a, b in zip(INPUTS, result.gradients, result.exact_gradients, strict=True):
        assert not beyond(gradient_differences(a, b), GRADIENT), label


def test_over_many_random_scenes_only_a_counted_rate_of_pixels_flips():
    """Thirty scenes of a kind each, one of them needles: borderline alphas are met by chance, and counted."""
    flipped, pixels = 0, 0
    for seed in range(30):
        case = scene(150, 2.5, 40, 32, 100 + seed, degree=1)
        case = needles(case) if seed % 3 == 0 else case
        with torch.no_grad():
            arguments = (case.K, case.width, case.height)
            ours = [x.double() for x in rasterize(*case.inputs, *arguments)]
            exact = reference.rasterize(*(x.double() for x in case.inputs), case.K.double(), case.width, case.height)
        apart = flips(ours[0], exact[0], ours[2], exact[2])
        assert not beyond(picture_differences(ours, exact, apart), PICTURE)
        assert (ours[2] - exact[2]).abs().max() <= FLIP
        flipped, pixels = flipped + int(apart.sum()), pixels + apart.numel()
    assert flipped / pixels <= FLIP_RATE


def one_gaussian(opacity: float, scale: float, depth: float, antialiased: bool = False, size: int = 41, focal: float = 50.0):
    """rgb, depth and alpha of a round, white Gaussian straight ahead; the centre of a picture of odd size is a pixel's."""
    means, quats = torch.tensor([[0, 0, depth]]), torch.tensor([[1.0, 0, 0, 0]])
    K = torch.tensor([[[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1]]])
    sh = torch.full((1, 1, 3), 0.5 / 0.28209479177387814)
    scales, opacities = torch.full((1, 3), scale), torch.tensor([opacity])
    return rasterize(means, quats, scales, opacities, sh, torch.eye(4)[None], K, size, size, antialiased=antialiased)


@pytest.mark.parametrize("antialiased", [False, True], ids=["classic", "antialiased"])
@pytest.mark.parametrize(("opacity", "scale", "depth"), [(0.8, 0.3, 4.0), (0.02, 0.05, 1.5), (1.0, 0.2, 2.0), (0.5, 1e-5, 3.0)])
def test_one_gaussian_renders_its_closed_form(opacity, scale, depth, antialiased):
    """alpha = o exp(-r^2 / 2 s^2) with s^2 = (f scale / z)^2 + 0.3, at most 0.999, nothing below 1/255.

    Antialiased, o falls as the area of the round splat grows by those 0.3.
    """
    rgb, summed, alpha = one_gaussian(opacity, scale, depth, antialiased)
    y, x = torch.meshgrid(torch.arange(41) - 20.0, torch.arange(41) - 20.0, indexing="ij")
    variance = (50 * scale / depth) ** 2 + 0.3
    opacity *= (variance - 0.3) / variance if antialiased else 1
    exact = (opacity * torch.exp(-(x * x + y * y) / (2 * variance))).clamp_max(0.999)
    borderline = (exact - 1 / 255).abs() < 1e-6
    exact = torch.where(exact >= 1 / 255, exact, 0)
    assert (alpha[0] - exact)[~borderline].abs().max() < 1e-5
    assert (rgb[0] - alpha[0]).abs().max() < 1e-5
    assert (summed[0] - depth * alpha[0]).abs().max() < 1e-5 * depth


def test_a_splat_that_goes_away_gives_light_by_its_area_antialiased_and_ever_more_of_it_classically():
    """Its picture shrinks from 0.5 to 0.06 pixels, its area sixtyfold; light is the sum of alpha, 2 pi o s^2 in all.

    Antialiased it is that to a tenth: pixels sample the sum, and leave out what is below 1/255 at its rim. Classically it
    hardly sinks, for the splat stays as wide as a pixel, so that distant things grow too bright and too thick.
    """
    sizes = [0.5, 0.35, 0.25, 0.18, 0.12]  # standard deviations in pixels
    depths = [50 * 0.01 / size for size in sizes]
    areas = torch.tensor([2 * math.pi * 0.9 * size**2 for size in sizes])
    kept = torch.stack([one_gaussian(0.9, 0.01, z, antialiased=True)[2].sum() for z in depths]) / areas
    classic = torch.stack([one_gaussian(0.9, 0.01, z)[2].sum() for z in depths]) / areas
    assert (kept - 1).abs().max() < 0.1
    assert (classic[1:] > 1.3 * classic[:-1]).all() and classic[-1] > 15


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_antialiased_a_disc_seen_from_its_edge_is_not_drawn_and_has_no_gradient(backend):
    """It has no thickness, hence no area on the screen; classically it is a line. Another splat stands beside it."""
    means, quats = torch.tensor([[0.3, 0, 2], [-0.3, 0, 2]]), torch.tensor([[1.0, 0, 0, 0], [0.9, 0.3, 0.1, 0.2]])
    values = means, quats, torch.tensor([[0.0, 0.2, 0.2], [0.1, 0.2, 0.15]]), torch.tensor([0.9, 0.5])
    camera = torch.tensor([[1.0, 0, 0, -0.3], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])  # straight before the disc
    leaves = [x.requires_grad_() for x in (*values, torch.ones(2, 1, 3), camera[None])]
    K = torch.tensor([[[30.0, 0, 16.5], [0, 30, 16.5], [0, 0, 1]]])
    _, _, line = rasterize(*leaves, K, 33, 33, backend=backend)
    rgb, depth, alpha = rasterize(*leaves, K, 33, 33, antialiased=True, backend=backend)
    _, _, alone = rasterize(*(x[1:] for x in leaves[:5]), leaves[5], K, 33, 33, antialiased=True, backend=backend)
    assert line[0, 16, 16] > 0.8 and torch.equal(alpha, alone) and alpha.max() > 0.4
    (rgb.sum() + depth.sum() + alpha.sum()).backward()
    gradients = [x.grad for x in leaves if x.grad is not None]
    assert len(gradients) == 6 and all(bool(torch.isfinite(g).all()) for g in gradients)
    assert all(bool((g[0] == 0).all()) and bool((g[1] != 0).any()) for g in gradients[:5])


def test_only_pixels_within_rounding_of_the_threshold_flip():
    """A splat so wide that alpha sinks from 1.00003 / 255 to 0.99999 / 255 over the picture: all of it is near the threshold."""
    opacity, scale = float(torch.tensor(1.00003 / 255)), 63.0
    _, _, alpha = one_gaussian(opacity, scale, 1.0)
    y, x = torch.meshgrid(torch.arange(41.0).double() - 20, torch.arange(41.0).double() - 20, indexing="ij")
    exact = opacity * torch.exp(-(x * x + y * y) / (2 * ((50 * scale) ** 2 + 0.3)))
    flipped = (alpha[0] > 0) != (exact >= 1 / 255)
    assert (alpha[0] > 0).any() and (alpha[0] == 0).any()
    assert ((255 * exact - 1).abs()[flipped] < BORDERLINE).all()
    assert (alpha[0] - exact).abs().max() <= FLIP


def test_the_nearer_gaussian_covers_the_farther():
    """Two on one ray: colour = a1 c1 + (1 - a1) a2 c2, whatever their order in the list."""
    means = torch.tensor([[0, 0, 5.0], [0, 0, 2.0]])
    sh = torch.tensor([[[1.0, 0, 0]], [[0, 1.0, 0]]]) / 0.28209479177387814
    K = torch.tensor([[[30.0, 0, 8.5], [0, 30, 8.5], [0, 0, 1]]])
    quats, scales, opacities = torch.tensor([[1.0, 0, 0, 0]] * 2), torch.full((2, 3), 0.5), torch.tensor([0.6, 0.7])
    rgb, _, alpha = rasterize(means, quats, scales, opacities, sh, torch.eye(4)[None], K, 17, 17)
    far, near = torch.tensor([1.5, 0.5, 0.5]), torch.tensor([0.5, 1.5, 0.5])
    torch.testing.assert_close(rgb[0, :, 8, 8], 0.7 * near + 0.3 * 0.6 * far, atol=1e-5, rtol=0)
    assert float(alpha[0, 8, 8]) == pytest.approx(1 - 0.3 * 0.4, abs=1e-5)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    axis=st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: sum(x * x for x in q) > 0.01),
    scale=st.floats(0.2, 5),
    shift=st.tuples(*[st.floats(-3, 3)] * 3),
)
def test_a_turned_moved_and_scaled_world_renders_the_same_pictures(seed, axis, scale, shift):
    gaussians = synthetic_gaussians(120, degree=3, seed=seed, size=0.1)
    cameras = arc_of_cameras(Synthetic(views=2, height=36, width=48, seed=seed))
    rotation = matrices_from_quats(torch.tensor([axis], dtype=torch.float64))[0]
    motion = Similarity(torch.tensor(scale, dtype=torch.float64), rotation, torch.tensor(shift, dtype=torch.float64))
    before = render(gaussians, cameras, device="cpu")
    after = render(gaussians.transformed(motion), cameras.transformed(motion), device="cpu")
    apart = flips(after.rgb, before.rgb, after.alpha, before.alpha, TURNED)
    assert apart.double().mean() <= TURNED_FLIP_RATE
    deep = before.alpha > 0.5
    assert ((after.depth / scale - before.depth)[deep & ~apart]).abs().max() < TURNED * before.depth.max()


def test_the_screen_holds_radii_and_the_gradient_of_each_projected_centre():
    case = scene(15, 3.0, 19, 12, 3, degree=1)
    screen = Screen()
    leaves = [x.clone().requires_grad_() for x in case.inputs]
    rgb, depth, alpha = rasterize(*leaves, case.K, case.width, case.height, screen)
    (rgb.sum() + 0.3 * depth.sum() - alpha.sum()).backward()

    exact = [x.double().requires_grad_() for x in case.inputs]
    splats = reference.project(*exact[:5], exact[5][0], case.K[0].double(), case.width, case.height)
    means2d, radii = splats[0], splats[-1]
    rgb, depth, alpha = reference.composite(*splats, case.width, case.height)
    each = (rgb.sum(0) + 0.3 * depth - alpha).flatten()
    by_pixel = torch.stack([torch.autograd.grad(p, means2d, retain_graph=True)[0] for p in each])
    assert screen.radii is not None and screen.gradient is not None
    assert torch.equal(screen.radii[0].double(), radii)
    assert gradient_differences(screen.gradient[0], by_pixel.sum(0))["l2"] < SCREEN


def test_gaussians_that_cannot_be_seen_change_nothing():
    """Behind the camera, beside the picture, fainter than 1/255, not finite: no colour and a gradient of zero."""
    case = scene(50, 3.0, 40, 30, 1, degree=1)
    lost = replace(case, **{n: getattr(case, n).clone() for n in INPUTS})
    lost.means[0] = torch.tensor([0, 0, -3.0])
    lost.means[1] = torch.tensor([50.0, 0, 3])
    lost.opacities[2] = 0.003
    lost.means[3, 1] = math.nan
    lost.scales[4] = math.inf
    leaves = [x.requires_grad_() for x in lost.inputs]
    out = rasterize(*leaves, case.K, 40, 30)
    without = rasterize(*(x[5:] for x in case.inputs[:5]), case.camera_from_world, case.K, 40, 30)
    assert all(torch.equal(a.detach(), b) for a, b in zip(out, without, strict=True))
    sum(x.sum() for x in out).backward()
    assert all(bool((x.grad[:5] == 0).all()) for x in leaves[:5])
    assert all(bool(torch.isfinite(x.grad).all()) for x in leaves)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (16, 16), (17, 1), (5, 33)])
def test_pictures_of_any_size_are_those_of_the_reference(width, height):
    case = scene(60, 2.0, 32, 32, 4, degree=0)
    arguments = case.K, width, height
    ours = rasterize(*case.inputs, *arguments)
    exact = reference.rasterize(*(x.double() for x in case.inputs), case.K.double(), width, height)
    assert all(float((a - b).abs().max()) < 1e-4 * max(1.0, float(b.abs().max())) for a, b in zip(ours, exact, strict=True))


def test_no_gaussians_make_an_empty_picture_with_empty_gradients():
    inputs = [torch.zeros(0, *size).requires_grad_() for size in ((3,), (4,), (3,), (), (4, 3))]
    camera = torch.eye(4)[None].requires_grad_()
    rgb, depth, alpha = rasterize(*inputs, camera, torch.eye(3)[None], 20, 10)
    assert float(rgb.detach().abs().max() + depth.detach().abs().max() + alpha.detach().abs().max()) == 0
    (rgb.sum() + depth.sum() + alpha.sum()).backward()
    assert [tuple(x.grad.shape) for x in inputs] == [(0, 3), (0, 4), (0, 3), (0,), (0, 4, 3)]
    assert float(camera.grad.abs().max()) == 0


def test_a_cut_of_the_harmonics_renders_like_a_copy_of_it_and_K_gets_no_gradient():
    case = scene(80, 2.0, 40, 30, 2, degree=3)
    whole = case.sh.clone().requires_grad_()
    K = case.K.clone().requires_grad_()
    cut = rasterize(*case.inputs[:4], whole[:, :4], case.camera_from_world, K, 40, 30)
    copy = rasterize(*case.inputs[:4], whole.detach()[:, :4].clone(), case.camera_from_world, case.K, 40, 30)
    assert all(torch.equal(a, b) for a, b in zip(cut, copy, strict=True))
    cut[0].sum().backward()
    assert K.grad is None and float(whole.grad[:, 4:].abs().max()) == 0 and float(whole.grad[:, :4].abs().max()) > 0
