"""Splats in numpy against the tensors of `Gaussians`, scipy's rotations, and mirrored worlds."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from recon3d.core.gaussians import Gaussians
from recon3d.core.harmonics import basis
from recon3d.core.splats import FIELDS, turned_quats
from recon3d.core.synthetic import synthetic_gaussians


def test_splats_and_gaussians_are_the_same_values():
    gaussians = synthetic_gaussians(30, 2)
    back = Gaussians.of(gaussians.splats())
    assert all(torch.equal(getattr(back, name), getattr(gaussians, name)) for name in FIELDS)


@pytest.mark.parametrize("turn", [np.diag([1.0, -1, -1]), np.diag([-1.0, -1, 1]), np.eye(3)])
def test_quaternions_of_half_turns_and_of_none_are_scipys(turn):
    quats = synthetic_gaussians(20, 0).splats().quats
    expected = (Rotation.from_matrix(turn) * Rotation.from_quat(quats[:, [1, 2, 3, 0]])).as_matrix()
    found = Rotation.from_quat(turned_quats(turn, quats)[:, [1, 2, 3, 0]]).as_matrix()
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_mirrored_world_has_mirrored_covariances_and_colours():
    splats = synthetic_gaussians(20, 3).splats()
    mirror = np.diag([1.0, 1, -1])
    moved = splats.moved(mirror)

    def covariances(s):
        axes = Rotation.from_quat(s.quats[:, [1, 2, 3, 0]]).as_matrix() * s.scales[:, None]
        return axes @ axes.transpose(0, 2, 1)

    np.testing.assert_allclose(covariances(moved), mirror @ covariances(splats) @ mirror, atol=1e-7)
    d = np.random.default_rng(0).normal(size=(3, 50))
    d /= np.linalg.norm(d, axis=0)
    before = np.einsum("sd,gsc->gdc", np.stack(basis(d[0], d[1], d[2], 3)), splats.sh)
    after = np.einsum("sd,gsc->gdc", np.stack(basis(d[0], d[1], -d[2], 3)), moved.sh)
    np.testing.assert_allclose(after, before, atol=1e-5)


def test_splats_load_no_torch():
    code = "import sys, recon3d.core.splats, recon3d.io.ply; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
