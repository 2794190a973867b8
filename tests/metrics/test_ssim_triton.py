"""SSIM's Triton kernels against plain torch in float64: in Triton's interpreter on a CPU, and on a GPU as they are.

Where there is Triton and no GPU, they are compiled for one all the same.
"""

import importlib.util
import os
import subprocess
import sys

import pytest
import torch

from recon3d.metrics.image import plain_ssim_map, ssim_map

TRITON = importlib.util.find_spec("triton") is not None
SHAPES = [(3, 24, 37), (2, 3, 40, 18), (3, 11, 11)]


def compared(ssim_of, device: str) -> None:
    """Values and gradients, both weighted at random."""
    for shape in SHAPES:
        generator = torch.Generator().manual_seed(0)
        a, other = (torch.rand(shape, generator=generator) for _ in range(2))
        b = 0.7 * a + 0.3 * other
        exact = a.double().requires_grad_()
        expected = plain_ssim_map(exact, b.double())
        weights = torch.rand(expected.shape, generator=generator)
        (expected * weights).sum().backward()
        ours, gradient = ssim_of(a.to(device), b.to(device), weights.to(device))
        assert exact.grad is not None
        torch.testing.assert_close(ours.cpu().double(), expected.detach(), atol=1e-5, rtol=0)
        torch.testing.assert_close(gradient.cpu().double(), exact.grad, atol=1e-5, rtol=0)


def by_kernels(a, b, weights):
    from recon3d.metrics.ssim_triton import gradient_of_first, ssim_with_derivatives

    values, derivatives = ssim_with_derivatives(a, b, wanted=True)
    return values, gradient_of_first(a, b, derivatives, weights)


@pytest.mark.skipif(not TRITON, reason="triton is not installed")
def test_kernels_agree_with_float64_in_tritons_interpreter() -> None:
    """In a process of its own: whether Triton interprets is decided when it is imported."""
    script = "from tests.metrics.test_ssim_triton import by_kernels, compared; compared(by_kernels, 'cpu')"
    subprocess.run([sys.executable, "-c", script], check=True, env={**os.environ, "TRITON_INTERPRET": "1"})


@pytest.mark.skipif(not TRITON, reason="triton is not installed")
@pytest.mark.parametrize("name", ["fold_rows", "fold_columns", "spread_columns", "spread_rows"])
def test_kernels_compile_for_a_gpu_that_is_not_here(name: str) -> None:
    """To machine code of compute capability 9.0 (H100, H200), by the compiler that comes with Triton."""
    import triton  # type: ignore[import-not-found]
    from triton.backends.compiler import GPUTarget  # type: ignore[import-not-found]

    from recon3d.metrics import ssim_triton

    kernel = getattr(ssim_triton, name)
    types = {x: "i32" if x in ssim_triton.SIZES else "*fp32" for x in kernel.arg_names if x != "BLOCK"}
    source = triton.compiler.ASTSource(kernel, {**types, "BLOCK": "constexpr"}, {"BLOCK": ssim_triton.BLOCK})
    assert triton.compile(source, target=GPUTarget("cuda", 90, 32)).asm["cubin"]


@pytest.mark.gpu
def test_kernels_agree_with_float64_on_a_gpu() -> None:
    compared(by_kernels, "cuda")


@pytest.mark.gpu
def test_ssim_of_the_metrics_runs_them_on_a_gpu() -> None:
    def differentiated(a, b, weights):
        a = a.requires_grad_()
        values = ssim_map(a, b)
        (values * weights).sum().backward()
        return values.detach(), a.grad

    compared(differentiated, "cuda")
