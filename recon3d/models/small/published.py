"""The weights that come with the toolkit. Loads no torch."""

from __future__ import annotations

from recon3d.models.official import Layout
from recon3d.models.small.config import SmallConfig
from recon3d.models.weights import Weights

WEIGHTS = {
    "recon3d-small": Weights(
        "recon3d.models.small.network:SmallNetwork",
        SmallConfig(),
        "recon3d.models.small.answer:answer",
        "recon3d.models.small.answer:cost",
        Layout(),
        repository="recon3d/recon3d-small",
        file="recon3d-small.safetensors",
        shipped=True,
        features=True,
        licence="Apache-2.0",
        commercial=True,
        about="cameras and coarse depth; comes with the toolkit, trained on procedural scenes only",
    ),
}
