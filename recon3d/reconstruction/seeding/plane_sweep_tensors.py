"""`plane_sweep_kernels` in torch operations, for devices that have no numba: the same costs, the same paths, the same choice."""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor

from recon3d.reconstruction.seeding.plane_sweep_kernels import NOISE, RADIUS, SIDE

Volume = Annotated[Tensor, "D H W"]  # a number for each inverse depth and pixel


def boxed(values: Annotated[Tensor, "... H W"]) -> Annotated[Tensor, "... H W"]:
    """Means over the windows; at the picture's border over what is there of them."""
    return F.avg_pool2d(values, SIDE, stride=1, padding=RADIUS, count_include_pad=False)


def warped(
    other: Annotated[Tensor, "H2 W2"], size: tuple[int, int], matrix: Annotated[Tensor, "3 3"], shift: Annotated[Tensor, "3"],
    inverse_depths: Annotated[Tensor, "D"],
) -> Volume:  # fmt: skip
    """The other picture as the reference of (height, width) `size` would show it at every inverse depth; NaN outside of it."""
    y, x = torch.meshgrid(*(torch.arange(n, device=other.device) + 0.5 for n in size), indexing="ij")
    flat = torch.stack((x, y, torch.ones_like(x)), -1) @ matrix.T
    at = flat[None] + inverse_depths[:, None, None, None] * shift
    depth = at[..., 2]
    places = at[..., :2] / depth[..., None] - 0.5
    last = torch.tensor([other.shape[1] - 1, other.shape[0] - 1], device=other.device)
    seen = (depth > 1e-9) & (places >= 0).all(-1) & (places < last).all(-1)
    grid = torch.where(seen[..., None], 2 * places / last - 1, 0)
    values = F.grid_sample(other.expand(len(grid), 1, -1, -1), grid, align_corners=True)[:, 0]
    return torch.where(seen, values, torch.nan)


def correlation_costs(reference: Annotated[Tensor, "H W"], other: Volume) -> Volume:
    """(1 - correlation) / 2 of the windows, infinite where one leaves the other picture."""
    a, aa = boxed(reference[None])[0], boxed(reference[None] ** 2)[0]
    b, bb, ab = boxed(other), boxed(other * other), boxed(other * reference)
    noise = float(NOISE)
    cost = 0.5 - 0.5 * (ab - a * b) * torch.rsqrt((aa - a * a + noise) * (bb - b * b + noise))
    return cost.nan_to_num(nan=torch.inf)


def smoothed(costs: Volume, picture: Annotated[Tensor, "H W"], small: float, large: float, contrast: float) -> Volume:
    """The sum of the paths along rows and columns, both ways (semi-global matching, Hirschmueller 2008)."""
    total = torch.zeros_like(costs)
    for axis in (2, 1):
        along, grey = costs.movedim(axis, 0), picture.movedim(axis - 1, 0)
        result = total.movedim(axis, 0)  # a view: what is added to it is added to `total`
        for order in (range(len(along)), range(len(along) - 1, -1, -1)):
            before = torch.zeros_like(along[0])
            least, back = torch.zeros_like(grey[0]), None
            for k in order:
                edge = (grey[k] - grey[back]).abs() / contrast if back is not None else torch.zeros_like(grey[k])
                jump = least + (large / (1 + edge)).clamp_min(small)
                stepped = torch.minimum(before, jump)
                stepped[1:] = torch.minimum(stepped[1:], before[:-1] + small)
                stepped[:-1] = torch.minimum(stepped[:-1], before[1:] + small)
                before = stepped + along[k] - least
                result[k] += before
                least, back = before.amin(0), k
    return total


def chosen(total: Volume, inverse_depths: Annotated[Tensor, "D"]) -> Annotated[Tensor, "H W"]:
    """The inverse depth of the least total, refined between its neighbours by a parabola."""
    count = len(total)
    least = total.argmin(0)
    inner = least.clamp(1, count - 2)
    low, middle, high = (total.gather(0, (inner + k)[None])[0] for k in (-1, 0, 1))
    bend = low + high - 2 * middle
    offset = torch.where((least == inner) & (bend > 0), 0.5 * (low - high) / bend, 0)
    return inverse_depths[least] + (inverse_depths[1] - inverse_depths[0]) * offset
