"""What recon3d-small is trained by: cameras and depth as VGGT has them, and where its patches truly lie in another view.

All losses are means over scenes, so that as many scenes on two machines as on one give the same step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor

from recon3d.data.batch import Batch
from recon3d.models.small.network import CELL, REACH, Small, compared_with
from recon3d.training.losses import CONFIDENCE_REWARD, Truth, camera_loss, normalised, truth_encodings

SCALES = 4  # of the gradient term: every pixel, every second, fourth, eighth
NEAR = 0.1  # of the longest side: a place farther off is left to the cross-entropy of the matches
AGREE = 0.03  # relative difference of depths of one surface in two views


@dataclass(frozen=True)
class Losses:
    """Unweighted means over scenes."""

    camera: Tensor
    depth: Tensor
    match: Tensor
    coarse: Tensor  # shares of the longest side
    around: Tensor
    place: Tensor  # shares of the longest side
    visible: Tensor


def losses(said: Small, batch: Batch, patch: int) -> Losses:
    valid = batch.depth > 0
    truth = normalised(truth_of(batch), valid)
    places, seen, told = true_places(batch, patch)
    in_window = (places - said.coarse.detach()) / CELL + REACH + 0.5
    reached = seen & ((places - said.coarse).abs() <= CELL * REACH).all(-1)
    return Losses(
        camera_loss([said.encodings], truth_encodings(truth, batch.K), valid).total,
        depth_loss(said.depth, said.confidence, truth.depth, valid),
        mean_over(match_loss(said.matches, places / patch, batch.size[1] // patch), seen).mean(),
        mean_over(distance(said.coarse, places, batch.size), seen).mean(),
        mean_over(match_loss(said.around, in_window, 2 * REACH + 1), reached).mean(),
        mean_over(distance(said.places, places, batch.size), seen).mean(),
        visible_loss(said.visible, seen, told),
    )


def distance(
    found: Annotated[Tensor, "B V T 2"], places: Annotated[Tensor, "B V T 2"], size: tuple[int, int]
) -> Annotated[Tensor, "B V T"]:
    """In shares of the longest side; what is far off says no more than that."""
    return ((found - places).abs().sum(-1) / max(size)).clamp(max=NEAR)


def match_loss(
    logits: Annotated[Tensor, "B V T T"], places: Annotated[Tensor, "B V T 2"], columns: int
) -> Annotated[Tensor, "B V T"]:
    """Cross-entropy with a place (x, y in patches, or cells) shared among the four whose middles are around it."""
    rows = logits.shape[-1] // columns
    log_share = logits.log_softmax(-1)
    low = (places - 0.5).floor()
    along = places - 0.5 - low
    total = torch.zeros_like(places[..., 0])
    for dx in (0, 1):
        for dy in (0, 1):
            x, y = ((low[..., 0] + dx).clamp(0, columns - 1), (low[..., 1] + dy).clamp(0, rows - 1))
            weight = (along[..., 0] if dx else 1 - along[..., 0]) * (along[..., 1] if dy else 1 - along[..., 1])
            total = total - weight * log_share.gather(-1, (y * columns + x).long()[..., None])[..., 0]
    return total


def depth_loss(
    depth: Annotated[Tensor, "B V H W"], confidence: Annotated[Tensor, "B V H W"], truth: Annotated[Tensor, "B V H W"],
    valid: Annotated[Tensor, "B V H W"],
) -> Tensor:  # fmt: skip
    """VGGT's (training.losses.dense_loss, with its gradient term over four scales), all scenes at once, of each its mean."""
    error = torch.where(valid, depth - truth, 0)
    plain = error.abs()
    weighted = plain * confidence - CONFIDENCE_REWARD * confidence.log()
    total = mean_over(weighted, valid) + mean_over(plain, valid)
    for scale in range(SCALES):
        few = (..., slice(None, None, 2**scale), slice(None, None, 2**scale))
        e, v = error[few], valid[few]
        down = ((e[..., 1:, :] - e[..., :-1, :]).abs() * (v[..., 1:, :] & v[..., :-1, :])).flatten(1).sum(1)
        across = ((e[..., 1:] - e[..., :-1]).abs() * (v[..., 1:] & v[..., :-1])).flatten(1).sum(1)
        total = total + (down + across) / v.flatten(1).sum(1).clamp_min(1) / SCALES
    return total.mean()


def visible_loss(
    logits: Annotated[Tensor, "B V T"], seen: Annotated[Tensor, "B V T"], told: Annotated[Tensor, "B V T"]
) -> Tensor:
    """Cross-entropy, where it is known whether a place is seen."""
    if bool(told.all()):
        return F.binary_cross_entropy_with_logits(logits, seen.float())
    each = F.binary_cross_entropy_with_logits(logits, seen.float(), reduction="none")
    return mean_over(each, told).mean()


def mean_over(values: Tensor, where: Tensor) -> Annotated[Tensor, "B"]:
    """Of each scene, over what counts; 0 where nothing does."""
    return torch.where(where, values, 0).flatten(1).sum(1) / where.flatten(1).sum(1).clamp_min(1)


def truth_of(batch: Batch) -> Truth:
    return Truth(batch.camera_from_world[..., :3, :], batch.points_in_camera(), batch.points_in_world(), batch.depth)


def true_places(
    batch: Batch, patch: int
) -> tuple[Annotated[Tensor, "B V T 2"], Annotated[Tensor, "B V T"], Annotated[Tensor, "B V T"]]:
    """Where (x, y in pixels) the middle of each patch lies in the view that its own is compared with, inside of the picture;
    whether it is seen there; and whether that is told: not by data sets where the depth is unknown, here or there."""
    views, (height, width) = batch.depth.shape[1], batch.size
    middle = slice(patch // 2, None, patch)
    points = batch.points_in_world()[:, :, middle, middle].flatten(2, 3)  # B V T 3
    known = batch.depth[:, :, middle, middle].flatten(2) > 0
    other = compared_with(views)
    cameras, K, depth = batch.camera_from_world[:, other], batch.K[:, other], batch.depth[:, other]
    there = torch.einsum("bvij,bvtj->bvti", cameras[..., :3, :3], points) + cameras[..., None, :3, 3]
    pixels = torch.einsum("bvij,bvtj->bvti", K, there)
    pixels = pixels[..., :2] / pixels[..., 2:].clamp_min(1e-6)
    most = torch.tensor([width, height], device=pixels.device)
    inside = (there[..., 2] > 0) & (pixels >= 0).all(-1) & (pixels < most).all(-1)
    pixels = pixels.nan_to_num().clamp(torch.zeros_like(most), most)
    x, y = (pixels[..., i].clamp(0, n - 1).long() for i, n in ((0, width), (1, height)))
    at = depth.flatten(2).gather(2, y * width + x)
    drawn = torch.tensor([source == "rays" for source in batch.depth_from], device=pixels.device)[:, None, None]
    told = drawn | (known & (~inside | (at > 0)))
    return pixels, inside & known & ((at - there[..., 2]).abs() < AGREE * there[..., 2]), told
