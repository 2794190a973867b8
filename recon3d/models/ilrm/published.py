"""iLRM's published files, and how their tensors are named. Loads no torch."""

from __future__ import annotations

from recon3d.models.official import Layout

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
