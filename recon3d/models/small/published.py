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
        # Trained with 2 to 4. Windows of 4 against one pass, ATE in shares of the path: street (32 views, both halves, every
        # second, all 64) 4 to 6 % against 22 to 28 %, herz-jesu-P8 8 against 30, fountain-P11, flower, kitchen and
        # beach-drone equal within 0.5 %, banana (8 views) 13 against 11.
        most_views=4,
        features=True,
        licence="Apache-2.0",
        commercial=True,
        about="cameras and coarse depth; comes with the toolkit, trained on procedural scenes only",
    ),
}
