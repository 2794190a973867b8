"""Rays of pixels as tokens hold them, and maps cut into patches and put together again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor


def directions_in_camera(
    K: Annotated[Tensor, "... 3 3"], grid: tuple[int, int], step: int = 1, offsets: Tensor | None = None
) -> Annotated[Tensor, "... h w 3"]:
    """(x, y, 1) through the middles of the pixels of a grid (height, width), each `step` pixels of K wide.

    `offsets` [..., h, w, 2] move the points, in pixels of the grid. K / step with pixels of width 1 says the same.
    """
    rows, columns = (torch.arange(n, device=K.device, dtype=K.dtype) + 0.5 for n in grid)
    xy = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1)
    xy = step * (xy if offsets is None else xy + offsets)
    focal, principal = K[..., [0, 1], [0, 1]], K[..., :2, 2]
    return F.pad((xy - principal[..., None, None, :]) / focal[..., None, None, :], (0, 1), value=1.0)


def turned(rotation: Annotated[Tensor, "... 3 3"], vectors: Annotated[Tensor, "... h w 3"]) -> Tensor:
    """Vectors of every pixel, turned with their view."""
    return (rotation[..., None, None, :, :] @ vectors[..., None])[..., 0]


def unit_rays(
    K: Annotated[Tensor, "... 3 3"], world_from_camera: Annotated[Tensor, "... 4 4"], grid: tuple[int, int],
    step: int = 1, offsets: Tensor | None = None,
) -> Annotated[Tensor, "... h w 3"]:  # fmt: skip
    """Directions in the world, of length 1. float32."""
    in_camera = directions_in_camera(K.float(), grid, step, offsets)
    return turned(world_from_camera[..., :3, :3].float(), F.normalize(in_camera, dim=-1))


def ray_channels(
    parts: Sequence[str], K: Annotated[Tensor, "... 3 3"], world_from_camera: Annotated[Tensor, "... 4 4"],
    grid: tuple[int, int], step: int = 1,
) -> Annotated[Tensor, "... h w C"]:  # fmt: skip
    """`parts` of every pixel's ray: "origin" (the camera centre), unit "direction", and "moment" = origin × direction."""
    direction = unit_rays(K, world_from_camera, grid, step)
    origin = world_from_camera[..., None, None, :3, 3].float().expand_as(direction)
    channels = {"origin": origin, "direction": direction, "moment": torch.linalg.cross(origin, direction)}
    return torch.cat([channels[part] for part in parts], -1)


def patches(maps: Annotated[Tensor, "... H W C"], size: int) -> Annotated[Tensor, "... L size·size·C"]:
    """Tokens in reading order; inside of one row, column, channel, the channel fastest."""
    cut = maps.unflatten(-2, (-1, size)).unflatten(-4, (-1, size))  # rows, row, columns, column, C
    return cut.transpose(-4, -3).flatten(-3).flatten(-3, -2)


def from_patches(
    tokens: Annotated[Tensor, "... L size·size·C"], size: int, grid: tuple[int, int]
) -> Annotated[Tensor, "... H W C"]:
    """The way back, for a map of (height, width) `grid`."""
    rows, columns = grid[0] // size, grid[1] // size
    cut = tokens.unflatten(-1, (size, size, -1)).unflatten(-4, (rows, columns))
    return cut.transpose(-4, -3).flatten(-3, -2).flatten(-4, -3)
