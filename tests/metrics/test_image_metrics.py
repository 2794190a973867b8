"""PSNR and SSIM against scikit-image, and gradients against float64 autograd."""

import math

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from recon3d.metrics.image import psnr, ssim, ssim_map
from tests.compare import SSIM, SSIM_GRADIENT, SSIM_MAP, gradient_differences


def pair(*size: int, noise: float = 0.1, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """A smooth picture with flat and textured places, and a noisy copy; 0 to 1."""
    generator = torch.Generator().manual_seed(seed)
    height, width = size[-2:]
    y, x = torch.meshgrid(torch.linspace(0, 7, height), torch.linspace(0, 5, width), indexing="ij")
    a = (0.5 + 0.5 * torch.sin(x * y + torch.rand(size[:-2], generator=generator)[..., None, None] * 6)).clamp(0.1, 1)
    return a, (a + noise * torch.randn(size, generator=generator)).clamp(0, 1)


def oracle(a: torch.Tensor, b: torch.Tensor) -> np.ndarray:
    """scikit-image's map of one picture where the window lies inside."""
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    inputs = (a.double().numpy(), b.double().numpy())
    return structural_similarity(*inputs, channel_axis=0, full=True, **options)[1][:, 5:-5, 5:-5]


@pytest.mark.parametrize("size", [(3, 37, 52), (1, 11, 11), (3, 11, 40), (4, 64, 17)])
@pytest.mark.parametrize("noise", [0.0, 0.02, 0.5])
def test_ssim_is_that_of_scikit_image(size, noise):
    a, b = pair(*size, noise=noise)
    expected = oracle(a, b)
    assert np.abs(ssim_map(a, b).numpy() - expected).max() < SSIM_MAP
    assert abs(float(ssim(a, b)) - expected.mean()) < SSIM


def test_ssim_of_several_pictures_is_the_mean_of_each():
    a, b = pair(2, 3, 30, 40)
    assert float(ssim(a, b)) == pytest.approx(float((ssim(a[0], b[0]) + ssim(a[1], b[1])) / 2), abs=1e-6)


def test_equal_pictures_have_a_similarity_of_1_and_swapping_them_changes_nothing():
    a, b = pair(3, 20, 30)
    assert float(ssim(a, a)) == pytest.approx(1, abs=1e-6)
    assert float(ssim(a, b)) == pytest.approx(float(ssim(b, a)), abs=1e-6)


@pytest.mark.parametrize("size", [(2, 3, 29, 41), (3, 11, 11), (1, 12, 60)])
@pytest.mark.parametrize("which", [(True, False), (False, True), (True, True)])
def test_the_gradient_of_ssim_is_that_of_float64_autograd(size, which):
    pictures = pair(*size)
    ours = [x.clone().requires_grad_(wanted) for x, wanted in zip(pictures, which, strict=True)]
    exact = [x.double().requires_grad_(wanted) for x, wanted in zip(pictures, which, strict=True)]
    weights = torch.rand(ssim_map(*pictures).shape, generator=torch.Generator().manual_seed(3))
    (ssim_map(*ours) * weights).sum().backward()
    (ssim_map(*exact) * weights.double()).sum().backward()
    for a, b in zip(ours, exact, strict=True):
        if b.grad is None:
            assert a.grad is None
        else:
            assert a.grad is not None and gradient_differences(a.grad, b.grad)["l2"] < SSIM_GRADIENT


def test_the_plain_float64_path_is_scikit_image_too():
    a, b = pair(3, 25, 31)
    assert np.abs(ssim_map(a.double(), b.double()).numpy() - oracle(a, b)).max() < 1e-12


def test_a_mask_takes_its_outside_out_of_value_and_gradient():
    """Whatever stands outside of the mask: the same number, and no gradient there. Inside of a wide mask: the plain mean."""
    a, b = pair(2, 3, 40, 50)
    mask = torch.zeros(2, 40, 50, dtype=torch.bool)
    mask[0, 8:30, 10:45] = mask[1, :, :30] = True
    changed = torch.where(mask[:, None], a, torch.rand(a.shape)).requires_grad_()
    value = ssim(changed, b, mask)
    assert torch.equal(value.detach(), ssim(a, b, mask))
    value.backward()
    assert changed.grad is not None
    assert float(changed.grad[~mask[:, None].expand_as(a)].abs().max()) == 0 and float(changed.grad.abs().max()) > 0
    everywhere = torch.ones(40, 50, dtype=torch.bool)
    assert float(ssim(a[0], b[0], everywhere)) == pytest.approx(float(ssim(a[0], b[0])), abs=1e-6)
    assert math.isnan(float(ssim(a, b, torch.zeros(2, 40, 50, dtype=torch.bool))))


@pytest.mark.parametrize("size", [(3, 10, 30), (3, 30, 10), (3, 0, 0)])
def test_pictures_smaller_than_the_window_and_of_two_sizes_are_refused(size):
    with pytest.raises(ValueError, match="at least 11 pixels"):
        ssim(torch.zeros(size), torch.zeros(size))
    with pytest.raises(ValueError, match="one size"):
        ssim(torch.zeros(3, 20, 20), torch.zeros(3, 20, 21))


def test_psnr_is_that_of_scikit_image():
    a, b = pair(3, 20, 30)
    expected = peak_signal_noise_ratio(a.double().numpy(), b.double().numpy(), data_range=1)
    assert psnr(a, b) == pytest.approx(expected, abs=1e-9)
    assert psnr(a[None], b[None]) == pytest.approx(expected, abs=1e-9)


def test_psnr_counts_the_pixels_of_its_mask_only():
    a, b = pair(3, 20, 30)
    mask = torch.rand(20, 30, generator=torch.Generator().manual_seed(1)) > 0.5
    expected = -10 * math.log10(float((a.double() - b.double()).square()[:, mask].mean()))
    assert psnr(a, b, mask) == pytest.approx(expected, abs=1e-9)
    assert psnr(a[None], b[None], mask[None]) == pytest.approx(expected, abs=1e-9)


def test_psnr_of_equal_pictures_is_infinite_and_of_no_pixels_not_a_number():
    a, b = pair(3, 20, 30)
    assert psnr(a, a) == math.inf
    assert math.isnan(psnr(a, b, torch.zeros(20, 30, dtype=torch.bool)))
