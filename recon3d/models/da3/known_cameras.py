"""Known cameras as DA3 takes them, and its answer brought to their scale or its frame, as the published code does.

The product's own alignment, for any network and any number of cameras, stands elsewhere (reconstruction/known_cameras.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from recon3d.core.similarity import Similarity, fit_points
from recon3d.models.pose_encoding import inverse_of

LEAST_DISTANCE = 0.1  # that divides translations
VIEWS_FOR_SAMPLES = 10  # from which on a fit looks out for wrong cameras
SAMPLES, SAMPLE = 200, 3  # fits, views of each
CLOSE = 3.0  # times the median error: such centres take part in the last fit


@dataclass(frozen=True)
class Aligned:
    """The answer after the alignment."""

    predicted_from_given: Similarity
    camera_from_world: Annotated[Tensor, "N 3 4"]
    depth: Annotated[Tensor, "N H W"]


def centers(camera_from_world: Annotated[Tensor, "... 3 4"]) -> Annotated[Tensor, "... 3"]:
    return inverse_of(camera_from_world)[..., 3]


def normalise_poses(camera_from_world: Annotated[Tensor, "... N 4 4"]) -> Annotated[Tensor, "... N 4 4"]:
    """The first camera becomes the identity, and the median distance of all cameras from it becomes 1.

    The median is the lower one of two, so that of two cameras it is that of the first to itself: 0, taken as 0.1.
    """
    relative = (camera_from_world @ square(inverse_of(camera_from_world[..., :1, :3, :])))[..., :3, :]
    distances = centers(relative).norm(dim=-1)
    scale = distances.median(-1).values.clamp_min(LEAST_DISTANCE)
    return square(torch.cat((relative[..., :3], relative[..., 3:] / scale[..., None, None, None]), -1))


def normalised_from_given(camera_from_world: Annotated[Tensor, "N 4 4"]) -> Similarity:
    """What `normalise_poses` does to the world."""
    first = camera_from_world[0].double()
    moved = camera_from_world.double() @ square(inverse_of(first[:3]))
    scale = centers(moved[:, :3]).norm(dim=-1).median().clamp_min(LEAST_DISTANCE)
    return Similarity(1 / scale, first[:3, :3], first[:3, 3] / scale)


def square(matrices: Annotated[Tensor, "... 3 4"]) -> Annotated[Tensor, "... 4 4"]:
    """With the last row (0, 0, 0, 1)."""
    last = torch.zeros_like(matrices[..., :1, :])
    last[..., 3] = 1
    return torch.cat((matrices, last), -2)


def align_poses(
    predicted: Annotated[Tensor, "N 3 4"], given: Annotated[Tensor, "N 4 4"], depth: Annotated[Tensor, "N H W"],
    keep_scale: bool = True,
) -> Aligned:  # fmt: skip
    """The network's answer and the given cameras (both camera_from_world) in one world, joined by the camera centres.

    `keep_scale`: the given cameras, and depth at their scale. Otherwise the given cameras moved to the network's world, and
    depth as it is. Raises ValueError for fewer than three cameras, centres on a line, or values that are not finite.
    """
    source, target = centers(given[:, :3].cpu().double()), centers(predicted.cpu().double())
    if not (torch.isfinite(source).all() and torch.isfinite(target).all()):
        raise ValueError("da3: camera centres are not finite, and nothing can be aligned by them")
    similarity = fit_robustly(source, target) if len(source) >= VIEWS_FOR_SAMPLES else fit_points(source, target)
    if keep_scale:
        return Aligned(similarity, given[:, :3], depth / float(similarity.scale))
    world_from_camera = inverse_of(given[:, :3].cpu().double())
    rotation = similarity.rotation @ world_from_camera[..., :3]
    moved = inverse_of(torch.cat((rotation, similarity.apply(source)[..., None]), -1))
    return Aligned(similarity, moved.to(given), depth)


def fit_robustly(source: Annotated[Tensor, "N 3"], target: Annotated[Tensor, "N 3"]) -> Similarity:
    """The similarity whose errors have the least median among fits to samples, fitted again to the centres it brings close.

    Least median of squares (Rousseeuw 1984): right while fewer than half of the cameras are wrong. The published code counts
    centres within a threshold instead, which is the same where the others fit exactly.
    """
    fits = list(samples(source, target)) or [fit_points(source, target)]
    errors = torch.stack([(similarity.apply(source) - target).norm(dim=1) for similarity in fits])
    medians = errors.median(1).values
    best = int(medians.argmin())
    close = errors[best] <= CLOSE * medians[best]
    return fit_points(source[close], target[close])


def samples(source: Annotated[Tensor, "N 3"], target: Annotated[Tensor, "N 3"]) -> Iterator[Similarity]:
    """Fits to a few views at a time, always the same ones; views on a line give none."""
    generator = torch.Generator().manual_seed(42)
    for _ in range(SAMPLES):
        chosen = torch.randperm(len(source), generator=generator)[:SAMPLE]
        try:
            yield fit_points(source[chosen], target[chosen])
        except ValueError:
            continue
