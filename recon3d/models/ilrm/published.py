"""iLRM's published files, and how their tensors are named. Loads no torch."""

from __future__ import annotations

from recon3d.models.ilrm.config import CONFIGS
from recon3d.models.official import Layout
from recon3d.models.weights import Weights

TOKENISERS = (
    (r"^input_(tokenizer|layernorm)\.", r"scene_tokens.\1."),
    (r"^support_(tokenizer|layernorm)\.", r"image_tokens.\1."),
    (r"^viewpoint_tokenizer\.", "scene_tokens."),
    (r"^image_tokenizer\.", "image_tokens."),
    (r"_tokens\.(tokenizer|1)\.", "_tokens.linear."),
    (r"_tokens\.(layernorm|2)\.", "_tokens.norm."),
)
LAYOUT = Layout(
    renamed=(
        (r"^encoder\.scaler\.", ""),
        *TOKENISERS,
        (r"^processor\.", ""),
        (r"^(viewpoint_)?token_decoder\.0\.", "decoder.norm."),
        (r"^(viewpoint_)?token_decoder\.1\.", "decoder.linear."),
    )
)

NO_LICENCE = "none stated, so all rights are reserved"


def published(key: str, file: str, about: str) -> Weights:
    return Weights(
        "recon3d.models.ilrm.network:Ilrm", CONFIGS[key], None, None, LAYOUT, repository="Gynjn/iLRM", file=file,
        licence=NO_LICENCE, commercial=False, about=about, code_licence=NO_LICENCE,
        read_config="recon3d.models.ilrm.config:config_of",
    )  # fmt: skip


WEIGHTS = {
    "ilrm-re10k-2v": published("ilrm-re10k-2v", "re10k_2view.ckpt", "Gaussians of 2 views of rooms, 256x256"),
    "ilrm-dl3dv-16v": published(
        "ilrm-dl3dv-16v", "ilrm_undistort_dl3dv_16view.pt", "Gaussians of 16 views of a place, 540x960"
    ),
    "ilrm-dl3dv-32v": published("ilrm-dl3dv-32v", "ilrm_undistort_dl3dv.pt", "Gaussians of 32 views of a place, 540x960"),
}
