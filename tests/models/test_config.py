"""Configurations go to JSON and come back, with grouped sizes among their owner's, as published files have them."""

from __future__ import annotations

import json

import pytest

from recon3d.errors import InputError
from recon3d.models.config import configured, names_of, values_of
from recon3d.models.da3.config import CONFIGS, Da3Config
from recon3d.models.dust3r.config import MAST3R_512
from recon3d.models.lingbot.config import LINGBOT_MAP, LingBotConfig
from recon3d.models.vggt.config import VGGT_1B, VggtConfig


@pytest.mark.parametrize("config", [VGGT_1B, LINGBOT_MAP, *CONFIGS.values(), MAST3R_512], ids=lambda c: type(c).__name__)
def test_every_published_configuration_comes_back_from_its_json(config) -> None:
    values = values_of(config)
    if config is not MAST3R_512:  # its infinities are no JSON, and its files tell their sizes in another form
        values = json.loads(json.dumps(values, allow_nan=False))
    assert configured(type(config), values, "config.json") == config


def test_grouped_sizes_stand_among_those_of_their_owner() -> None:
    """As the sizes of the golden cases do."""
    given = {"embed_dim": 32, "num_register_tokens": 2, "camera_head": {"trunk_depth": 1, "iterations": 3, "rope3d": None}}
    config = configured(LingBotConfig, given, "config.json")
    assert (config.transformer.embed_dim, config.aggregator.num_register_tokens, config.transformer.depth) == (32, 2, 24)
    assert config.camera_head is not None
    assert (config.camera_head.vggt.trunk.trunk_depth, config.camera_head.vggt.iterations) == (1, 3)
    assert {"embed_dim", "qk_norm", "rope_freq"} <= set(names_of(VggtConfig)) and "transformer" not in names_of(Da3Config)
    with pytest.raises(InputError, match="LingBotConfig has no transformer"):
        configured(LingBotConfig, {"transformer": {"embed_dim": 32}}, "config.json")
    with pytest.raises(InputError, match=r"config\.json: embed_dim"):
        configured(VggtConfig, {"embed_dim": "wide"}, "config.json")
