"""How far a trajectory is from the true one after one similarity: ATE and RPE (Sturm et al. 2012)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from recon3d.core.cameras import centers_of
from recon3d.core.rotations import rotation_angle
from recon3d.core.similarity import fit_points


@dataclass(frozen=True)
class TrajectoryFigures:
    """Root mean squares over views and over steps from one view to the next; NaN where there is no such step."""

    ate: float  # units of truth
    rpe_translation: float  # units of truth
    rpe_rotation: float  # degrees
    views: int  # with an estimated camera
    steps: int  # both of whose views have one


def trajectory_figures(
    estimated: Annotated[Tensor, "N 4 4"],
    reference: Annotated[Tensor, "N 4 4"],
    registered: Annotated[Tensor, "N"] | None = None,
) -> TrajectoryFigures:
    """ATE and RPE of camera_from_world in the order of the trajectory, after the Umeyama similarity (s, R, t) of centres.

    ATE = sqrt(mean |s R c_i + t - c_i*|^2) over centres c_i and true ones c_i*. RPE compares steps in the frame of their
    first camera, T_i = camera i from camera i+1: sqrt(mean |s t(T_i) - t(T_i*)|^2), and the root mean square of the angle
    of R(T_i*)^T R(T_i). Definitions and numbers are evo's (Grupp 2017) with scale and delta of one frame.

    `registered` (bool; None: all) tells which estimated cameras exist; the others may hold anything and do not count.
    Raises ValueError for fewer than three of them, or where all stand on a line.
    """
    there = torch.ones(len(reference), dtype=torch.bool) if registered is None else registered.bool()
    rotations, centers = _rotations_and_centers(estimated)
    true_rotations, true_centers = _rotations_and_centers(reference)
    similarity = fit_points(centers[there], true_centers[there])
    distances = (similarity.apply(centers[there]) - true_centers[there]).norm(dim=1)

    between, steps = _steps(rotations, centers)
    true_between, true_steps = _steps(true_rotations, true_centers)
    both = there[:-1] & there[1:]
    # Seen from its first camera a step knows neither the rotation nor the translation of the world, only its scale.
    moved = (similarity.scale * steps - true_steps)[both].norm(dim=1)
    turned = rotation_angle(true_between.transpose(1, 2) @ between)[both]
    return TrajectoryFigures(_rms(distances), _rms(moved), _rms(turned), int(there.sum()), int(both.sum()))


def _rotations_and_centers(
    camera_from_world: Annotated[Tensor, "N 4 4"],
) -> tuple[Annotated[Tensor, "N 3 3"], Annotated[Tensor, "N 3"]]:
    return camera_from_world[:, :3, :3].double(), centers_of(camera_from_world.double())


def _steps(
    rotations: Annotated[Tensor, "N 3 3"], centers: Annotated[Tensor, "N 3"]
) -> tuple[Annotated[Tensor, "M 3 3"], Annotated[Tensor, "M 3"]]:
    """Rotation and translation of camera i from camera i + 1."""
    between = rotations[:-1] @ rotations[1:].transpose(1, 2)
    return between, (rotations[:-1] @ (centers[1:] - centers[:-1])[:, :, None])[:, :, 0]


def _rms(errors: Annotated[Tensor, "E"]) -> float:
    return float(errors.square().mean().sqrt())
