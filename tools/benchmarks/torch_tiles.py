"""The compositor that one writes in plain torch without a compiler: what compiled kernels are measured against.

Tile by tile, all its Gaussians in depth order against 256 pixels at once, transmittance by a cumulative product, autograd
behind it. It is given our projection and our lists.
"""

from __future__ import annotations

import torch
from torch import Tensor

from recon3d.rendering.constants import ALPHA_MAX, ALPHA_MIN, TILE, TRANSMITTANCE_MIN
from recon3d.rendering.cpu.rasterizer import Lists, View


def composite(means2d, conics, depths, colors, opacities, lists: Lists, view: View) -> tuple[Tensor, Tensor, Tensor]:
    """rgb [3,H,W], sum of w z [H,W], alpha [H,W]. A Gaussian that would end a pixel is left out, and so are all behind it."""
    (width, height), (tiles_x, tiles_y) = view.size, view.tiles
    members, starts = torch.from_numpy(lists.entries[:, 0].astype("int64")), lists.starts.tolist()
    channels = torch.cat([colors, depths[:, None]], 1)
    lanes = torch.arange(TILE * TILE)
    drawn = []
    for tile in range(tiles_x * tiles_y):
        g = members[starts[tile] : starts[tile + 1]]
        dx = means2d[g, 0, None] - ((tile % tiles_x) * TILE + lanes % TILE + 0.5)
        dy = means2d[g, 1, None] - ((tile // tiles_x) * TILE + lanes // TILE + 0.5)
        a, b, c = conics[g, :, None].unbind(1)
        sigma = 0.5 * (a * dx * dx + c * dy * dy) + b * dx * dy
        alpha = (opacities[g, None] * torch.exp(-sigma)).clamp_max(ALPHA_MAX)
        alpha = torch.where((sigma >= 0) & (alpha >= ALPHA_MIN), alpha, 0)
        after = torch.cumprod(1 - alpha, 0)
        before = torch.cat([torch.ones(1, TILE * TILE), after[:-1]])
        weight = alpha * before * (after > TRANSMITTANCE_MIN)
        drawn.append(torch.cat([channels[g].T @ weight, weight.sum(0, keepdim=True)]))
    image = torch.stack(drawn).reshape(tiles_y, tiles_x, 5, TILE, TILE).permute(2, 0, 3, 1, 4)
    image = image.reshape(5, tiles_y * TILE, tiles_x * TILE)[:, :height, :width]
    return image[:3], image[3], image[4]
