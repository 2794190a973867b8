"""Cameras from DA3's rays: orientation and focal length from how directions lie over the picture, centres from origins.

More accurate than the camera decoder by the authors' tables (four of five data sets), for about half of the dense head more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from recon3d.models.pose_encoding import inverse_of

SAMPLES, SAMPLE = 100, 8  # hypotheses of one view, points of a hypothesis
MOST_CONFIDENT = 0.3  # of the points, from which samples are drawn
INLIER = 0.2  # in units of half of the picture
LEAST_Z = 1e-4  # of a direction that has a place on the plane in front of the world's axes
HYPOTHESES_AT_A_TIME = 10  # bounds the memory


@dataclass(frozen=True)
class RayCameras:
    focal: Annotated[Tensor, "B S 2"]  # in units of half of the picture, x and y
    principal: Annotated[Tensor, "B S 2"]  # likewise, from the top left corner; (1, 1) is the middle
    camera_from_world: Annotated[Tensor, "B S 3 4"]
    K: Annotated[Tensor, "B S 3 3"]  # pixels


def cameras_from_rays(
    rays: Annotated[Tensor, "B S b a 6"], confidence: Annotated[Tensor, "B S b a"], size: tuple[int, int], seed: int = 0
) -> RayCameras:
    """Cameras of views whose rays (direction, origin; in the world) lie in a grid over a picture of `size` (height, width).

    `seed` decides the samples; all views take the same ones. Computed in float64 on the CPU.
    """
    scenes, views, rows, columns = confidence.shape
    places = grid_places(rows, columns)
    generator = torch.Generator().manual_seed(seed)
    count = max(SAMPLE, int(MOST_CONFIDENT * len(places)))
    ranks = torch.stack([torch.randperm(count, generator=generator)[:SAMPLE] for _ in range(SAMPLES)])
    of_views = zip(
        rays.flatten(0, 1).flatten(1, 2).cpu().double(), confidence.flatten(0, 1).flatten(1).cpu().double(), strict=True
    )
    found = [of_view(places, r, c, ranks) for r, c in of_views]
    camera_from_world, focal, principal = (
        torch.stack(column).to(rays).unflatten(0, (scenes, views)) for column in zip(*found, strict=True)
    )
    half = torch.tensor([size[1], size[0]]).to(focal) / 2
    K = torch.diag_embed(torch.cat((focal * half, torch.ones_like(focal[..., :1])), -1))
    K[..., :2, 2] = principal * half
    return RayCameras(focal, principal, camera_from_world, K)


def grid_places(rows: int, columns: int) -> Annotated[Tensor, "P 2"]:
    """Centres of the cells of a grid, x and y, each side from -1 to 1."""
    y, x = (2 * (torch.arange(n, dtype=torch.float64) + 0.5) / n - 1 for n in (rows, columns))
    return torch.stack((x.expand(rows, -1), y[:, None].expand(-1, columns)), -1).flatten(0, 1)


def of_view(
    places: Annotated[Tensor, "P 2"], rays: Annotated[Tensor, "P 6"], confidence: Annotated[Tensor, "P"],
    ranks: Annotated[Tensor, "h n"],
) -> tuple[Annotated[Tensor, "3 4"], Annotated[Tensor, "2"], Annotated[Tensor, "2"]]:  # fmt: skip
    """(camera_from_world, focal, principal) of one view."""
    directions, origins = rays.split(3, -1)
    valid = directions[:, 2].abs() > LEAST_Z
    targets = torch.where(valid[:, None], directions[:, :2] / directions[:, 2:], 0)
    weights = torch.where(valid, confidence, 0)
    world_from_plane = homography_agreed_on(places, targets, weights, ranks)
    rotation, inverse_K = rotation_and_lower_triangle(world_from_plane)
    center = weights @ origins / weights.sum()
    focal, principal = 1 / inverse_K.diagonal()[:2], 1 + inverse_K[2, :2]
    return inverse_of(torch.cat((rotation, center[:, None]), 1)), focal, principal


def homography_agreed_on(
    places: Annotated[Tensor, "P 2"], targets: Annotated[Tensor, "P 2"], weights: Annotated[Tensor, "P"],
    ranks: Annotated[Tensor, "h n"],
) -> Annotated[Tensor, "3 3"]:  # fmt: skip
    """The homography from places to targets that most weight agrees with (Fischler & Bolles 1981), fitted to all of that.

    `ranks`: the points of each hypothesis, counted from the one with the largest weight.
    """
    samples = weights.argsort(descending=True, stable=True)[ranks]
    hypotheses = homographies(places[samples], targets[samples], weights[samples])
    agreeing = torch.cat(
        [weight_agreeing(part, places, targets, weights) for part in hypotheses.split(HYPOTHESES_AT_A_TIME)]
    )
    inliers = agrees(hypotheses[agreeing.argmax()], places, targets)
    return homographies(places, targets, weights * inliers)


def homographies(
    places: Annotated[Tensor, "... P 2"], targets: Annotated[Tensor, "... P 2"], weights: Annotated[Tensor, "... P"]
) -> Annotated[Tensor, "... 3 3"]:
    """Weighted least squares on the algebraic error (Hartley & Zisserman 2004, section 4.1); the last element is 1."""
    x = torch.cat((places, torch.ones_like(places[..., :1])), -1)
    none = torch.zeros_like(x)
    rows = torch.stack(
        (
            torch.cat((-x, none, x * targets[..., :1]), -1),
            torch.cat((none, -x, x * targets[..., 1:]), -1),
        ),
        -2,
    )  # ... P 2 9
    normal = torch.einsum("...pai,...paj,...p->...ij", rows, rows, weights)
    solution = torch.linalg.eigh(normal).eigenvectors[..., 0]
    return (solution / solution[..., 8:]).unflatten(-1, (3, 3))


def agrees(
    homography: Annotated[Tensor, "... 3 3"], places: Annotated[Tensor, "P 2"], targets: Annotated[Tensor, "P 2"]
) -> Annotated[Tensor, "... P"]:
    """Whether a homography takes a place close to its target."""
    x = torch.cat((places, torch.ones_like(places[:, :1])), -1)
    moved = x @ homography.transpose(-1, -2)
    return (moved[..., :2] / moved[..., 2:] - targets).norm(dim=-1) < INLIER


def weight_agreeing(
    hypotheses: Annotated[Tensor, "h 3 3"], places: Annotated[Tensor, "P 2"], targets: Annotated[Tensor, "P 2"],
    weights: Annotated[Tensor, "P"],
) -> Annotated[Tensor, "h"]:  # fmt: skip
    return agrees(hypotheses, places, targets).double() @ weights


def rotation_and_lower_triangle(
    matrix: Annotated[Tensor, "3 3"],
) -> tuple[Annotated[Tensor, "3 3"], Annotated[Tensor, "3 3"]]:
    """The matrix (or its negative, whose determinant is positive) as rotation · L; L has a positive diagonal, its last 1.

    True inverse intrinsics are an upper triangle; the networks were trained and used with this lower one, which is the same
    for a principal point in the middle.
    """
    matrix = matrix * torch.linalg.det(matrix).sign()
    # The QR decomposition of the columns in reverse, itself reversed.
    q, r = torch.linalg.qr(matrix.flip(1))
    rotation, lower = q.flip(1), r.flip(0, 1)
    signs = lower.diagonal().sign()
    rotation, lower = rotation * signs, lower * signs[:, None]
    return rotation, lower / lower[2, 2]
