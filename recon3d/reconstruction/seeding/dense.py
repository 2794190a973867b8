"""Dense points of the surfaces that several photos show: of stereo, and of the planes that plain parts of them lie on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from recon3d.core.geometry import Geometry
from recon3d.core.views import Views
from recon3d.reconstruction.seeding.plain_surfaces import filled
from recon3d.reconstruction.seeding.plane_sweep import AGREEMENT, Small, seen_at, swept, unprojected

STRIDE = 2  # of the pixels of a depth map one in so many, across and down, becomes a point


@dataclass(frozen=True)
class DensePoints:
    points: Annotated[Tensor, "P 3"]  # float64, world
    colors: Annotated[Tensor, "P 3"]  # float32, 0 to 1
    sizes: Annotated[Tensor, "P"]  # world units: what a matched pixel covers there


def dense_points(views: Views, geometry: Geometry, device: str = "cpu") -> DensePoints:
    """Points that two or more depth maps agree on, each surface once, without what masks exclude. May be none.

    Depth maps are made on `device`.
    """
    small, matched = swept(views, geometry, device)
    unmasked = {i: np.where(used(views, i, depth.shape), depth, 0) for i, depth in matched.items()}
    return fused(views, small, filled(unmasked, small))


def used(views: Views, i: int, size: tuple[int, int]) -> Annotated[np.ndarray, "H W"]:
    """Pixels (bool) of a picture of a view at (height, width) `size` that its mask leaves whole."""
    mask = views.mask(i)
    if mask is None:
        return np.ones(size, bool)
    return torch.nn.functional.interpolate(mask[None, None].float(), size, mode="area")[0, 0].numpy() == 1


def fused(views: Views, small: list[Small], depths: dict[int, np.ndarray]) -> DensePoints:
    """Points of all maps, picture by picture: of each only what the pictures before do not have in the same pixel."""
    points, colors, sizes = [np.zeros((0, 3))], [np.zeros((0, 3))], [np.zeros(0)]
    for i, depth in depths.items():
        wanted = depth > 0
        row, column, there, shown = seen_at(np.concatenate(points), small[i])
        known = shown & (np.abs(depth[row, column] - there) < 2 * AGREEMENT * there)
        wanted[row[known] // STRIDE * STRIDE, column[known] // STRIDE * STRIDE] = False
        wanted[np.arange(len(depth)) % STRIDE != 0] = False
        wanted[:, np.arange(depth.shape[1]) % STRIDE != 0] = False
        wanted &= used(views, i, depth.shape)
        rgb = torch.nn.functional.interpolate(views.rgb(i)[None], depth.shape, mode="bilinear", antialias=True)[0]
        points.append(unprojected(depth, small[i])[wanted])
        colors.append(rgb.permute(1, 2, 0).numpy()[wanted])
        sizes.append(STRIDE * depth[wanted] / small[i].K[0, 0])
    parts = (np.concatenate(x) for x in (points, colors, sizes))
    points, colors, sizes = (torch.from_numpy(x) for x in parts)
    return DensePoints(points, colors.float(), sizes)
