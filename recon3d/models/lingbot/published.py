"""LingBot-Map's published files, and how their tensors are named. Loads no torch."""

from __future__ import annotations

from recon3d.models.lingbot.config import LINGBOT_MAP
from recon3d.models.official import Layout
from recon3d.models.vggt.published import DENSE_HEAD_NAMES
from recon3d.models.weights import Weights

# Files may hold point heads, which the published sizes have no use for: depth with cameras is what streams give.
LAYOUT = Layout(
    renamed=DENSE_HEAD_NAMES,
    dropped=(r"aggregator\.patch_embed\.mask_token", r"point_head\..*", r"local_point_head\..*"),
)

ANSWERS = "recon3d.models.lingbot.answer"
LICENCE = "Apache-2.0 by the README of its code; its page on the hub states none"

WEIGHTS = {
    "lingbot-map": Weights(
        "recon3d.models.lingbot.network:LingBot",
        LINGBOT_MAP,
        f"{ANSWERS}:answer",
        f"{ANSWERS}:cost",
        LAYOUT,
        repository="robbyant/lingbot-map",
        file="lingbot-map-long.pt",
        licence=LICENCE,
        commercial=True,
        about="cameras and depth of a video, frame by frame in nearly bounded memory",
        sources=("lingbot-map.pt",),
    ),
}
