"""Tiny networks of two pictures, and files of them as their authors publish theirs."""

import argparse
import re

import torch
from torch import Tensor

from recon3d.models.dust3r.config import Dust3rConfig, config_from
from recon3d.models.dust3r.network import Dust3r

LINEAR = (
    "AsymmetricCroCo3DStereo(pos_embed='RoPE100', img_size=(64, 64), head_type='linear', output_mode='pts3d', "
    "depth_mode=('exp', -inf, inf), conf_mode=('exp', 1, inf), enc_embed_dim=24, enc_depth=2, enc_num_heads=2, "
    "dec_embed_dim=16, dec_depth=4, dec_num_heads=2)"
)
DENSE = LINEAR.replace("'linear'", "'dpt'").replace("(pos", "(patch_embed_cls='ManyAR_PatchEmbed', pos")
MATCHING = (
    "AsymmetricMASt3R(enc_depth=2, dec_depth=4, enc_embed_dim=24, enc_num_heads=2, dec_embed_dim=16, dec_num_heads=2,"
    "pos_embed='RoPE100',patch_embed_cls='PatchEmbedDust3R', img_size=(64, 64), head_type='catmlp+dpt', "
    "output_mode='pts3d+desc6', depth_mode=('exp', -inf, inf), conf_mode=('exp', 1, inf), two_confs=True, "
    "desc_conf_mode=('exp', 0, inf), landscape_only=False)"
)
BACK = (
    (r"\.pyramid\.projects\.(\d)", r".act_postprocess.\1.0"),
    (r"\.pyramid\.resize_layers\.(\d)", r".act_postprocess.\1.1"),
    *((rf"\.pyramid\.to_features\.{i}", f".scratch.layer{i + 1}_rn") for i in range(4)),
    *((rf"\.fusion\.steps\.{i}", f".scratch.refinenet{i + 1}") for i in range(4)),
)


def tiny(config: Dust3rConfig, seed: int = 0) -> Dust3r:
    torch.manual_seed(seed)
    return Dust3r(config).eval().requires_grad_(False)


def tiny_config(text: str) -> Dust3rConfig:
    from recon3d.models.dust3r.model_string import settings_of

    return config_from({**settings_of(text, "test"), "dpt": DPT, "hidden_dim_factor": 0.5}, "test")


DPT = {"feature_dim": 8, "last_dim": 4, "layer_dims": [4, 6, 8, 10]}


def published(network: Dust3r) -> dict[str, Tensor]:
    """Its tensors under the names of the authors' files, with those that only training used."""
    tensors = {"mask_token": torch.zeros(1, 1, network.config.dec_embed_dim)}
    for name, tensor in network.state_dict().items():
        for pattern, replacement in BACK:
            name = re.sub(pattern, replacement, name)
        tensors[name] = tensor
        for level in range(4):
            second = name.replace(f"scratch.layer{level + 1}_rn", f"scratch.layer_rn.{level}")
            tensors[second] = tensor
        if "refinenet4.resConfUnit2" in name:
            tensors[name.replace("resConfUnit2", "resConfUnit1")] = torch.zeros_like(tensor)
    return tensors


def naver_file(network: Dust3r, text: str) -> dict:
    """What torch.save is given."""
    return {"args": argparse.Namespace(model=text, lr=1e-4), "model": published(network), "epoch": 3}
