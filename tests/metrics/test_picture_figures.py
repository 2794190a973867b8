"""PSNR and SSIM as published tables have them, against golden cases and scikit-image."""

import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from recon3d.metrics.pictures import picture_figures
from tests.metrics.golden import check, golden_cases, tensors


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    """Two photos and noisy copies, of which some values lie outside of 0 to 1."""
    generator = torch.Generator().manual_seed(0)
    photos = torch.rand(2, 3, 21, 34, generator=generator)
    return photos + 0.1 * torch.randn(photos.shape, generator=generator), photos


@golden_cases("picture")
def test_picture_errors_are_those_of_the_golden_case(case):
    golden = tensors(case)
    found = picture_figures(golden["in.prediction"], golden["in.truth"])
    check(case, {"psnr": found.psnr, "ssim": found.ssim})


def test_psnr_and_ssim_of_clipped_pictures_are_those_of_scikit_image():
    rendered, photos = pair()
    found = picture_figures(rendered, photos)
    options = {"win_size": 11, "gaussian_weights": True, "channel_axis": 0, "data_range": 1.0}
    for i, (a, b) in enumerate(zip(rendered.clamp(0, 1).double().numpy(), photos.double().numpy(), strict=True)):
        assert float(found.psnr[i]) == pytest.approx(peak_signal_noise_ratio(b, a, data_range=1), abs=1e-9)
        assert float(found.ssim[i]) == pytest.approx(structural_similarity(b, a, **options), abs=1e-9)
    assert found.perfect == 0


def test_a_shifted_picture_has_the_psnr_of_its_shift():
    _, photos = pair()
    photos = 0.5 * photos
    assert picture_figures(photos + 0.1, photos).psnr.tolist() == pytest.approx([20, 20], abs=1e-5)


def test_a_perfect_picture_is_100_dB_and_counted():
    rendered, photos = pair()
    rendered[1] = photos[1]
    found = picture_figures(rendered, photos)
    assert float(found.psnr[1]) == 100 and found.perfect == 1
    assert float(found.ssim[1]) == pytest.approx(1, abs=1e-12)


def test_pictures_of_two_sizes_and_smaller_than_the_window_are_refused():
    for a, b in (((1, 3, 20, 20), (1, 3, 20, 21)), ((1, 3, 10, 20), (1, 3, 10, 20)), ((2, 3, 20, 20), (1, 3, 20, 20))):
        with pytest.raises(ValueError, match="one size of at least 11 pixels"):
            picture_figures(torch.zeros(a), torch.zeros(b))
