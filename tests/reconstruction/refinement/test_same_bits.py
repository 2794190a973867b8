"""Refinement on a CPU gives the bits that it gave before it could live on another device."""

import hashlib

import llvmlite.binding
import pytest
import torch

from recon3d.reconstruction.refinement.refine import Refinement, refine
from tests.reconstruction.refinement.test_refinement import disturbed, values
from tests.reconstruction.scenes import splat_photos

# Of a kind of processor and a version of torch: both choose how sums are ordered.
BITS = {
    ("znver4", "2.13.0", "mcmc"): "eef0f1822905f950",
    ("znver4", "2.13.0", "default"): "7166eea0ed0ac6d6",
}


@pytest.mark.parametrize("strategy", ["mcmc", "default"])
def test_bits_are_those_of_before(strategy: str) -> None:
    key = (llvmlite.binding.get_host_cpu_name(), torch.__version__.split("+")[0], strategy)
    if key not in BITS:
        pytest.skip(f"bits of {key[0]} with torch {key[1]} were not recorded")
    views, geometry, truth = splat_photos(held_out=[2])
    options = Refinement(
        steps=130, max_gaussians=400, half_until=0.3, strategy=strategy, exposure=True, refine_cameras=True, seed=7
    )
    refined = refine(views, geometry, disturbed(truth), options)
    moved = refined.geometry.cameras.camera_from_world[~views.held_out]  # held-out cameras follow their neighbours since
    found = values(refined.gaussians) + moved.numpy().tobytes()
    assert hashlib.sha256(found).hexdigest()[:16] == BITS[key]
