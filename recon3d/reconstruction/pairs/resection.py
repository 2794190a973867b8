"""Resection: the camera that sees known points of the world at known pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
import torch
from torch import Tensor

FEWEST = 4  # points
REACH = 5.0  # pixels: a point that is projected farther from its pixel is an outlier


@dataclass(frozen=True)
class Resection:
    world_from_camera: Annotated[Tensor, "4 4"]  # float64
    inliers: int


def resection(
    points_in_world: Annotated[Tensor, "H W 3"], use: Annotated[Tensor, "H W"], K: Annotated[Tensor, "3 3"], rounds: int
) -> Resection | None:
    """The pose of the picture whose pixels, where `use` (bool) is true, see these points; None where none is found.

    `rounds` of RANSAC, each solved by SQPnP (Terzakis & Lourakis 2020), refitted to the inliers. OpenCV draws the same
    samples every time.
    """
    rows, columns = use.nonzero(as_tuple=True)
    if len(rows) < FEWEST:
        return None
    pixels = torch.stack([columns, rows], -1).float() + 0.5
    found, turn, shift, inliers = cv2.solvePnPRansac(
        points_in_world[rows, columns].float().numpy(), pixels.numpy(), K.numpy(), None,
        iterationsCount=rounds, reprojectionError=REACH, flags=cv2.SOLVEPNP_SQPNP,
    )  # fmt: skip
    if not found:
        return None
    rotation = cv2.Rodrigues(turn)[0].T
    world_from_camera = np.eye(4)
    world_from_camera[:3, :3], world_from_camera[:3, 3] = rotation, -(rotation @ shift)[:, 0]
    return Resection(torch.from_numpy(world_from_camera), len(inliers))
