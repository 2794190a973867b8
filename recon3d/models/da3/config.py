"""Sizes of Depth Anything 3: the any-view networks, the monocular and metric ones, and the nested pair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from recon3d.errors import InputError
from recon3d.models.config import GROUPED, configured
from recon3d.models.sizes import DPT_CHANNELS, DPT_LAYERS, TransformerConfig, TrunkConfig

ReferenceView = Literal["first", "middle", "saddle_balanced", "saddle_sim_range"]
NEVER = -1  # where a layer index says from where on something is done


@dataclass(frozen=True)
class HeadConfig:
    """The dense head: "dual_dpt" gives depth and rays, "dpt" depth and sky."""

    type: Literal["dual_dpt", "dpt"]
    features: int
    out_channels: tuple[int, ...]
    output_dim: int = 2  # depth, and for "dual_dpt" its confidence


@dataclass(frozen=True)
class CameraDecoderConfig:
    """The camera decoder has no sizes of its own."""


@dataclass(frozen=True)
class GaussianHeadConfig:
    """Its pyramid has the sizes of the depth head. Scales are in units of a pixel's width at the Gaussian's distance."""

    output_dim: int = 38
    sh_degree: int = 2
    scale_min: float = 1e-5
    scale_max: float = 30.0


@dataclass(frozen=True)
class Da3Config:
    """One network; a part that is None is not there. `*_start`: the first block of the backbone that does it."""

    head: HeadConfig
    transformer: TransformerConfig = field(default=TransformerConfig(), metadata=GROUPED)
    ffn: Literal["mlp", "swiglu"] = "mlp"
    alt_start: int = NEVER  # odd blocks attend over all views
    qknorm_start: int = NEVER
    rope_start: int = NEVER
    cat_token: bool = True  # the head sees the last block inside of views beside the kept one
    layers: tuple[int, ...] = (11, 15, 19, 23)
    cam_dec: CameraDecoderConfig | None = None
    cam_enc: TrunkConfig | None = None
    gs_head: GaussianHeadConfig | None = None
    ref_view_strategy: ReferenceView = "saddle_balanced"
    export_layers: tuple[int, ...] = ()  # blocks whose patch features are asked for

    @property
    def head_dim(self) -> int:
        """Width of the tokens that heads see."""
        return (2 if self.cat_token else 1) * self.transformer.embed_dim

    @property
    def multiple(self) -> int:
        """Of which sides of pictures are multiples, pixels."""
        return self.transformer.patch_size


@dataclass(frozen=True)
class NestedConfig:
    """An any-view network with a metric one that gives it its scale."""

    anyview: Da3Config
    metric: Da3Config
    ref_view_strategy: ReferenceView | None = None  # in place of that of `anyview`


def any_view(start: int, layers: tuple[int, ...], head: HeadConfig, sizes: TransformerConfig, **others) -> Da3Config:
    """The published any-view networks differ in these alone."""
    return Da3Config(
        head, sizes, alt_start=start, qknorm_start=start, rope_start=start, layers=layers,
        cam_dec=CameraDecoderConfig(), cam_enc=TrunkConfig(), **others,
    )  # fmt: skip


VIT_S = TransformerConfig(embed_dim=384, depth=12, num_heads=6)
VIT_B = TransformerConfig(embed_dim=768, depth=12, num_heads=12)
VIT_L = TransformerConfig()
VIT_G = TransformerConfig(embed_dim=1536, depth=40, num_heads=24)
SMALL = any_view(4, (5, 7, 9, 11), HeadConfig("dual_dpt", 64, (48, 96, 192, 384)), VIT_S)
BASE = any_view(4, (5, 7, 9, 11), HeadConfig("dual_dpt", 128, (96, 192, 384, 768)), VIT_B)
LARGE = any_view(8, (11, 15, 19, 23), HeadConfig("dual_dpt", 256, DPT_CHANNELS), VIT_L)
GIANT = any_view(
    13, (19, 27, 33, 39), HeadConfig("dual_dpt", 256, DPT_CHANNELS), VIT_G, ffn="swiglu", gs_head=GaussianHeadConfig(),
)  # fmt: skip
MONO_LARGE = Da3Config(HeadConfig("dpt", 256, DPT_CHANNELS, output_dim=1), cat_token=False, layers=DPT_LAYERS)
METRIC_LARGE = MONO_LARGE  # the same sizes, trained for metres
CONFIGS: dict[str, Da3Config | NestedConfig] = {
    "da3-small": SMALL,
    "da3-base": BASE,
    "da3-large": LARGE,
    "da3-giant": GIANT,
    "da3-metric": METRIC_LARGE,
    "da3-mono": MONO_LARGE,
    "da3-nested": NestedConfig(GIANT, METRIC_LARGE),
}


def config_of(content: Any, where: str) -> Da3Config | NestedConfig | None:
    """The sizes in a config.json: of the hub, which names a published network (`model_name`), or all of them. None where
    `content` is none. Raises InputError at `where`."""
    if not isinstance(content, Mapping):
        return None
    name = content.get("model_name")
    if isinstance(name, str):
        key = PRESETS.get(name)
        if key is None:
            raise InputError(where, f"model_name is {name!r}", f"It may be {', '.join(PRESETS)}")
        return CONFIGS[key]
    kinds = (("head", Da3Config), ("anyview", NestedConfig))
    return next((configured(kind, content, where) for word, kind in kinds if word in content), None)


# The names of the hub's config.json -> ours.
PRESETS = {
    "da3-small": "da3-small", "da3-base": "da3-base", "da3-large": "da3-large", "da3-giant": "da3-giant",
    "da3metric-large": "da3-metric", "da3mono-large": "da3-mono", "da3nested-giant-large": "da3-nested",
}  # fmt: skip
