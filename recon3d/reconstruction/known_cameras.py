"""Known cameras for networks that have no input for them: the prediction is moved to them, never they to it.

A similarity is fitted to whole cameras; then given cameras stand exactly where they were given, and depth is solved again
against them (`depth_of_known`). What a network with an input for cameras is told stands in `models/da3/known_cameras.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import torch
from torch import Tensor

from recon3d.core.cameras import Cameras
from recon3d.core.geometry import Geometry
from recon3d.core.similarity import Similarity, mean_rotation

COINCIDE = 1e-6  # of the depth of the scene: centres closer than this are one
ROUNDS = 20
LEAST_ANGLE = 0.5  # degrees: errors below this weigh alike
MOST_PAIRS = 2000


@dataclass(frozen=True)
class CamerasFit:
    """The similarity from the predicted world to the given one, and what is left between their cameras."""

    given_from_predicted: Similarity
    scale_known: bool  # False: one camera, or centres at one place; the scale is then 1
    rotation_degrees: Annotated[Tensor, "N"]  # between the predicted, moved cameras and the given ones
    centre_distances: Annotated[Tensor, "N"]  # in the given unit


def fit_to_known(predicted: Cameras, given: Annotated[Tensor, "N 4 4"], depth: float) -> CamerasFit:
    """To one or more cameras; `depth` of the scene in the predicted unit.

    The rotation is the L1 mean of the cameras' (Weiszfeld's iteration; Hartley et al. 2013, section 5.4), the scale the
    weighted median of the ratios of distances between centres, the translation the median of what is left: right while
    fewer than half of the cameras are wrong. Two cameras suffice; one gives rotation and translation only.
    """
    target = replace(predicted, camera_from_world=given.double())
    between = given[:, :3, :3].double().transpose(1, 2) @ predicted.camera_from_world[:, :3, :3].double()
    rotation = mean_rotation(between)
    for _ in range(ROUNDS):
        rotation = mean_rotation(between, 1 / angles(between, rotation).clamp_min(LEAST_ANGLE))
    source, centers = predicted.centers_in_world.double() @ rotation.T, target.centers_in_world
    scale = scale_between(source, centers, depth)
    translation = (centers - (scale or 1.0) * source).quantile(0.5, dim=0)
    similarity = Similarity.of(scale or 1.0, rotation, translation)
    off = (similarity.apply(predicted.centers_in_world.double()) - centers).norm(dim=1)
    return CamerasFit(similarity, scale is not None, angles(between, rotation), off)


def angles(rotations: Annotated[Tensor, "N 3 3"], other: Annotated[Tensor, "3 3"]) -> Annotated[Tensor, "N"]:
    """Degrees between each and the other."""
    chord = (rotations - other).square().sum((1, 2)).sqrt()  # 2 sqrt(2) sin(angle / 2)
    return torch.rad2deg(2 * torch.asin((chord / 8**0.5).clamp(max=1)))


def scale_between(source: Annotated[Tensor, "N 3"], target: Annotated[Tensor, "N 3"], depth: float) -> float | None:
    """Of two sets of centres; None where either stands at one place. Long distances weigh more."""
    first, second = torch.triu_indices(len(source), len(source), 1)
    if len(first) > MOST_PAIRS:
        some = torch.linspace(0, len(first) - 1, MOST_PAIRS).long()
        first, second = first[some], second[some]
    of_source, of_target = ((x[first] - x[second]).norm(dim=1) for x in (source, target))
    apart = (of_source > COINCIDE * depth) & (of_target > 0)
    if not apart.any():
        return None
    ratios, weights = (of_target / of_source)[apart], of_target[apart]
    order = ratios.argsort()
    passed = weights[order].cumsum(0)
    return float(ratios[order][int((passed < passed[-1] / 2).sum())])


def moved_to_known(
    geometry: Geometry, known: Annotated[Tensor, "N 4 4"], is_known: Annotated[Tensor, "N"]
) -> tuple[Geometry, CamerasFit]:
    """The geometry in the world of the known cameras, which stand in it to the bit; depth scaled alike.

    `known`: camera_from_world, NaN where `is_known` is false.
    """
    rows = is_known.nonzero()[:, 0]
    assert geometry.depth is not None
    shown = torch.cat([d[d > 0].flatten() for d in geometry.depth])
    fit = fit_to_known(geometry.cameras[rows], known[rows], float(shown.median()) if len(shown) else 1.0)
    moved = geometry.transformed(fit.given_from_predicted)
    poses = torch.where(is_known[:, None, None], known.double(), moved.cameras.camera_from_world)
    unit = geometry.scale if not fit.scale_known else "arbitrary"
    source = geometry.scale_source if not fit.scale_known else ""
    placed = replace(moved, cameras=replace(moved.cameras, camera_from_world=poses), scale=unit, scale_source=source)
    return placed, fit
