"""Published files of DUSt3R and MASt3R, and how their tensors are named. Loads no torch.

The files on the authors' server were replaced once under the same names, so no SHA-256 is the only right one.
"""

from __future__ import annotations

from recon3d.models.dust3r.config import DUST3R_224_LINEAR, DUST3R_512_DPT, MAST3R_512, Dust3rConfig
from recon3d.models.official import Layout
from recon3d.models.weights import Weights

LAYOUT = Layout(
    renamed=(
        (r"\.dpt\.act_postprocess\.(\d)\.0\.", r".dpt.pyramid.projects.\1."),
        (r"\.dpt\.act_postprocess\.(\d)\.1\.", r".dpt.pyramid.resize_layers.\1."),
        *((rf"\.scratch\.layer{i + 1}_rn\.", f".pyramid.to_features.{i}.") for i in range(4)),
        *((rf"\.scratch\.refinenet{i + 1}\.", f".fusion.steps.{i}.") for i in range(4)),
    ),
    # Left over from training before; the coarsest level has nothing to be added to.
    dropped=(r"mask_token", r"downstream_head[12]\.dpt\.scratch\.refinenet4\.resConfUnit1\..*"),
    # One convolution under two names. The hub's files keep the first name only.
    twins=tuple((rf"\.scratch\.layer_rn\.{i}\.", f".scratch.layer{i + 1}_rn.") for i in range(4)),
    # CroCo, which these networks were trained from, has one decoder: the second one began as its copy.
    copied=((r"^dec_blocks2\.", "dec_blocks."),),
)


def row(name: str, config: Dust3rConfig, about: str) -> Weights:
    return Weights(
        "recon3d.models.dust3r.network:Dust3r",
        config,
        "recon3d.reconstruction.pairs.answer:answer",
        "recon3d.models.dust3r.pairs:cost",
        LAYOUT,
        repository=f"naver/{name}",
        file="model.safetensors",
        licence="CC-BY-NC-SA-4.0",
        commercial=False,
        about=about,
        code_licence="CC-BY-NC-SA-4.0",
        sources=(f"{name}.pth",),
        with_matches="recon3d.reconstruction.pairs.answer:with_matches",
        read_config="recon3d.models.dust3r.model_string:config_of_checkpoint",
    )


WEIGHTS = {
    "dust3r-224": row("DUSt3R_ViTLarge_BaseDecoder_224_linear", DUST3R_224_LINEAR, "pairs of small pictures, aligned"),
    "dust3r-512": row("DUSt3R_ViTLarge_BaseDecoder_512_dpt", DUST3R_512_DPT, "pairs, aligned"),
    "mast3r-512": row(
        "MASt3R_ViTLarge_BaseDecoder_512_catmlpdpt_metric", MAST3R_512, "pairs with descriptors, aligned, in metres"
    ),
}
