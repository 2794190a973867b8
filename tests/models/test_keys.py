"""Every published tensor of every published size accounted for: names and shapes, on the meta device."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from torch import nn

from recon3d.models.da3.config import CONFIGS as DA3
from recon3d.models.da3.mono import Da3Mono
from recon3d.models.da3.nested import Da3Nested
from recon3d.models.da3.network import Da3
from recon3d.models.da3.published import LAYOUT as DA3_LAYOUT
from recon3d.models.dust3r.config import DUST3R_224_LINEAR, DUST3R_512_DPT, DUST3R_512_LINEAR, MAST3R_512
from recon3d.models.dust3r.network import Dust3r
from recon3d.models.dust3r.published import LAYOUT as DUST3R_LAYOUT
from recon3d.models.ilrm.config import CONFIGS as ILRM
from recon3d.models.ilrm.network import Ilrm
from recon3d.models.ilrm.published import LAYOUT as ILRM_LAYOUT
from recon3d.models.lingbot.config import LINGBOT_MAP, LINGBOT_MAP_STAGE1
from recon3d.models.lingbot.network import LingBot
from recon3d.models.lingbot.published import LAYOUT as LINGBOT_LAYOUT
from recon3d.models.meta import on_meta, shapes_of
from recon3d.models.official import Layout, account
from recon3d.models.vggt.config import VGGT_1B
from recon3d.models.vggt.network import Vggt
from recon3d.models.vggt.published import LAYOUT as VGGT_LAYOUT
from tests.shared_folder import shared

# family/file -> (the network, its layout, how many published tensors are dropped)
PUBLISHED: dict[str, tuple[Callable[[], nn.Module], Layout, int]] = {
    "vggt/vggt-1b": (lambda: Vggt(VGGT_1B), VGGT_LAYOUT, 1),
    "streamvggt/streamvggt": (lambda: Vggt(VGGT_1B), VGGT_LAYOUT, 1),
    "dust3r/DUSt3R_ViTLarge_BaseDecoder_224_linear": (lambda: Dust3r(DUST3R_224_LINEAR), DUST3R_LAYOUT, 1),
    "dust3r/DUSt3R_ViTLarge_BaseDecoder_512_linear": (lambda: Dust3r(DUST3R_512_LINEAR), DUST3R_LAYOUT, 1),
    "dust3r/DUSt3R_ViTLarge_BaseDecoder_512_dpt": (lambda: Dust3r(DUST3R_512_DPT), DUST3R_LAYOUT, 9),
    "dust3r/MASt3R_ViTLarge_BaseDecoder_512_catmlpdpt_metric": (lambda: Dust3r(MAST3R_512), DUST3R_LAYOUT, 9),
    "lingbot/lingbot-map": (lambda: LingBot(LINGBOT_MAP), LINGBOT_LAYOUT, 1),
    "lingbot/lingbot-map-stage1": (lambda: Vggt(LINGBOT_MAP_STAGE1), LINGBOT_LAYOUT, 1),
    "ilrm/re10k_2view": (lambda: Ilrm(ILRM["ilrm-re10k-2v"]), ILRM_LAYOUT, 0),
    "ilrm/ilrm_undistort_dl3dv_16view": (lambda: Ilrm(ILRM["ilrm-dl3dv-16v"]), ILRM_LAYOUT, 0),
    "ilrm/ilrm_undistort_dl3dv": (lambda: Ilrm(ILRM["ilrm-dl3dv-32v"]), ILRM_LAYOUT, 0),
    "da3/da3-small": (lambda: Da3(DA3["da3-small"]), DA3_LAYOUT, 48),
    "da3/da3-base": (lambda: Da3(DA3["da3-base"]), DA3_LAYOUT, 48),
    "da3/da3-large": (lambda: Da3(DA3["da3-large"]), DA3_LAYOUT, 48),
    "da3/da3-giant": (lambda: Da3(DA3["da3-giant"]), DA3_LAYOUT, 48),
    "da3/da3metric-large": (lambda: Da3Mono(DA3["da3-metric"]), DA3_LAYOUT, 0),
    "da3/da3mono-large": (lambda: Da3Mono(DA3["da3-mono"]), DA3_LAYOUT, 0),
    "da3/da3nested-giant-large": (lambda: Da3Nested(DA3["da3-nested"]), DA3_LAYOUT, 48),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_tensor_is_ours_or_dropped(name: str) -> None:
    build, layout, dropped = PUBLISHED[name]
    family, file = name.split("/")
    published = {k: tuple(v) for k, v in json.loads(shared(f"parity/{family}/keys/{file}.json").read_text()).items()}
    accounting = account(published, shapes_of(on_meta(build)), layout)
    assert accounting.complete, accounting
    assert len(accounting.dropped) == dropped
    assert len(accounting.source) + len(accounting.dropped) + len(accounting.twins) == len(published)
