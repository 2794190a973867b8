"""DA3's monocular networks: depth and sky of single views; the metric one's depth becomes metres by the focal length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor, nn

from recon3d.models.da3.backbone import Backbone
from recon3d.models.da3.config import Da3Config
from recon3d.models.da3.dense_heads import VIEWS_AT_A_TIME, MonoHead

SKY = 0.3  # measure of sky from which a pixel is sky
LEAST_PIXELS = 10  # more than these of sky and of the rest, or neither is trusted
FAR = 0.99  # quantile of the depth of all else that sky takes
CANONICAL_FOCAL = 300.0  # pixels, of the camera that the metric network was trained to see


@dataclass(frozen=True)
class MonoPrediction:
    """Shapes [B, S, H, W]."""

    depth: Tensor  # z; sky lies as far as the farthest of the rest
    depth_raw: Tensor  # as the head gave it
    sky: Tensor  # from 0; SKY and more is sky


class Da3Mono(nn.Module):
    """The monocular network, or the metric one; views do not see each other."""

    low_precision = ("backbone.",)

    def __init__(self, config: Da3Config) -> None:
        super().__init__()
        self.config = config
        self.backbone = Backbone(config)
        self.head = MonoHead(config.head_dim, config.transformer.patch_size, config.head)

    def forward(self, images: Tensor, chunk: int = VIEWS_AT_A_TIME) -> MonoPrediction:
        """Normalised images [B, S, 3, H, W], sides multiples of the patch; `chunk`: views at a time."""
        parts = []
        for views in images.flatten(0, 1).split(chunk):
            encoded = self.backbone(views[None])
            parts.append(self.head(encoded.patches, encoded.grid, chunk))
        raw, sky = (torch.cat(column, 1).unflatten(1, images.shape[:2])[0] for column in zip(*parts, strict=True))
        return MonoPrediction(far_sky(raw, sky), raw, sky)


def far_sky(depth: Tensor, sky: Tensor) -> Tensor:
    """Depth with all sky of the call at one distance, where there is enough of it and of the rest."""
    is_sky = sky >= SKY
    count = int(is_sky.sum())
    if count <= LEAST_PIXELS or is_sky.numel() - count <= LEAST_PIXELS:
        return depth
    return torch.where(is_sky, quantile(depth[~is_sky], FAR), depth)


def quantile(values: Annotated[Tensor, "P"], share: float) -> Annotated[Tensor, ""]:
    """By linear interpolation, of any number of values (torch.quantile takes 16 million)."""
    at = share * (len(values) - 1)
    low, high = (values.kthvalue(min(k, len(values) - 1) + 1).values for k in (int(at), int(at) + 1))
    return torch.lerp(low, high, at - int(at))


def metres(depth: Annotated[Tensor, "... H W"], K: Annotated[Tensor, "... 3 3"]) -> Annotated[Tensor, "... H W"]:
    """Depth of the metric network in metres, for cameras with K in pixels of its images."""
    focal = (K[..., 0, 0] + K[..., 1, 1]) / 2
    return depth * (focal / CANONICAL_FOCAL)[..., None, None]
