"""The one call and its table of backends."""

import inspect
from dataclasses import replace

import pytest
import torch

import recon3d
from recon3d.core import jit
from recon3d.core.cameras import Cameras
from recon3d.core.scene import Scene
from recon3d.core.synthetic import Synthetic, arc_of_cameras, synthetic_gaussians
from recon3d.errors import InputError
from recon3d.rendering import render as module
from recon3d.rendering.render import BACKENDS, backend_for, load, rasterize, render, render_each, warm_up
from recon3d.rendering.screen import Screen
from tests.compare import PICTURE
from tests.rendering.proof import CASES


def cameras(views: int = 3, height: int = 30, width: int = 40) -> Cameras:
    return arc_of_cameras(Synthetic(views=views, height=height, width=width))


@pytest.mark.parametrize("name", BACKENDS)
def test_every_row_loads_and_says_in_one_sentence_why_it_cannot_run_here(name):
    call = load(BACKENDS[name].call)
    assert list(inspect.signature(call).parameters) == list(inspect.signature(rasterize).parameters)[:-1]
    reason = BACKENDS[name].why_not()
    if name != "gsplat":
        assert reason is None
    elif reason is not None:
        assert "\n" not in reason and "install" in reason


@pytest.mark.parametrize("name", [name for name in BACKENDS if name != "gsplat"])
def test_every_backend_on_a_cpu_draws_the_same_picture_and_fills_the_radii(name):
    case, screen, other = CASES["three cameras"](), Screen(), Screen()
    arguments = case.K, case.width, case.height
    pictures = rasterize(*case.inputs, *arguments, screen, backend=name)
    expected = rasterize(*case.inputs, *arguments, other, backend="cpu")
    assert all(float((a - b).abs().max()) < 1e-3 for a, b in zip(pictures, expected, strict=True))
    assert screen.radii is not None and other.radii is not None
    assert torch.equal(screen.radii.double(), other.radii.double())


def test_the_depth_of_a_rendering_is_the_expected_depth_and_0_where_nothing_is():
    gaussians, seen_by = synthetic_gaussians(100, size=0.1), cameras(2)
    drawn = render(gaussians, seen_by, device="cpu")
    _, summed, alpha = rasterize(
        gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities, gaussians.sh,
        seen_by.camera_from_world, seen_by.K, 40, 30,
    )  # fmt: skip
    known = alpha >= 1e-4
    assert known.any() and not known.all()
    torch.testing.assert_close(drawn.depth[known] * alpha[known], summed[known])
    assert float(drawn.depth[~known].abs().max()) == 0
    assert float(drawn.depth[known].min()) > 2 and float(drawn.depth[known].max()) < 6  # the ball of radius 1, from 4 away


def test_gradients_flow_through_a_rendering_to_gaussians_and_cameras_and_stay_finite():
    gaussians, seen_by = synthetic_gaussians(100, size=0.1), cameras(2)
    means, poses = gaussians.means.clone().requires_grad_(), seen_by.camera_from_world.clone().requires_grad_()
    drawn = render(replace(gaussians, means=means), replace(seen_by, camera_from_world=poses), device="cpu")
    (drawn.rgb.sum() + drawn.depth.sum()).backward()
    for gradient in (means.grad, poses.grad):
        assert gradient is not None and torch.isfinite(gradient).all() and float(gradient.abs().max()) > 0
    assert poses.grad is not None and poses.grad.dtype == torch.float64


def test_several_cameras_in_one_call_are_what_each_alone_gives():
    gaussians, seen_by = synthetic_gaussians(100, size=0.1), cameras(3)
    together = render(gaussians, seen_by, device="cpu")
    for i, alone in enumerate(render_each(gaussians, seen_by, device="cpu")):
        assert torch.equal(alone.rgb[0], together.rgb[i]) and torch.equal(alone.depth[0], together.depth[i])


