"""gsplat against the reference and against our CPU kernels; the row's reasons where it cannot run."""

import pytest
import torch

from recon3d.rendering import cuda
from recon3d.rendering.constants import ALPHA_MAX
from recon3d.rendering.render import rasterize
from recon3d.rendering.screen import Screen
from tests.compare import (
    GPU_FLIP_RATE,
    GPU_FLIP_RATE_OF_NEEDLES,
    GPU_GRADIENT,
    GPU_GRADIENT_OF_NEEDLES,
    GPU_PICTURE,
    GPU_SCREEN,
    beyond,
    gradient_differences,
    in_motion,
    picture_differences,
)
from tests.rendering.proof import CASES, INPUTS, compared


@pytest.fixture
def gsplat_runs():
    if reason := cuda.why_not():
        pytest.skip(reason)


@pytest.mark.skipif(torch.cuda.is_available(), reason="the sentence is for machines without CUDA")
def test_without_cuda_the_row_says_so_and_names_the_remedy():
    reason = cuda.why_not()
    assert reason is not None and "no CUDA device" in reason and "pytorch.org" in reason


@pytest.mark.gpu
@pytest.mark.usefixtures("gsplat_runs")
@pytest.mark.parametrize("antialiased", [False, True], ids=["classic", "antialiased"])
@pytest.mark.parametrize("name", CASES)
def test_gsplat_draws_the_pictures_and_gradients_of_the_reference(name, antialiased):
    if name == "opaque" and cuda.alpha_max() != ALPHA_MAX:
        pytest.skip(f"this gsplat clamps alpha at {cuda.alpha_max()}, 3DGS and ours at {ALPHA_MAX}: opaque splats differ")
    case = CASES[name]()
    result = compared(case, "gsplat", "cuda", antialiased)
    assert not beyond(picture_differences(result.ours, result.exact, result.flipped), GPU_PICTURE)
    thin = name == "needles"
    assert result.flipped.double().mean() <= (GPU_FLIP_RATE_OF_NEEDLES if thin else GPU_FLIP_RATE)
    for label, a, b in zip(INPUTS, result.gradients, result.exact_gradients, strict=True):
        if label == "camera_from_world":
            a, b = (in_motion(x, case.camera_from_world) for x in (a, b))
        assert not beyond(gradient_differences(a, b), GPU_GRADIENT_OF_NEEDLES if thin else GPU_GRADIENT), label


@pytest.mark.gpu
@pytest.mark.usefixtures("gsplat_runs")
def test_the_screen_of_gsplat_is_that_of_our_kernels():
    case, screens = CASES["three cameras"](), []
    for backend, device in (("cpu", "cpu"), ("gsplat", "cuda")):
        screen, leaves = Screen(), [x.detach().clone().to(device).requires_grad_() for x in case.inputs]
        rgb, depth, alpha = rasterize(*leaves, case.K.to(device), case.width, case.height, screen, backend=backend)
        (rgb.sum() + depth.sum() + alpha.sum()).backward()
        screens.append(screen)
    ours, theirs = screens
    assert ours.gradient is not None
    assert gradient_differences(theirs.gradient.cpu(), ours.gradient)["l2"] < GPU_SCREEN


@pytest.mark.gpu
@pytest.mark.usefixtures("gsplat_runs")
def test_the_clamp_of_alpha_is_one_of_the_two_that_gsplat_has_had():
    assert cuda.alpha_max() in (0.99, 0.999)


@pytest.mark.gpu
@pytest.mark.usefixtures("gsplat_runs")
def test_tensors_of_a_cpu_come_back_to_it():
    case = CASES["three cameras"]()
    result = compared(case, "gsplat", "cpu")
    assert not beyond(picture_differences(result.ours, result.exact, result.flipped), GPU_PICTURE)
    assert all(x.device.type == "cpu" for x in result.ours)
