"""DA3's nested pair: an any-view network, brought to metres by a metric network that sees the same images."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from recon3d.errors import InputError
from recon3d.models.da3.config import NestedConfig
from recon3d.models.da3.mono import FAR, LEAST_PIXELS, SKY, Da3Mono, MonoPrediction, metres, quantile
from recon3d.models.da3.network import DEPTH_AND_CAMERAS, Da3, Prediction, Wanted

LEAST_METRES, LEAST_DEPTH = 0.01, 0.001  # of pixels that the scale is measured by
FARTHEST_SKY = 200.0  # metres


@dataclass(frozen=True)
class NestedPrediction:
    metric: Prediction  # depth and cameras in metres; Gaussians as `plain` has them
    scale: Tensor  # metres for a unit of `plain`
    plain: Prediction
    mono: MonoPrediction  # of the metric network, not in metres yet


class Da3Nested(nn.Module):
    low_precision = ("da3.backbone.", "da3_metric.backbone.")

    def __init__(self, config: NestedConfig) -> None:
        super().__init__()
        self.config = config
        strategy = config.ref_view_strategy or config.anyview.ref_view_strategy
        self.da3 = Da3(replace(config.anyview, ref_view_strategy=strategy))
        self.da3_metric = Da3Mono(config.metric)

    def forward(
        self, images: Tensor, known: tuple[Tensor, Tensor] | None = None, wanted: Wanted = DEPTH_AND_CAMERAS
    ) -> NestedPrediction:
        """As Da3.forward. Raises InputError where nearly all is sky, which leaves no scale."""
        plain = self.da3(images, known, wanted)
        mono = self.da3_metric(images, wanted.chunk)
        scale = metric_scale(plain, mono)
        return NestedPrediction(in_metres(plain, scale, mono.sky), scale, plain, mono)


def metric_scale(plain: Prediction, mono: MonoPrediction) -> Tensor:
    """Metres for a unit of `plain`, one number for the call: least squares over its more confident half that is no sky."""
    ground = mono.sky < SKY
    if int(ground.sum()) <= LEAST_PIXELS:
        raise InputError("the photos", "nearly all that they show is sky", "Give photos with more of the scene in them")
    in_metres = metres(mono.depth, plain.K)
    confident = plain.depth_confidence >= quantile(plain.depth_confidence[ground], 0.5)
    used = confident & ground & (in_metres > LEAST_METRES) & (plain.depth > LEAST_DEPTH)
    known, measured = in_metres[used].cpu().double(), plain.depth[used].cpu().double()
    return ((known * measured).sum() / measured.square().sum().clamp_min(1e-12)).to(plain.depth)


def in_metres(plain: Prediction, scale: Tensor, sky: Tensor) -> Prediction:
    """Depth and centres times `scale`; sky as far as the farthest of the rest, with the least confidence."""
    is_sky = sky >= SKY
    depth = plain.depth * scale
    distance = quantile(depth[~is_sky], FAR).clamp_max(FARTHEST_SKY)
    moved = torch.cat((plain.camera_from_world[..., :3], plain.camera_from_world[..., 3:] * scale), -1)
    return replace(
        plain, depth=torch.where(is_sky, distance, depth),
        depth_confidence=torch.where(is_sky, 1.0, plain.depth_confidence), camera_from_world=moved,
    )  # fmt: skip
