"""Gaussian splatting, slow and obvious, in plain torch: the specification that the other backends are tested against.

Every step is differentiable by autograd in every input, K included, and runs in float64 as well as in float32.
Memory grows with G H W: for small pictures.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from recon3d.core.harmonics import harmonics
from recon3d.core.rotations import matrices_from_quats
from recon3d.rendering.constants import ALPHA_MAX, ALPHA_MIN, EPS2D, EXTENT, FAR, MARGIN, NEAR, TILE, TRANSMITTANCE_MIN
from recon3d.rendering.screen import Screen


def rasterize(
    means, quats, scales, opacities, sh, camera_from_world, K, width, height, screen: Screen | None = None, antialiased=False
):
    """The call of `recon3d.rendering.render.rasterize`; `screen.gradient` is left empty."""
    pictures, radii = [], []
    for camera, intrinsics in zip(camera_from_world, K, strict=True):
        splats = project(means, quats, scales, opacities, sh, camera, intrinsics, width, height, antialiased)
        pictures.append(composite(*splats, width, height))
        radii.append(splats[-1])
    if screen is not None:
        screen.radii = torch.stack(radii)
    rgb, depth, alpha = (torch.stack(parts) for parts in zip(*pictures, strict=True))
    return rgb, depth, alpha


def project(means, quats, scales, opacities, sh, camera_from_world, K, width: int, height: int, antialiased: bool = False):
    """World Gaussians -> what `composite` needs, for one camera.

    Returns means2d [G,2] in pixels, conics [G,3] (a, b, c of a dx^2 + 2 b dx dy + c dy^2), z-depths [G], colors [G,3],
    opacities [G] and radii [G,2] in pixels (0 where unseen; they carry no gradient). Skew in K is ignored.
    Source: EWA splatting, Zwicker et al. 2001, as in Kerbl et al. 2023, section 4.
    """
    rotation, translation = camera_from_world[:3, :3], camera_from_world[:3, 3]
    means_in_camera = means @ rotation.T + translation
    depths = means_in_camera[:, 2]
    # A Gaussian behind the camera is unseen; it is given a harmless depth, so that its gradients are 0 and not NaN.
    safe = torch.where(depths >= NEAR, depths, torch.ones_like(depths))
    ratio = means_in_camera[:, :2] / safe[:, None]
    focal, center = torch.stack([K[0, 0], K[1, 1]]), torch.stack([K[0, 2], K[1, 2]])
    means2d = focal * ratio + center

    factor = projected_factor(ratio, safe, focal, center, rotation, quats, scales, width, height)
    xx, xy, yy, determinant = covariance(factor)
    conics = torch.stack([yy, -xy, xx], -1) / determinant[:, None]
    if antialiased:
        opacities = opacities * compensation(factor, determinant)
    with torch.no_grad():
        radii = bounding_boxes(means2d, depths, opacities, torch.stack([xx, yy], -1), determinant, width, height)

    center_in_world = -rotation.T @ translation
    directions = torch.nn.functional.normalize(means - center_in_world, dim=-1)
    basis = harmonics(directions, int(sh.shape[1] ** 0.5) - 1)
    colors = ((basis[:, :, None] * sh).sum(1) + 0.5).clamp_min(0)
    return means2d, conics, depths, colors, opacities, radii


def projected_factor(ratio, depths, focal, center, rotation, quats, scales, width, height) -> Annotated[Tensor, "G 2 3"]:
    """H with H H^T the projected covariance in pixels^2: the Jacobian of the projection times the Gaussian's axes.

    The Jacobian is taken at a point pulled back to a margin around the picture: splats beside it would explode.
    """
    size = torch.tensor([width, height], dtype=ratio.dtype, device=ratio.device)
    margin = MARGIN * size / focal
    ratio = torch.minimum(torch.maximum(ratio, -center / focal - margin), (size - center) / focal + margin)
    zero = torch.zeros_like(depths)
    row_x = torch.stack([focal[0] / depths, zero, -focal[0] * ratio[:, 0] / depths], -1)
    row_y = torch.stack([zero, focal[1] / depths, -focal[1] * ratio[:, 1] / depths], -1)
    return torch.stack([row_x, row_y], 1) @ rotation @ matrices_from_quats(quats) * scales[:, None, :]


def covariance(factor: Annotated[Tensor, "G 2 3"]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """xx, xy, yy and determinant of H H^T + EPS2D, the determinant without the cancellation of xx yy - xy^2.

    det(H H^T) = |h0 x h1|^2: the plain form costs a splat of 1000:1 all its digits in float32.
    """
    area = torch.linalg.cross(factor[:, 0], factor[:, 1])
    xx, xy, yy = ((factor[:, i] * factor[:, j]).sum(-1) for i, j in ((0, 0), (0, 1), (1, 1)))
    determinant = (area * area).sum(-1) + EPS2D * (xx + yy + EPS2D)
    return xx + EPS2D, xy, yy + EPS2D, determinant


def compensation(factor: Annotated[Tensor, "G 2 3"], determinant: Annotated[Tensor, "G"]) -> Annotated[Tensor, "G"]:
    """sqrt(det(H H^T) / det(H H^T + EPS2D)): the share of its opacity that a splat widened by EPS2D keeps, 0 to 1.

    So the light of a splat does not grow where its picture is thinner than a pixel. Source: Mip-Splatting, Yu et al. 2024,
    eq. 9, as gsplat's antialiased mode has it.
    """
    return torch.linalg.cross(factor[:, 0], factor[:, 1]).norm(dim=-1) / determinant.sqrt()


def bounding_boxes(means2d, depths, opacities, variances, determinant, width, height) -> Annotated[Tensor, "G 2"]:
    """Half widths and heights in pixels, 0 for what is not drawn."""
    reach = (2 * (opacities / ALPHA_MIN).clamp_min(1).log()).sqrt().clamp_max(EXTENT)
    radii = torch.ceil(reach[:, None] * variances.sqrt())
    size = torch.tensor([width, height], dtype=means2d.dtype, device=means2d.device)
    seen = (depths >= NEAR) & (depths <= FAR) & (opacities >= ALPHA_MIN) & (determinant > 0)
    seen &= ((means2d + radii > 0) & (means2d - radii < size)).all(-1)
    return torch.where(seen[:, None], radii, 0)


def composite(means2d, conics, depths, colors, opacities, radii, width: int, height: int):
    """Blend front to back, Gaussian by Gaussian over all pixels: rgb [3,H,W], depth [H,W] (sum of w z), alpha [H,W]."""
    seen = (radii > 0).all(-1)
    order = torch.argsort(torch.where(seen, depths, torch.inf), stable=True)[: int(seen.sum())]
    ys, xs = torch.meshgrid(*(torch.arange(n, device=means2d.device) for n in (height, width)), indexing="ij")
    rgb, depth = means2d.new_zeros(3, height, width), means2d.new_zeros(height, width)
    remaining = means2d.new_ones(height, width)
    live = torch.ones_like(remaining, dtype=torch.bool)
    for g in order.tolist():
        alpha, inside = alphas(means2d[g], conics[g], opacities[g], radii[g], xs, ys)
        after = remaining * (1 - alpha)
        hit = inside & live & (alpha >= ALPHA_MIN)
        live = live & ~(hit & (after <= TRANSMITTANCE_MIN))
        hit = hit & live
        weight = torch.where(hit, alpha * remaining, 0)
        rgb = rgb + weight * colors[g][:, None, None]
        depth = depth + weight * depths[g]
        remaining = torch.where(hit, after, remaining)
    return rgb, depth, 1 - remaining


def alphas(mean2d, conic, opacity, radius, xs, ys) -> tuple[Tensor, Tensor]:
    """One Gaussian's alpha in every pixel, and the pixels of the tiles that its bounding box touches."""
    low = ((mean2d - radius) / TILE).floor().detach() * TILE
    high = ((mean2d + radius) / TILE).ceil().detach() * TILE
    inside = (xs >= low[0]) & (xs < high[0]) & (ys >= low[1]) & (ys < high[1])
    dx, dy = mean2d[0] - (xs + 0.5), mean2d[1] - (ys + 0.5)
    a, b, c = conic
    sigma = 0.5 * (a * dx * dx + c * dy * dy) + b * dx * dy
    return (opacity * torch.exp(-sigma)).clamp_max(ALPHA_MAX), inside & (sigma >= 0)
