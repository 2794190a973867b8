"""What a camera does to pictures: seeded, bounded, and against scipy's filters and cosine transform."""

import numpy as np
import scipy.fft
import scipy.ndimage
import torch

from recon3d.data.augmentation import augmented, blurred, compressed, vignette


def pictures(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def test_a_seed_gives_the_same_pictures_and_views_differ():
    x = pictures(1, 1, 3, 20, 28).expand(2, 3, 3, 20, 28)
    one, two = (augmented(x, [torch.Generator().manual_seed(s) for s in (7, 8)]) for _ in range(2))
    assert torch.equal(one, two) and one.shape == x.shape and one.min() >= 0 and one.max() <= 1
    flat = one.flatten(0, 1)
    assert all(not torch.equal(flat[0], other) for other in flat[1:])
    assert 0.005 < float((one - x).abs().mean()) < 0.2


def test_blur_is_scipys():
    x, sigma = pictures(2, 3, 24, 24), torch.tensor([0.4, 0.8])
    for i in range(2):
        width = float(sigma[i])
        expected = scipy.ndimage.gaussian_filter(x[i].numpy(), (0, width, width), radius=(0, 2, 2), mode="nearest")
        np.testing.assert_allclose(blurred(x, sigma)[i], expected, atol=1e-6)


def test_compression_rounds_the_cosine_coefficients_of_blocks():
    x = pictures(1, 3, 16, 24)
    step = 0.05
    out = compressed(x, torch.full((1, 1, 1, 1, 1, 1), step)).numpy()
    k = np.arange(8)
    block = scipy.fft.dctn(out[0, 1, 8:16, 16:24], norm="ortho") / (step * (1 + k + k[:, None]))
    np.testing.assert_allclose(block, np.round(block), atol=1e-4)
    torch.testing.assert_close(compressed(x, torch.zeros(1, 1, 1, 1, 1, 1)), x, atol=1e-5, rtol=0)


def test_a_vignette_takes_light_from_the_corners():
    light = vignette((5, 7), torch.tensor([[[0.3]]]))[0]
    assert float(light[2, 3]) == 1 and torch.allclose(light[[0, 0, -1, -1], [0, -1, 0, -1]], torch.tensor(0.7))
