"""The weights that come with the toolkit. Loads no torch."""

from __future__ import annotations

from recon3d.models.joint.config import SHIPPED
from recon3d.models.official import Layout
from recon3d.models.weights import Weights

WEIGHTS = {
    "recon3d-joint": Weights(
        "recon3d.models.joint.network:Joint",
        SHIPPED,
        None,
        None,
        Layout(),
        repository="recon3d/recon3d-joint",
        file="recon3d-joint.safetensors",
        shipped=True,
        licence="Apache-2.0",
        commercial=True,
        about="Gaussians of known cameras and depth; comes with the toolkit, trained on procedural scenes only",
    ),
}
