"""Tiny networks with random weights, under their published names: checkpoints for tests, made here and needing no files."""

from __future__ import annotations

import torch
from torch import Tensor

from recon3d.models.da3.config import (
    CameraDecoderConfig,
    Da3Config,
    GaussianHeadConfig,
    HeadConfig,
)
from recon3d.models.sizes import TransformerConfig, TrunkConfig
from recon3d.models.vggt.config import AggregatorConfig, CameraHeadConfig, DptConfig, VggtConfig, VitConfig
from recon3d.models.vggt.network import Vggt

TINY_VGGT = VggtConfig(
    TransformerConfig(img_size=56, embed_dim=16, depth=4, num_heads=2),
    AggregatorConfig(patch_embed=VitConfig(depth=1, num_heads=2)),
    camera_head=CameraHeadConfig(TrunkConfig(trunk_depth=1, num_heads=2)),
    depth_head=DptConfig(8, (8, 8, 8, 8), (0, 1, 2, 3), output_dim=2, activation="exp"),
)

# Our names -> the published ones, as far as they differ; the other direction of the layout, written down independently.
PUBLISHED = (
    ("depth_head.pyramid.to_features.0.", "depth_head.scratch.layer1_rn."),
    ("depth_head.pyramid.to_features.1.", "depth_head.scratch.layer2_rn."),
    ("depth_head.pyramid.to_features.2.", "depth_head.scratch.layer3_rn."),
    ("depth_head.pyramid.to_features.3.", "depth_head.scratch.layer4_rn."),
    ("depth_head.pyramid.", "depth_head."),
    ("depth_head.fusion.steps.0.", "depth_head.scratch.refinenet1."),
    ("depth_head.fusion.steps.1.", "depth_head.scratch.refinenet2."),
    ("depth_head.fusion.steps.2.", "depth_head.scratch.refinenet3."),
    ("depth_head.fusion.steps.3.", "depth_head.scratch.refinenet4."),
    ("depth_head.output_conv", "depth_head.scratch.output_conv"),
)


def tiny_vggt() -> tuple[Vggt, dict[str, Tensor]]:
    """A network, and its tensors as a published file names them (with the one that inference never uses)."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Vggt(TINY_VGGT).eval()
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
    tensors = {}
    for name, tensor in network.state_dict().items():
        for ours, theirs in PUBLISHED:
            if name.startswith(ours):
                name = theirs + name.removeprefix(ours)
                break
        tensors[name] = tensor.clone()
    tensors["aggregator.patch_embed.mask_token"] = torch.zeros(1, 16)
    return network, tensors


# With the camera encoder and the Gaussian head of the giant.
TINY_DA3 = Da3Config(
    HeadConfig("dual_dpt", 8, (8, 8, 16, 16)), TransformerConfig(img_size=56, embed_dim=16, depth=4, num_heads=2, mlp_ratio=2.0),
    alt_start=1, qknorm_start=1, rope_start=1, layers=(0, 1, 2, 3), cam_dec=CameraDecoderConfig(),
    cam_enc=TrunkConfig(1, 2, 2.0), gs_head=GaussianHeadConfig(),
)  # fmt: skip
