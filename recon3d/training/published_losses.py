"""What Depth Anything 3 and VGGT are trained by: their papers' losses, of each scene, and the mean over scenes.

Truth is normalised as both papers have it (losses.normalised); predictions are not. Depth, points and rays count where the
true depth is known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated

import torch
from torch import Tensor, nn

from recon3d.data.batch import Batch
from recon3d.models.da3.config import Da3Config
from recon3d.models.da3.network import Da3, Wanted
from recon3d.models.da3.network import Prediction as Da3Prediction
from recon3d.models.da3.ray_cameras import grid_places
from recon3d.models.da3.reference_view import order_of, reordered
from recon3d.models.pose_encoding import encoding_from_matrices, inverse_of
from recon3d.models.vggt.config import VggtConfig
from recon3d.models.vggt.network import Prediction as VggtPrediction
from recon3d.models.vggt.network import Vggt
from recon3d.models.vit import normalised as normalised_colors
from recon3d.training.losses import Truth, camera_loss, dense_loss, normalised, truth_encodings
from recon3d.training.small_losses import mean_over, truth_of

QUANTILE = 0.98  # of VGGT's errors: the largest are left out
RAYS = Wanted(rays=True)
VGGT_HEADS = ("camera_head", "depth_head", "point_head")


@dataclass(frozen=True)
class Da3Losses:
    """Unweighted means over scenes (Lin et al. 2025, arXiv 2511.10647; no training code is published)."""

    camera: Tensor  # L1 of pose encodings of world_from_camera
    depth: Tensor  # weighted by confidence, and its gradients
    rays: Tensor  # L1
    points: Tensor  # L1, of origin + depth · direction


@dataclass(frozen=True)
class VggtLosses:
    """Unweighted means over scenes (Wang et al. 2025, section 3.3, as released)."""

    camera: Tensor
    depth: Tensor
    points: Tensor  # 0 without a point head


def da3(config: Da3Config) -> nn.Module:
    """To be trained: under autocast only its backbone computes in low precision, as it was trained and is run."""
    network = Da3(config)
    for head in (network.head, network.cam_dec):
        keep_precision(head)
    return network


def vggt(config: VggtConfig) -> nn.Module:
    network = Vggt(config)
    for head in (network.camera_head, network.depth_head, network.point_head):
        if head is not None:
            keep_precision(head)
    return network


def keep_precision(module: nn.Module) -> None:
    """Let a part of a network ignore autocast."""
    inner = module.forward

    def forward(*arguments, **named):
        with torch.autocast("cuda", enabled=False), torch.autocast("cpu", enabled=False):
            return inner(*arguments, **named)

    module.forward = forward


def da3_losses(network: nn.Module, batch: Batch, bf16: bool) -> Da3Losses:
    with torch.autocast(batch.depth.device.type, torch.bfloat16, enabled=bf16):
        said: Da3Prediction = network(normalised_colors(batch.images), wanted=RAYS)
    said, batch = by_reference(said, batch)
    assert said.rays is not None
    valid = batch.depth > 0
    truth = normalised(truth_of(batch), valid)
    encodings = encoding_from_matrices(inverse_of(truth.camera_from_world), batch.K, batch.size)
    depth, confidence = said.depth[..., None], said.depth_confidence

    def of_depth(scene: slice) -> Tensor:
        found = dense_loss(
            depth[scene], confidence[scene], truth.depth[scene][..., None], valid[scene], "grad", 0
        )
        return found.confidence + found.gradient

    rays, points = ray_losses(said.depth, said.rays, truth, batch.K, valid)
    return Da3Losses(
        over_scenes(len(valid), lambda s: camera_loss([said.pose_encodings[s]], encodings[s], valid[s]).total),
        over_scenes(len(valid), of_depth), rays, points,
    )  # fmt: skip


def vggt_losses(network: nn.Module, batch: Batch, bf16: bool) -> VggtLosses:
    with torch.autocast(batch.depth.device.type, torch.bfloat16, enabled=bf16):
        said: VggtPrediction = network(batch.images, heads=VGGT_HEADS)
    assert said.pose_encodings is not None and said.depth is not None and said.depth_confidence is not None
    valid, passes = batch.depth > 0, said.pose_encodings.unbind(0)
    truth = normalised(truth_of(batch), valid)
    encodings = truth_encodings(truth, batch.K)
    depth, points = (said.depth, said.depth_confidence), (said.points_in_world, said.points_confidence)

    def of_maps(found: tuple[Tensor, Tensor], wanted: Tensor, gradient: str) -> Tensor:
        return over_scenes(
            len(valid), lambda s: dense_loss(found[0][s], found[1][s], wanted[s], valid[s], gradient, QUANTILE).total
        )

    has_points = points[0] is not None and points[1] is not None
    return VggtLosses(
        over_scenes(len(valid), lambda s: camera_loss([p[s] for p in passes], encodings[s], valid[s]).total),
        of_maps(depth, truth.depth[..., None], "grad"),
        of_maps(points, truth.points_in_world, "normal") if has_points else depth[0].new_zeros(()),  # type: ignore[arg-type]
    )


def over_scenes(count: int, loss: Callable[[slice], Tensor]) -> Tensor:
    """The mean of a loss of single scenes: as many scenes on two machines as on one give the same step."""
    return torch.stack([loss(slice(i, i + 1)) for i in range(count)]).mean()


def by_reference(said: Da3Prediction, batch: Batch) -> tuple[Da3Prediction, Batch]:
    """Views with that in front whose frame the network was told to be the world."""
    if said.reference is None:
        return said, batch
    order = order_of(said.reference, batch.depth.shape[1])
    found = {
        name: reordered(getattr(said, name), order) for name in ("depth", "depth_confidence", "pose_encodings", "rays")
    }
    truth = {name: reordered(getattr(batch, name), order) for name in ("images", "camera_from_world", "K", "depth")}
    return replace(said, **found), replace(batch, **truth)


def ray_losses(
    depth: Annotated[Tensor, "B S H W"], rays: Annotated[Tensor, "B S h w 6"], truth: Truth, K: Annotated[Tensor, "B S 3 3"],
    valid: Annotated[Tensor, "B S H W"],
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Mean absolute differences of rays, and of the points that they and depth say, at the rays' own grid. Depth is that of
    the pixel in which a ray lies."""
    (rows, columns), (height, width) = rays.shape[2:4], depth.shape[-2:]
    places = ((grid_places(rows, columns).to(K) + 1) / 2).unflatten(0, (rows, columns))  # shares of the sides
    pixels = torch.cat((places * places.new_tensor([width, height]), torch.ones_like(places[..., :1])), -1)
    world_from_camera = inverse_of(truth.camera_from_world)
    directions = torch.einsum("bsij,hwj->bshwi", world_from_camera[..., :3] @ torch.linalg.inv(K), pixels)
    origins = world_from_camera[..., None, None, :, 3].expand_as(directions)
    at = (..., pixels[:, :1, 1].long(), pixels[0, :, 0].long())
    known, wanted = valid[at], truth.depth[at][..., None] * directions + origins
    found = depth[at][..., None] * rays[..., :3] + rays[..., 3:]
    seen = known.flatten(1).any(1)[:, None, None, None]  # a scene without depth has no scale
    apart = (rays - torch.cat((directions, origins), -1)).abs().mean(-1)
    return mean_over(apart, seen.expand_as(apart)).mean(), mean_over((found - wanted).abs().mean(-1), known).mean()


@dataclass(frozen=True)
class Seen:
    """What figures are taken of, as recon3d-small has it."""

    encodings: Annotated[Tensor, "B V 9"]  # of camera_from_world
    depth: Annotated[Tensor, "B V H W"]


class AsSmall(nn.Module):
    """A published network that answers pictures of 0 to 1 as recon3d-small does."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Annotated[Tensor, "B V 3 H W"]) -> Seen:
        if isinstance(self.network, Da3):
            said = self.network(normalised_colors(images))
            size = (images.shape[-2], images.shape[-1])
            return Seen(encoding_from_matrices(said.camera_from_world, said.K, size), said.depth)
        said = self.network(images, heads=VGGT_HEADS[:2])
        return Seen(said.pose_encodings[-1], said.depth[..., 0])
