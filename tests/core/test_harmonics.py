"""Real harmonics against scipy's complex ones, and colours that turn with the world."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from recon3d.core.harmonics import C0, harmonics, turning
from recon3d.core.similarity import Similarity
from recon3d.core.synthetic import synthetic_gaussians


def directions(count: int = 200, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(count, 3, generator=generator, dtype=torch.float64), dim=1)


def turned(sh: torch.Tensor, rotation: torch.Tensor) -> torch.Tensor:
    return torch.einsum("ij,gjc->gic", torch.from_numpy(turning(rotation.numpy(), 3))[: sh.shape[1], : sh.shape[1]], sh)


def associated_legendre(degree: int, order: int, z: np.ndarray) -> np.ndarray:
    """P_l^m with the Condon-Shortley phase, by its derivative formula."""
    polynomial = np.polynomial.Polynomial([-1, 0, 1]) ** degree / (2.0**degree * np.prod(np.arange(1, degree + 1)))
    return (-1) ** order * (1 - z * z) ** (order / 2) * polynomial.deriv(degree + order)(z)


def test_the_basis_is_the_real_harmonics_with_condon_shortley_signs():
    d = directions().numpy()
    azimuth, z = np.arctan2(d[:, 1], d[:, 0]), d[:, 2]
    expected = []
    for l in range(4):
        for m in range(-l, l + 1):
            k = abs(m)
            factorials = np.prod(np.arange(l - k + 1, l + k + 1, dtype=float))
            norm = np.sqrt((2 * l + 1) / (4 * np.pi) / factorials)
            turn = 1.0 if m == 0 else np.sqrt(2) * (np.cos(k * azimuth) if m > 0 else np.sin(k * azimuth))
            expected.append(norm * associated_legendre(l, k, z) * turn)
    np.testing.assert_allclose(harmonics(directions(), 3), np.stack(expected, -1), atol=1e-12)
    assert float(harmonics(directions(1), 0)) == pytest.approx(C0)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_a_turned_world_shows_the_same_colour_in_the_turned_direction(degree):
    sh = synthetic_gaussians(20, degree).sh.double()
    rotation = torch.from_numpy(Rotation.random(random_state=degree).as_matrix())
    before = torch.einsum("ds,gsc->gdc", harmonics(directions(), degree), sh)
    after = torch.einsum("ds,gsc->gdc", harmonics(directions() @ rotation.T, degree), turned(sh, rotation))
    torch.testing.assert_close(after, before, rtol=0, atol=1e-12)


def test_turning_twice_is_turning_by_the_product_and_back_again_is_nothing():
    sh = synthetic_gaussians(20, 3).sh.double()
    a, b = (torch.from_numpy(Rotation.random(random_state=i).as_matrix()) for i in (1, 2))
    torch.testing.assert_close(turned(turned(sh, b), a), turned(sh, a @ b))
    torch.testing.assert_close(turned(turned(sh, a), a.T), sh)


def test_gaussians_of_a_moved_world_have_the_moved_covariances_and_colours():
    gaussians = synthetic_gaussians(20, 2)
    rotation = torch.from_numpy(Rotation.random(random_state=5).as_matrix())
    moved = gaussians.transformed(Similarity.of(2.5, rotation, torch.tensor([1.0, 2, 3])))

    def covariance(g):
        axes = Rotation.from_quat(g.quats.numpy()[:, [1, 2, 3, 0]]).as_matrix() * g.scales.numpy()[:, None]
        return axes @ axes.transpose(0, 2, 1)

    turned = 2.5**2 * rotation.numpy() @ covariance(gaussians) @ rotation.numpy().T
    np.testing.assert_allclose(covariance(moved), turned, rtol=1e-4, atol=1e-7)
    expected = 2.5 * gaussians.means.double() @ rotation.T + torch.tensor([1.0, 2, 3])
    torch.testing.assert_close(moved.means.double(), expected, rtol=1e-6, atol=1e-6)
    assert torch.equal(moved.opacities, gaussians.opacities)
