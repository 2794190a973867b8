"""The frame that a scene is put into: upright where its cameras are estimated, about a near origin where given ones are far."""

from __future__ import annotations

import torch

from recon3d.core.cameras import centers_of
from recon3d.core.geometry import Geometry
from recon3d.core.origin import local_origin
from recon3d.core.similarity import Similarity
from recon3d.core.views import Views

AGREE = 0.2  # length of the mean of unit vectors below which they point nowhere in common


def upright(geometry: Geometry) -> Similarity:
    """The similarity that turns the mean of the cameras' up directions to -y and the median point to the origin.

    Where the ups cancel (photos straight down, turned all ways) up is against the mean viewing direction. Scale is kept.
    """
    rotations = geometry.cameras.camera_from_world[:, :3, :3].double()
    up, forward = -rotations[:, 1].mean(0), rotations[:, 2].mean(0)
    if up.norm() < AGREE:
        up = -forward
    center = geometry.points.median(0).values if len(geometry.points) else geometry.cameras.centers_in_world.mean(0)
    if up.norm() < AGREE:
        return Similarity.of(translation=-center.double())
    rotation = least_turn(up / up.norm(), torch.tensor([0.0, -1.0, 0.0], dtype=torch.float64))
    return Similarity.of(rotation=rotation, translation=-rotation @ center.double())


def origin_of(views: Views) -> tuple[float, float, float]:
    """Where the scene of given cameras is made, in their world; (0, 0, 0) where they are near zero or none is given."""
    if views.known_camera_from_world is None:
        return 0.0, 0.0, 0.0
    poses = views.known_camera_from_world[views.pose_known]
    centers = centers_of(poses)
    x, y, z = local_origin(centers.numpy()).tolist()
    return x, y, z


def least_turn(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The rotation [3,3] by the least angle that takes one unit vector [3] to another (Rodrigues)."""
    axis, cosine = torch.linalg.cross(source, target), source @ target
    if cosine < -1 + 1e-12:  # opposite: half a turn about anything at right angles
        other = torch.eye(3, dtype=source.dtype)[source.abs().argmin()]
        axis = torch.nn.functional.normalize(torch.linalg.cross(source, other), dim=0)
        return 2 * torch.outer(axis, axis) - torch.eye(3, dtype=source.dtype)
    zero = torch.zeros((), dtype=source.dtype)
    x, y, z = axis
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero]).reshape(3, 3)
    return torch.eye(3, dtype=source.dtype) + skew + skew @ skew / (1 + cosine)
