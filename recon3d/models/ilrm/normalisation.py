"""Cameras as each checkpoint was trained to see them, and the similarity that undoes it."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from recon3d.core.similarity import Similarity
from recon3d.models.ilrm.config import IlrmConfig


def normalised_from_world(
    world_from_camera: Annotated[Tensor, "V 4 4"], config: IlrmConfig
) -> Similarity:
    """Of the input views of one scene: their mean camera becomes the origin, their largest coordinate about 1.

    The largest coordinate is taken after the move ("wide") or before it, in the coordinates that were given ("re10k"): that
    result depends on where the origin is, so see `from_first_camera`. Where no centre leaves the origin the scale is 1.
    Source: the loaders of the released code, as facts. Computed in float32, as there.
    """
    cameras = world_from_camera.float()
    reference = reference_camera(cameras)
    centers = cameras[:, :3, 3]
    measured = (torch.linalg.inv(reference) @ cameras)[:, :3, 3] if config.wide else centers
    largest = measured.abs().max()
    scale = 1 / largest.double() if largest > 0 else torch.ones((), dtype=torch.float64)
    rotation = reference[:3, :3].double().T
    return Similarity(scale, rotation, -scale * (rotation @ reference[:3, 3].double()))


def reference_camera(world_from_camera: Annotated[Tensor, "V 4 4"]) -> Annotated[Tensor, "4 4"]:
    """At the mean centre, looking along the mean direction, its y axis as near to the mean one as that allows."""
    mean = world_from_camera.mean(0)
    z = torch.nn.functional.normalize(mean[:3, 2], dim=0)
    y = torch.nn.functional.normalize(mean[:3, 1] - (mean[:3, 1] @ z) * z, dim=0)
    reference = torch.eye(4, dtype=world_from_camera.dtype, device=world_from_camera.device)
    reference[:3] = torch.stack((torch.linalg.cross(y, z), y, z, mean[:3, 3]), 1)
    return reference


def normalised(
    world_from_camera: Annotated[Tensor, "V 4 4"], similarity: Similarity
) -> Annotated[Tensor, "V 4 4"]:
    """Cameras in the normalised world: turned and moved, their distances scaled. float32."""
    cameras = world_from_camera.double()
    moved = cameras.clone()
    moved[:, :3, :3] = similarity.rotation @ cameras[:, :3, :3]
    moved[:, :3, 3] = similarity.apply(cameras[:, :3, 3])
    return moved.float()


def from_first_camera(world_from_camera: Annotated[Tensor, "V 4 4"]) -> Similarity:
    """The move that makes the first camera the origin, as the clips of RealEstate10K have it: "re10k" was trained on them."""
    rotation = world_from_camera[0, :3, :3].double().T
    return Similarity.of(1.0, rotation, -(rotation @ world_from_camera[0, :3, 3].double()))
