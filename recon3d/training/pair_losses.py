"""Losses of networks of two pictures: point maps (DUSt3R, Wang et al. 2024, section 3.2), matches (MASt3R, Leroy et al. 2024)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

SMALLEST = 1e-8  # mean distance that points are divided by
SCALES = (1e-3, 1e3)  # of a prediction; one beyond is compared at the limit
BLOCK = 8192  # matches told apart from each other; more come in several blocks

Kind = Literal["proper", "all", "dual"]


@dataclass(frozen=True)
class TwoMaps:
    """Point maps of both pictures of B pairs, in the camera of the first one, and where they are true (or to be compared)."""

    points1: Annotated[Tensor, "B H W 3"]
    points2: Annotated[Tensor, "B h w 3"]
    valid1: Annotated[Tensor, "B H W"]  # bool
    valid2: Annotated[Tensor, "B h w"]

    def known(self) -> Annotated[Tensor, "B P 3"]:
        """The points of both pictures, NaN where they are not valid."""
        points = torch.cat((self.points1.flatten(1, 2), self.points2.flatten(1, 2)), 1)
        valid = torch.cat((self.valid1.flatten(1), self.valid2.flatten(1)), 1)
        return points.masked_fill(~valid[..., None], torch.nan)

    def scaled(self, factor: Annotated[Tensor, "B"]) -> TwoMaps:
        factor = factor[:, None, None, None]
        return TwoMaps(self.points1 * factor, self.points2 * factor, self.valid1, self.valid2)

    def nearer(self, depth: Annotated[Tensor, "B"]) -> TwoMaps:
        """Moved towards the camera by `depth`."""
        shift = F.pad(depth[:, None], (2, 0))[:, None, None]
        return TwoMaps(self.points1 - shift, self.points2 - shift, self.valid1, self.valid2)


def in_first_camera(maps_in_world: TwoMaps, world_from_camera1: Annotated[Tensor, "B 4 4"]) -> TwoMaps:
    """The truth, as scenes give it."""
    camera_from_world = torch.linalg.inv(world_from_camera1)[:, None, None]
    rotation, translation = camera_from_world[..., :3, :3], camera_from_world[..., :3, 3]
    points1, points2 = (
        (rotation @ points[..., None])[..., 0] + translation
        for points in (maps_in_world.points1, maps_in_world.points2)
    )
    return TwoMaps(points1, points2, maps_in_world.valid1, maps_in_world.valid2)


def at_mean_distance_one(maps: TwoMaps) -> TwoMaps:
    """Divided by the mean distance of the valid points of both pictures from the first camera, pair by pair (equation 3)."""
    distances = maps.known().norm(dim=-1)
    count = (~distances.isnan()).sum(1)
    mean = (distances.nan_to_num(nan=0.0).sum(1) / (count + SMALLEST)).clamp_min(SMALLEST)
    return maps.scaled(1 / mean)


def distances(predicted: TwoMaps, truth: TwoMaps) -> tuple[Annotated[Tensor, "M"], Annotated[Tensor, "M"]]:
    """Between predicted and true points, at the valid pixels of the first and of the second picture."""
    first = (predicted.points1[truth.valid1] - truth.points1[truth.valid1]).norm(dim=-1)
    return first, (predicted.points2[truth.valid2] - truth.points2[truth.valid2]).norm(dim=-1)


def confidence_loss(distance: Annotated[Tensor, "M"], confidence: Annotated[Tensor, "M"], alpha: float = 0.2) -> Tensor:
    """Mean of confidence · distance - alpha · log confidence (equation 4); 0 where no pixel is valid."""
    if not len(distance):
        return distance.sum()
    return (confidence * distance - alpha * confidence.log()).mean()


def pointmap_loss(
    predicted: TwoMaps, confidences: tuple[Annotated[Tensor, "B H W"], Annotated[Tensor, "B h w"]], truth: TwoMaps,
    alpha: float = 0.2,
) -> Tensor:  # fmt: skip
    """The loss that DUSt3R was trained with. Prediction and truth are each brought to a mean distance of one."""
    first, second = distances(at_mean_distance_one(predicted), at_mean_distance_one(truth))
    of_first = confidence_loss(first, confidences[0][truth.valid1], alpha)
    return of_first + confidence_loss(second, confidences[1][truth.valid2], alpha)


def scale_and_shift_free_distance(predicted: TwoMaps, truth: TwoMaps) -> Tensor:
    """Mean distance of both pictures, summed, once the prediction has the truth's median depth and spread."""
    predicted, truth = (maps.nearer(median_depth(maps)) for maps in (at_mean_distance_one(predicted), truth))
    ratio = spread(truth) / spread(predicted).clamp(*SCALES)
    first, second = distances(predicted.scaled(ratio), truth)
    return first.mean() + second.mean()


def median_depth(maps: TwoMaps) -> Annotated[Tensor, "B"]:
    """Of the valid points of both pictures; the lower one of two in the middle."""
    return maps.known()[..., 2].nanmedian(1).values


def spread(maps: TwoMaps) -> Annotated[Tensor, "B"]:
    """Median distance of the valid points of both pictures from their median, which is taken axis by axis."""
    known = maps.known()
    return (known - known.nanmedian(1, keepdim=True).values).norm(dim=-1).nanmedian(1).values


def at_pixels(maps: Annotated[Tensor, "B H W ..."], xy: Annotated[Tensor, "B N 2"]) -> Annotated[Tensor, "B N ..."]:
    """Values at pixels (column, row)."""
    batch = torch.arange(len(maps), device=maps.device)[:, None]
    return maps[batch, xy[..., 1], xy[..., 0]]


def info_nce(
    descriptors1: Annotated[Tensor, "B N D"], descriptors2: Annotated[Tensor, "B N D"], kind: Kind = "proper",
    temperature: float = 0.05, block: int = BLOCK, smallest: float = 1e-8,
) -> Annotated[Tensor, "B N"]:  # fmt: skip
    """How badly descriptor k of one picture finds descriptor k of the other among those of all matches in its block.

    "proper": both ways, one after the other; "all": among all combinations; "dual": both ways at once (MASt3R, equation 10,
    and its released variants). No probability counts as less than `smallest`.
    """
    parts = [
        _info_nce_of_block(a, b, kind, temperature, smallest)
        for a, b in zip(descriptors1.split(block, 1), descriptors2.split(block, 1), strict=True)
    ]
    return torch.cat(parts, 1)


def _info_nce_of_block(a: Tensor, b: Tensor, kind: Kind, temperature: float, smallest: float) -> Tensor:
    scores = a @ b.transpose(1, 2) / temperature  # B N N
    own = scores.diagonal(dim1=1, dim2=2)
    in_first, in_second = own - scores.logsumexp(1), own - scores.logsumexp(2)  # logarithms of probabilities
    least = math.log(smallest)
    if kind == "all":
        return -(own - scores.flatten(1).logsumexp(1, keepdim=True)).clamp_min(least)
    if kind == "dual":
        return -(in_first + in_second).clamp_min(least)
    return -in_first.clamp_min(least) - in_second.clamp_min(least)


def confidence_weighted_matching(
    loss: Annotated[Tensor, "B N"], confidence1: Annotated[Tensor, "B N"], confidence2: Annotated[Tensor, "B N"],
    valid: Annotated[Tensor, "B N"], alpha: float = 10.0,
) -> Tensor:  # fmt: skip
    """Mean over the valid matches of confidence · loss - alpha · log confidence; a match has the mean of its ends'."""
    return confidence_loss(loss[valid], ((confidence1 + confidence2) / 2)[valid], alpha)
