"""Sizes of the published iLRM networks. The two variants differ in what their tokens hold, and the code of each was followed
where the paper describes one design."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from recon3d.errors import InputError

RayPart = Literal["origin", "direction", "moment"]


@dataclass(frozen=True)
class IlrmConfig:
    """One network. A scene pixel is `viewpoint_factor` image pixels wide; a token is a patch of either grid."""

    variant: Literal["re10k", "wide"]
    viewpoint_factor: int
    patch_size: int = 8
    dim: int = 768
    head_dim: int = 64
    blocks: int = 24  # read and self in turn

    @property
    def wide(self) -> bool:
        return self.variant == "wide"

    @property
    def rays(self) -> tuple[RayPart, ...]:
        """What a token holds of each pixel's ray, in this order."""
        return ("origin", "direction", "moment") if self.wide else ("moment", "direction")

    @property
    def uplift(self) -> int:
        """Queries of a scene token in a read block."""
        return 2 if self.wide else 1

    @property
    def offsets(self) -> bool:
        """Whether Gaussians may leave the middle of their scene pixel."""
        return self.wide

    @property
    def multiple(self) -> int:
        """What height and width of pictures are divisible by."""
        return self.patch_size * self.viewpoint_factor


CONFIGS = {
    "ilrm-re10k-2v": IlrmConfig("re10k", viewpoint_factor=1),
    "ilrm-dl3dv-16v": IlrmConfig("wide", viewpoint_factor=2),
    "ilrm-dl3dv-32v": IlrmConfig("wide", viewpoint_factor=2),
}


def config_of(content: Any, where: str) -> IlrmConfig | None:
    """The sizes that a checkpoint's tensors tell by their shapes: all but the viewpoint factor, which is that of the published
    variant. None where `content` holds no such tensors. Raises InputError at `where` for sizes that fit no network."""
    from recon3d.models.official import unwrapped

    shapes = {str(k).removeprefix("encoder.scaler."): tuple(v.shape) for k, v in unwrapped(content).items()}
    for scene, channels, published in (
        ("input_tokenizer.weight", 6, IlrmConfig("re10k", viewpoint_factor=1)),
        ("viewpoint_tokenizer.1.weight", 9, IlrmConfig("wide", viewpoint_factor=2)),
    ):
        if scene in shapes:
            return sizes_from(shapes, scene, channels, published, where)
    return None


def sizes_from(
    shapes: Mapping[str, tuple[int, ...]], scene: str, channels: int, published: IlrmConfig, where: str
) -> IlrmConfig:
    dim, patch_channels = shapes[scene]
    patch = round((patch_channels / channels) ** 0.5)
    heads = shapes.get("processor.blocks.0.read_cross.q_norm.weight", (published.head_dim,))[0]
    blocks = {name.split(".")[2] for name in shapes if name.startswith("processor.blocks.")}
    if channels * patch**2 != patch_channels or dim % heads:
        what = f"{scene} is {[dim, patch_channels]} with heads of {heads}, which are sizes of no iLRM"
        raise InputError(where, what, "Use a published file")
    return IlrmConfig(published.variant, published.viewpoint_factor, patch, dim, heads, len(blocks))
