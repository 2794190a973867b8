"""What the published loaders leave out of an evaluation, with the reason for each scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from recon3d.core.cameras import Cameras
from recon3d.data.frames import Choice
from recon3d.data.posed_scene import PosedScene, baseline


@dataclass(frozen=True)
class Rules:
    stored: tuple[int, int] | None = None  # (height, width) that pictures must have
    widest: float | None = None  # degrees, the largest field of view
    unit_baseline: bool = False  # scenes are measured by the distance of their context cameras (make_baseline_1)
    least_baseline: float = 1e-3  # below which they cannot be, in the units of the data set


# Read in the repositories of these names; the stored size is that of the chunks that each was published with.
RULES: dict[str, Rules] = {
    "pixelsplat": Rules((360, 640), 100.0, unit_baseline=True),  # MVSplat and NoPoSplat on RealEstate10K and ACID
    "depthsplat": Rules((360, 640), 100.0),
    "depthsplat-dl3dv": Rules((270, 480), 100.0),
    "ilrm-dl3dv": Rules((540, 960), 100.0),
    "none": Rules(),
}


def why_not(scene: PosedScene, choice: Choice, rules: Rules) -> str | None:
    """Why these frames of a scene are not evaluated, or None. What only decoding tells is told by `posed_scene.views`."""
    beyond = max(choice.frames)
    if beyond >= len(scene):
        return f"frame {beyond} is asked for, and it has {len(scene)}"
    if wrong := wrong_camera(scene.cameras, choice.frames):
        return wrong
    widest = float(torch.nan_to_num(fields_of_view(scene.cameras)).max())
    if rules.widest is not None and widest > rules.widest:
        return f"its field of view is {widest:.1f} degrees, over {rules.widest:g}"
    sizes = {scene.cameras.size(i) for i in choice.frames}
    if rules.stored is not None and sizes != {rules.stored}:
        other = next(size for size in sizes if size != rules.stored)
        return f"its pictures have {other[1]}x{other[0]} pixels, not {rules.stored[1]}x{rules.stored[0]}"
    if rules.unit_baseline and not baseline(scene, choice.context) >= rules.least_baseline:
        return f"its context cameras are {baseline(scene, choice.context):.2g} apart, under {rules.least_baseline:g}"
    return None


def wrong_camera(cameras: Cameras, frames: Sequence[int]) -> str | None:
    """What is wrong with the first of these cameras that is none, or None."""
    for i in frames:
        try:
            cameras[[i]].check("camera")
        except ValueError as error:
            return f"frame {i}: {str(error).removeprefix('camera: ').replace(' of view 0', '')}"
    return None


def fields_of_view(cameras: Cameras) -> Annotated[Tensor, "N 2"]:
    """Degrees across and down each picture, through its middle, as pixelSplat's `get_fov` takes them."""
    height, width = cameras.sizes.double().unbind(1)
    half, zero = torch.full_like(width, 0.5), torch.zeros_like(width)
    ends = [(zero, half), (zero + 1, half), (half, zero), (half, zero + 1)]
    K = cameras.K
    rays = [
        torch.stack([(x * width - K[:, 0, 2]) / K[:, 0, 0], (y * height - K[:, 1, 2]) / K[:, 1, 1], zero + 1], 1)
        for x, y in ends
    ]
    left, right, top, bottom = (torch.nn.functional.normalize(ray, dim=1) for ray in rays)
    cosines = torch.stack([(left * right).sum(1), (top * bottom).sum(1)], 1)
    return torch.rad2deg(cosines.clamp(-1, 1).acos())
