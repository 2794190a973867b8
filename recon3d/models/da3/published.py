"""How the tensors of DA3's published files are named. Loads no torch."""

from __future__ import annotations

from recon3d.models.official import Layout
from recon3d.models.vggt.published import DENSE_HEAD_NAMES

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
