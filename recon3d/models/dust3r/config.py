"""Sizes of DUSt3R and MASt3R, and how they are read from the settings that stand in published files."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from recon3d.errors import InputError
from recon3d.models.config import configured

CLASSES = ("AsymmetricCroCo3DStereo", "AsymmetricMASt3R")  # published names of the two networks
# How a network was trained and how its pictures were stored: the numbers that it gives do not depend on these.
TRAINING = ("freeze", "landscape_only", "mask_ratio", "patch_embed_cls")
PATCH_EMBEDDINGS = ("PatchEmbedDust3R", "ManyAR_PatchEmbed")  # the second one also takes portraits stored as landscape
MOST_LAYERS = 1000  # the published have 24; a file must not make us build without end
REMEDY = "Use a published file, or one written with the same keys"


@dataclass(frozen=True)
class Mode:
    """How the channels of a head become a value that lies between `low` and `high`."""

    kind: Literal["exp", "linear", "square", "sigmoid"]
    low: float = -math.inf
    high: float = math.inf


@dataclass(frozen=True)
class DptSizes:
    """The dense head: channels of its fused maps, of its last layer and of its four levels."""

    feature_dim: int = 256
    last_dim: int = 128
    layer_dims: tuple[int, ...] = (96, 192, 384, 768)


@dataclass(frozen=True)
class Dust3rConfig:
    """The whole network, under the published names and defaults."""

    pos_embed: str = "cosine"  # "RoPE100": rotary, with this base
    img_size: tuple[int, ...] = (224, 224)  # height, width; any other size runs too
    patch_size: int = 16
    enc_embed_dim: int = 768
    enc_depth: int = 12
    enc_num_heads: int = 12
    dec_embed_dim: int = 512
    dec_depth: int = 8
    dec_num_heads: int = 16
    mlp_ratio: float = 4.0
    norm_im2_in_dec: bool = True
    head_type: Literal["linear", "dpt", "catmlp+dpt"] = "linear"
    output_mode: str = "pts3d"  # "pts3d+desc24": descriptors of so many channels as well
    depth_mode: Mode = Mode("exp")
    conf_mode: Mode = Mode("exp", 1)
    desc_mode: Literal["norm"] = "norm"
    desc_conf_mode: Mode | None = None  # None: as conf_mode
    two_confs: bool = False  # descriptors have a confidence of their own
    dpt: DptSizes = DptSizes()
    hidden_dim_factor: float = 4.0  # of the layers that make descriptors

    @property
    def rope_base(self) -> float:
        return float(self.pos_embed.removeprefix("RoPE"))

    @property
    def descriptor_width(self) -> int:
        """Channels of a descriptor; 0: there are none."""
        return int(self.output_mode.partition("+desc")[2] or 0)

    @property
    def hooks(self) -> tuple[int, ...]:
        """What the heads read: 0 is the encoder's output, k that of the decoder's block k, the last one after its norm."""
        last = self.dec_depth
        return (last,) if self.head_type == "linear" else (0, 2 * last // 4, 3 * last // 4, last)

    @property
    def hook_widths(self) -> tuple[int, ...]:
        return tuple(self.dec_embed_dim if hook else self.enc_embed_dim for hook in self.hooks)


def config_from(settings: Mapping[str, Any], where: str) -> Dust3rConfig:
    """The sizes in the arguments of a published class: of a model string, or of the hub's config.json.

    `model` (the class, or "dust3r" and "mast3r"), `dpt` and `hidden_dim_factor` may stand there as well. Raises InputError
    at `where` for unknown keys and for what no published network has.
    """
    values = {key: value for key, value in settings.items() if key not in ("model", *TRAINING)}
    for key in [key for key in values if key.endswith("_mode") and key not in ("output_mode", "desc_mode")]:
        values[key] = None if values[key] is None else mode_from(values[key], f"{where}: {key}")
    if isinstance(values.get("img_size"), int):
        values["img_size"] = (values["img_size"],) * 2
    for key in ("depth_mode", "conf_mode"):
        if key in values and values[key] is None:
            raise InputError(where, f"{key} is None, and the network would give no such thing", REMEDY)
    embedding = settings.get("patch_embed_cls", PATCH_EMBEDDINGS[0])
    if embedding not in PATCH_EMBEDDINGS:
        raise InputError(where, f"patch_embed_cls is {embedding!r}", f"It may be {' or '.join(PATCH_EMBEDDINGS)}")
    config = configured(Dust3rConfig, values, where)
    check_config(config, settings.get("model"), where)
    return config


def mode_from(value: Any, where: str) -> Mode:
    """("exp", low, high), infinities as numbers or as the words "inf" and "-inf" that JSON needs."""
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise InputError(where, f"{value!r} is no mode", "It is a kind and two bounds: ('exp', 1, inf)")
    words = {"inf": math.inf, "-inf": -math.inf}
    low, high = (words.get(bound, bound) if isinstance(bound, str) else bound for bound in value[1:])
    return configured(Mode, {"kind": value[0], "low": low, "high": high}, where)


def check_config(config: Dust3rConfig, model: Any, where: str) -> None:
    """Raise InputError where the parts do not go together, or are none that the published networks have."""
    sizes = (config.patch_size, config.enc_embed_dim, config.enc_num_heads, config.dec_embed_dim, config.dec_num_heads)
    dense = (config.dpt.feature_dim, config.dpt.last_dim, *config.dpt.layer_dims)
    heads = {"linear": CLASSES, "dpt": CLASSES, "catmlp+dpt": CLASSES[1:]}[config.head_type]
    name = {"dust3r": CLASSES[0], "mast3r": CLASSES[1]}.get(str(model), model)
    bounds = (config.depth_mode.low, config.depth_mode.high)
    wrong = {
        f"model is {model!r}": model is not None and name not in CLASSES,
        f"{model} has no head {config.head_type!r}": model is not None and name not in heads,
        f"pos_embed is {config.pos_embed!r}": not re.fullmatch(r"RoPE[1-9]\d{0,8}(\.\d+)?", config.pos_embed),
        "a size is not positive": min(*sizes, *dense, config.enc_depth, config.dec_depth) < 1,
        f"it has more than {MOST_LAYERS} layers": max(config.enc_depth, config.dec_depth) > MOST_LAYERS,
        "a hidden layer has no width": not (0 < config.mlp_ratio < 1e3 and 0 < config.hidden_dim_factor < 1e3),
        "the dense head has not four levels": len(config.dpt.layer_dims) != 4,
        f"a dense head on patches of {config.patch_size}": config.head_type != "linear" and config.patch_size != 16,
        f"output_mode is {config.output_mode!r}": not re.fullmatch(
            r"pts3d\+desc[1-9]\d{0,3}" if config.head_type == "catmlp+dpt" else "pts3d", config.output_mode
        ),
        f"depth_mode is {config.depth_mode}": config.depth_mode.kind == "sigmoid" or bounds != (-math.inf, math.inf),
        f"img_size is {config.img_size}": len(config.img_size) != 2
        or any(side < 1 or side % max(config.patch_size, 1) for side in config.img_size),
    }
    for what in [key for key in ("conf_mode", "desc_conf_mode") if getattr(config, key) is not None]:
        mode = getattr(config, what)
        unbounded = mode.kind == "sigmoid" and not math.isfinite(mode.high - mode.low)
        wrong[f"{what} is {mode}"] = mode.kind not in ("exp", "sigmoid") or not mode.low < mode.high or unbounded
    for part in ("enc", "dec"):
        width, count = getattr(config, f"{part}_embed_dim"), getattr(config, f"{part}_num_heads")
        wrong[f"{count} heads cannot share {part}_embed_dim {width}"] = width % (4 * max(count, 1)) != 0
    found = [what for what, is_wrong in wrong.items() if is_wrong]
    if found:
        raise InputError(where, f"this is no network that can be built: {found[0]}", REMEDY)


_LARGE = {
    "pos_embed": "RoPE100", "enc_embed_dim": 1024, "enc_depth": 24, "enc_num_heads": 16, "dec_embed_dim": 768,
    "dec_depth": 12, "dec_num_heads": 12,
}  # fmt: skip
DUST3R_224_LINEAR = Dust3rConfig(**_LARGE)
DUST3R_512_LINEAR = Dust3rConfig(**_LARGE, img_size=(512, 512))
DUST3R_512_DPT = Dust3rConfig(**_LARGE, img_size=(512, 512), head_type="dpt")
MAST3R_512 = Dust3rConfig(
    **_LARGE, img_size=(512, 512), head_type="catmlp+dpt", output_mode="pts3d+desc24", two_confs=True,
    desc_conf_mode=Mode("exp", 0),
)  # fmt: skip
