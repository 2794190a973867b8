"""Published files of Depth Anything 3, and how their tensors are named. Loads no torch."""

from __future__ import annotations

from recon3d.models.da3.config import CONFIGS
from recon3d.models.official import Layout
from recon3d.models.vggt.published import DENSE_HEAD_NAMES
from recon3d.models.weights import Weights

LAYOUT = Layout(
    renamed=(
        (r"backbone\.pretrained\.(cls_token|pos_embed|patch_embed)", r"backbone.embed.\1"),
        (r"backbone\.pretrained\.", "backbone."),
        *((rf"\.scratch\.refinenet{i + 1}_aux\.", f".ray_fusion.steps.{i}.") for i in range(4)),
        (r"\.scratch\.output_conv1_aux\.3\.", ".ray_conv1."),
        *((rf"\.scratch\.output_conv2_aux\.3\.{a}\.", f".ray_conv2.{b}.") for a, b in ((0, 0), (2, 1), (5, 3))),
        *DENSE_HEAD_NAMES,
        (r"\.scratch\.sky_output_conv2\.", ".sky_output_conv2."),
    ),
    dropped=(r"(da3\.)?head\.scratch\.output_conv[12]_aux\.[012]\..*",),  # the three coarser levels of rays
)


def row(key: str, name: str, licence: str, about: str) -> Weights:
    """Of the networks that give cameras and depth. The 1.1 files are the same networks, trained again after a mistake."""
    return Weights(
        "recon3d.models.da3.network:Da3",
        CONFIGS[key],
        "recon3d.models.da3.answer:answer",
        "recon3d.models.da3.answer:cost",
        LAYOUT,
        repository=f"depth-anything/{name}",
        file="model.safetensors",
        licence=licence,
        commercial=licence == "Apache-2.0",
        about=about,
        takes_cameras=True,
        features=True,
        read_config="recon3d.models.da3.config:config_of",
    )


METRIC = Weights(
    "recon3d.models.da3.mono:Da3Mono", CONFIGS["da3-metric"], None, None, LAYOUT,
    repository="depth-anything/DA3METRIC-LARGE", file="model.safetensors", licence="Apache-2.0", commercial=True,
    about="depth in metres of single photos, for --metric network; 0.3 G parameters",
    read_config="recon3d.models.da3.config:config_of",
)  # fmt: skip

WEIGHTS = {
    "da3-small": row("da3-small", "DA3-SMALL", "Apache-2.0", "cameras and depth; 34 M parameters, for a CPU"),
    "da3-base": row("da3-base", "DA3-BASE", "Apache-2.0", "cameras and depth; 135 M parameters, for a CPU"),
    "da3-large": row("da3-large", "DA3-LARGE-1.1", "CC-BY-NC-4.0", "cameras and depth; 411 M parameters"),
    "da3-giant": row("da3-giant", "DA3-GIANT-1.1", "CC-BY-NC-4.0", "cameras, depth and Gaussians; 1.36 G parameters"),
    "da3-metric": METRIC,
}
