"""Cameras that nothing moved follow those around them that were moved."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import torch
from torch import Tensor

from recon3d.core.cameras import Cameras, fit_cameras
from recon3d.core.similarity import Similarity

NEIGHBOURS = 4  # whose similarity a camera follows


def following(before: Cameras, after: Cameras, moved: Annotated[Tensor, "N"]) -> Cameras:
    """`after`, where each camera that was not `moved` (bool) stands to its nearest moved neighbours as it did `before`: by
    the similarity that takes these from before to after. As before where fewer than two were moved.
    """
    rows = moved.nonzero()[:, 0]
    poses = after.camera_from_world.clone()
    if len(rows) < 2:
        return replace(after, camera_from_world=torch.where(moved[:, None, None], poses, before.camera_from_world))
    centers = before.centers_in_world
    for i in (~moved).nonzero()[:, 0].tolist():
        nearest = (centers[rows] - centers[i]).norm(dim=1).argsort(stable=True)[:NEIGHBOURS]
        carried = between(before[rows[nearest]], after[rows[nearest]])
        poses[i] = before[[i]].transformed(carried).camera_from_world[0]
    return replace(after, camera_from_world=poses)


def between(before: Cameras, after: Cameras) -> Similarity:
    """The similarity from cameras to the same cameras elsewhere; a motion without scale where they stand at one place."""
    try:
        return fit_cameras(before, after)
    except ValueError:
        turn = after.camera_from_world[0, :3, :3].T @ before.camera_from_world[0, :3, :3]
        mean_before, mean_after = before.centers_in_world.mean(0), after.centers_in_world.mean(0)
        return Similarity.of(rotation=turn, translation=mean_after - turn @ mean_before)
