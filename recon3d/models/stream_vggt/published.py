"""StreamVGGT's published file: names and shapes are VGGT's, so only the user's choice tells them apart. Loads no torch."""

from __future__ import annotations

from recon3d.models.vggt.config import VGGT_1B_GEOMETRY
from recon3d.models.vggt.published import LAYOUT, NETWORK
from recon3d.models.weights import Weights

WEIGHTS = {
    "stream-vggt": Weights(
        NETWORK,
        VGGT_1B_GEOMETRY,
        "recon3d.models.stream_vggt.answer:answer",
        "recon3d.models.stream_vggt.answer:cost",
        LAYOUT,
        repository="lch01/StreamVGGT",
        file="checkpoints.pth",
        licence="CC-BY-NC-SA-4.0",
        commercial=False,
        about="cameras, depth and points of a video, view by view in bounded memory",
        bytes=5_026_743_569,
        code_licence="CC-BY-NC-SA-4.0",
    ),
}
