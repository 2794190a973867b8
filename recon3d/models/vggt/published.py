"""VGGT's published files, and how their tensors are named. Loads no torch."""

from __future__ import annotations

from recon3d.models.official import Layout
from recon3d.models.vggt.config import VGGT_1B_GEOMETRY
from recon3d.models.weights import Weights

# Published names of a dense head's parts (LingBot-Map and DA3 have them too): pyramid and fusion are modules of their own.
DENSE_HEAD_NAMES = (
    (r"(head|extractor)\.(norm|projects|resize_layers)\.", r"\1.pyramid.\2."),
    *((rf"\.scratch\.layer{i + 1}_rn\.", f".pyramid.to_features.{i}.") for i in range(4)),
    *((rf"\.scratch\.refinenet{i + 1}\.", f".fusion.steps.{i}.") for i in range(4)),
    (r"\.scratch\.output_conv", ".output_conv"),
)
LAYOUT = Layout(
    renamed=(*DENSE_HEAD_NAMES, (r"\.virual_tracks$", ".virtual_tracks")),
    # The first is never used; networks built without these heads leave them in the file.
    dropped=(r"aggregator\.patch_embed\.mask_token", r"(point|track)_head\..*"),
)

NETWORK, MATCHES = "recon3d.models.vggt.network:Vggt", "recon3d.models.vggt.answer:with_matches"
ANSWER, COST = "recon3d.models.vggt.answer:answer", "recon3d.models.vggt.answer:cost"

WEIGHTS = {
    "vggt-1b": Weights(
        NETWORK,
        VGGT_1B_GEOMETRY,
        ANSWER,
        COST,
        LAYOUT,
        repository="facebook/VGGT-1B",
        file="model.safetensors",
        licence="CC-BY-NC-4.0",
        commercial=False,
        features=True,
        about="cameras, depth, points and tracks of any number of views",
        bytes=5_026_367_224,
        sha256="f164acf60724910d8fe1578bb499d800850c7bb0948db7555c413f9fbe60467e",
        revision="860abec7937da0a4c03c41d3c269c366e82abdf9",
        code_licence="VGGT License v1",
        with_matches=MATCHES,
        sources=("model.pt",),
    ),
    "vggt-1b-commercial": Weights(
        NETWORK,
        VGGT_1B_GEOMETRY,
        ANSWER,
        COST,
        LAYOUT,
        repository="facebook/VGGT-1B-Commercial",
        file="vggt_1B_commercial.pt",
        licence="VGGT License v1",
        commercial=True,
        features=True,
        about="the same network, for any but military use; gated: ask for access on its page first",
        code_licence="VGGT License v1",
        with_matches=MATCHES,
    ),
}
