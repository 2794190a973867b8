"""How surfaces lie, from depth: normals at some pixels, and the axes of flat Gaussians along them."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from recon3d.core.geometry import Geometry
from recon3d.reconstruction.depth_fusion import Pixels, depth_at

RADIUS = 2  # steps to each side of a pixel from which a plane is fitted
SAME = 0.06  # of the depth for one or two steps, more for more: neighbours farther off are of another surface
FEWEST = 6  # neighbours of the same surface, for a plane to be believed
SLANTED = 0.02  # cosine to the viewing ray below which a surface is not seen at all


def normals_at(geometry: Geometry, i: int, pixels: Pixels, step: int) -> tuple[Tensor, Tensor]:
    """Unit normals [P,3] in the camera's frame, towards the camera, and unit directions [P,3] to the camera, float64.

    A plane is fitted to the inverse depth of the pixels up to RADIUS times `step` away, by least squares: inverse depth is
    linear in the pixel on a plane (n · X = 1 and X = z · ray, so 1/z = n · ray). Where no plane is found, the normal is the
    direction to the camera.
    """
    assert geometry.depth is not None
    height, width = geometry.cameras.size(i)
    depth, here = geometry.depth[i], 1 / depth_at(geometry, i, pixels)
    row, column = pixels // width, pixels % width
    moments = torch.zeros(len(pixels), 3, 3, dtype=torch.float64)
    sums = torch.zeros(len(pixels), 3, dtype=torch.float64)
    for dy in range(-RADIUS, RADIUS + 1):
        for dx in range(-RADIUS, RADIUS + 1):
            y, x = row + dy * step, column + dx * step
            z = depth[y.clamp(0, height - 1), x.clamp(0, width - 1)].double()
            inside = (y >= 0) & (y < height) & (x >= 0) & (x < width) & (z > 0)
            inverse = torch.where(inside, 1 / z, 0)
            same = (inverse / here).log().abs() < SAME * max(1, (abs(dy) + abs(dx)) / 2)
            at = torch.tensor([dx, dy, 1], dtype=torch.float64)
            moments += torch.where(same, 1.0, 0.0)[:, None, None] * torch.outer(at, at)
            sums += torch.where(same, inverse, 0)[:, None] * at
    count = moments[:, 2, 2]
    slopes = torch.linalg.solve(moments + 1e-9 * torch.eye(3, dtype=torch.float64), sums[..., None])[..., 0]
    K = geometry.cameras.K[i]
    ray = geometry.cameras.rays_of(i, pixels)
    # 1/z at a ray r is slope · (r - ray) + value, with slopes by the ray's x and y.
    a, b = slopes[:, 0] / step * K[0, 0], slopes[:, 1] / step * K[1, 1]
    normal = -torch.nn.functional.normalize(torch.stack((a, b, slopes[:, 2] - a * ray[:, 0] - b * ray[:, 1]), 1), dim=1)
    towards = -torch.nn.functional.normalize(ray, dim=1)
    found = (count >= FEWEST) & normal.isfinite().all(1) & ((normal * towards).sum(1) > SLANTED)
    return torch.where(found[:, None], normal, towards), towards


def axes_along(normals: Annotated[Tensor, "P 3"], towards: Annotated[Tensor, "P 3"]) -> Annotated[Tensor, "P 3 3"]:
    """Rotations whose third column is the normal, and whose first lies across the direction in which it is tilted away."""
    across = torch.linalg.cross(normals, towards)
    # Seen straight on, any direction across will do: that of the axis to which the normal is least parallel.
    any_across = torch.linalg.cross(normals, torch.eye(3, dtype=normals.dtype)[normals.abs().argmin(1)])
    across = torch.where(across.norm(dim=1, keepdim=True) > 1e-6, across, any_across)
    across = torch.nn.functional.normalize(across, dim=1)
    return torch.stack((across, torch.linalg.cross(normals, across), normals), 2)
