"""How the tensors of LingBot-Map's published files are named. Loads no torch."""

from __future__ import annotations

from recon3d.models.lingbot.config import LingBotConfig
from recon3d.models.official import Layout
from recon3d.models.vggt.config import VggtConfig
from recon3d.models.vggt.published import DENSE_HEAD_NAMES


def layout_of(config: LingBotConfig | VggtConfig) -> Layout:
    """VGGT's names; files may hold point heads that the network is built without."""
    unused = (r"aggregator\.patch_embed\.mask_token", r"local_point_head\..*")
    return Layout(renamed=DENSE_HEAD_NAMES, dropped=unused if config.point_head else (*unused, r"point_head\..*"))
