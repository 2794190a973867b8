"""The same bits on any number of threads, and from several Python threads at once."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch

from recon3d.core.jit import use_threads
from recon3d.metrics.image import ssim
from recon3d.rendering.render import rasterize, warm_up
from recon3d.rendering.screen import Screen
from tests.rendering.proof import turn
from tools.benchmarks.cases import Case, scene


def a_case() -> Case:
    """Enough Gaussians and tiles that three threads each get some of every kernel's blocks."""
    case = scene(9000, 1.5, 200, 150, 11, degree=2)
    poses = torch.stack([torch.eye(4), turn(0.05, -0.1, 0.02, 0.1, 0, 0.3)])
    return replace(case, camera_from_world=poses, K=case.K.expand(2, 3, 3))


def everything(case: Case, antialiased: bool = False) -> list[torch.Tensor]:
    """Pictures, loss, gradients and what densification asks for."""
    leaves, screen = [x.clone().requires_grad_() for x in case.inputs], Screen()
    rgb, depth, alpha = rasterize(*leaves, case.K, case.width, case.height, screen, antialiased=antialiased)
    target = torch.rand(rgb.shape, generator=torch.Generator().manual_seed(0))
    loss = ssim(rgb, target) + depth.mean() + alpha.mean()
    loss.backward()
    assert screen.radii is not None and screen.gradient is not None
    return [rgb, depth, alpha, loss, *(x.grad for x in leaves), screen.radii, screen.gradient]


def same_bits(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("antialiased", [False, True], ids=["classic", "antialiased"])
@pytest.mark.parametrize("count", [2, 3, 7])
def test_pictures_and_gradients_have_the_same_bits_on_any_number_of_threads(count, antialiased):
    case = a_case()
    with use_threads(1):
        alone = everything(case, antialiased)
    for _ in range(3):
        with use_threads(count):
            assert same_bits(everything(case, antialiased), alone)


def test_python_threads_that_render_at_once_get_what_each_would_get_alone():
    warm_up()
    cases = [a_case(), scene(4000, 2.0, 130, 90, 12), scene(2000, 3.0, 64, 64, 13, degree=0)]
    alone = [everything(case) for case in cases]

    def again(i: int) -> bool:
        with use_threads(2):
            return same_bits(everything(cases[i]), alone[i])

    with ThreadPoolExecutor(3) as threads:
        assert all(threads.map(again, [0, 1, 2] * 4))