def test_cameras_of_mixed_sizes_are_refused_together_and_rendered_one_by_one():
    gaussians, seen_by = synthetic_gaussians(50), cameras(2)
    mixed = replace(seen_by, sizes=torch.tensor([[30, 40], [20, 25]]))
    with pytest.raises(ValueError, match=r"25x20 and 40x30: use render_each, or one of them \(cameras\[\[i\]\]\)"):
        render(gaussians, mixed, device="cpu")
    for each in (render_each(gaussians, mixed, device="cpu"), recon3d.render_each(Scene(gaussians), mixed, "cpu")):
        assert [tuple(r.rgb.shape) for r in each] == [(1, 3, 30, 40), (1, 3, 20, 25)]


@pytest.mark.parametrize(("mode", "antialiased"), [("default", False), ("antialiased", True), ("2dgs", False)])
def test_splats_are_drawn_in_the_mode_that_they_were_made_for_and_surfels_classically(mode, antialiased):
    g, seen_by = replace(synthetic_gaussians(100, size=0.02), mode=mode), cameras(2)
    splats, view = (g.means, g.quats, g.scales, g.opacities, g.sh), (seen_by.camera_from_world, seen_by.K, 40, 30)
    classic, other = (rasterize(*splats, *view, antialiased=kind)[0] for kind in (False, True))
    assert float((classic - other).abs().max()) > 0.05
    assert torch.equal(render(g, seen_by, device="cpu").rgb, other if antialiased else classic)


@pytest.mark.skipif(torch.cuda.is_available(), reason="the message is for machines without CUDA")
def test_asking_for_cuda_where_there_is_none_names_the_remedy():
    with pytest.raises(InputError, match=r"no CUDA device.*--device cpu"):
        render(synthetic_gaussians(5), cameras(1), device="cuda")
    assert backend_for("auto") == "cpu" == backend_for("mps")


def test_after_warm_up_nothing_is_compiled_any_more():
    """One signature for each kernel: contiguous or cut, one camera or two, any degree, either mode."""
    warm_up()
    before = {kernel: len(kernel.signatures) for kernel in jit._kernels}
    assert sum(count for kernel, count in before.items() if kernel.py_func.__module__.startswith("recon3d.rendering."))
    gaussians, seen_by = synthetic_gaussians(50, degree=3), cameras(2).to("cpu")
    sh = gaussians.sh.clone().requires_grad_()
    for degree, mode in ((0, "default"), (1, "default"), (2, "antialiased"), (3, "antialiased")):
        drawn = render(replace(gaussians, sh=sh[:, : (degree + 1) ** 2], mode=mode), seen_by[[0]], device="cpu")
        drawn.rgb.sum().backward()
    assert {kernel: len(kernel.signatures) for kernel in jit._kernels} == before


def test_the_page_of_tolerances_holds_what_is_promised():
    assert max(PICTURE.values()) <= 1e-4


def test_every_tensor_goes_to_the_device_of_the_backend_and_pictures_come_back(monkeypatch):
    # "meta" stands for a GPU: tensors that are left behind would be of another device.
    seen = []

    def elsewhere(*given):
        seen.extend(x.device.type for x in given if isinstance(x, torch.Tensor))
        return torch.zeros(1, 3, 4, 5), torch.zeros(1, 4, 5), torch.zeros(1, 4, 5)

    monkeypatch.setattr(module, "load", lambda name: elsewhere)
    monkeypatch.setitem(BACKENDS, "elsewhere", replace(BACKENDS["cpu"], device="meta"))
    g, camera = synthetic_gaussians(5, degree=1), cameras(1)
    view = camera.camera_from_world, camera.K, 5, 4
    pictures = module.rasterize(g.means, g.quats, g.scales, g.opacities, g.sh, *view, backend="elsewhere")
    assert seen == ["meta"] * 7
    assert [x.device for x in pictures] == [g.means.device] * 3
