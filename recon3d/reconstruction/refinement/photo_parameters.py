"""What refinement may learn of each photo besides the Gaussians: a small motion of its camera, an affine change of colour."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import torch
from torch import Tensor

from recon3d.core.cameras import Cameras
from recon3d.core.following import between
from recon3d.core.gaussians import Gaussians
from recon3d.core.rotations import rotation_from_vector

TURN_RATE, SHIFT_RATE = 1e-4, 1e-4  # radians, and shares of the scene's extent, for each step of Adam
EXPOSURE_RATE = 5e-3  # of the entries of the colour matrix: a photo half as bright takes 100 steps of its own


class CameraMotions:
    """A turn and a shift of every camera in its own frame: camera_from_world becomes motion @ camera_from_world."""

    def __init__(self, count: int, extent: float, device: str = "cpu") -> None:
        self.extent = extent
        self.turns, self.shifts = (torch.zeros(count, 3, device=device, requires_grad=True) for _ in range(2))
        groups = [{"params": [self.turns], "lr": TURN_RATE}, {"params": [self.shifts], "lr": SHIFT_RATE}]
        self.optimizer = torch.optim.Adam(groups)

    def moved(self, camera_from_world: Annotated[Tensor, "4 4"], i: int) -> Annotated[Tensor, "4 4"]:
        """The camera of photo i as it stands now, differentiable."""
        turned = rotation_from_vector(self.turns[i]).to(camera_from_world) @ camera_from_world[:3]
        shift = (self.shifts[i] * self.extent).to(camera_from_world)
        top = torch.cat([turned[:, :3], turned[:, 3:] + shift[:, None]], 1)
        return torch.cat([top, camera_from_world[3:]])

    def step(self, slow: float) -> None:
        for group, rate in zip(self.optimizer.param_groups, (TURN_RATE, SHIFT_RATE), strict=True):
            group["lr"] = rate * slow
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def applied(self, cameras: Cameras) -> Cameras:
        with torch.no_grad():
            poses = [self.moved(pose.to(self.turns.device), i) for i, pose in enumerate(cameras.camera_from_world)]
        return replace(cameras, camera_from_world=torch.stack(poses).to(cameras.camera_from_world))


def pinned(
    gaussians: Gaussians, moved: Cameras, before: Cameras, movable: Annotated[Tensor, "N"]
) -> tuple[Gaussians, Cameras]:
    """The refined scene in the frame of the cameras before: together they may not drift away from those that stood still.

    Cameras where not `movable` (bool) stay exactly as they were.
    """
    seen = movable.nonzero()[:, 0]
    if len(seen) < 2:
        return gaussians, before
    back = between(moved[seen], before[seen])
    poses = before.camera_from_world.clone()
    poses[seen] = moved.transformed(back).camera_from_world[seen]
    return gaussians.transformed(back), replace(before, camera_from_world=poses)


class Exposures:
    """An affine change of colour for every photo, the identity at first; it is not part of the scene."""

    def __init__(self, count: int, device: str = "cpu") -> None:
        self.matrices = torch.eye(3, 4, device=device).repeat(count, 1, 1).requires_grad_()
        self.optimizer = torch.optim.Adam([self.matrices], lr=EXPOSURE_RATE)

    def applied(self, rgb: Annotated[Tensor, "3 H W"], i: int) -> Annotated[Tensor, "3 H W"]:
        """The rendering as photo i would show it."""
        matrix = self.matrices[i]
        return torch.einsum("ij,jhw->ihw", matrix[:, :3], rgb) + matrix[:, 3, None, None]

    def step(self, seen: Annotated[Tensor, "k"]) -> None:
        """One step; the median of the seen photos is put back to the identity, or scene and photos would trade colours.

        Not the mean: one dark photo would make all others, and the scene, too bright.
        """
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            unchanged = torch.eye(3, 4, device=self.matrices.device)
            self.matrices[seen] += unchanged - self.matrices[seen].median(0).values
