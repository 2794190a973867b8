"""Cameras from where patches lie in another view: the essential matrix, robustly, at the scale of the depth.

Two views tell rotation and direction of their cameras better by their matches than a small network can say them outright;
where too few patches are seen in both, what the network said stays.
"""

from __future__ import annotations

from typing import Annotated

import cv2
import numpy as np
import torch
from torch import Tensor

from recon3d.models.attention import grid_positions
from recon3d.models.pose_encoding import matrices_from_encoding
from recon3d.models.small.network import Small, compared_with

# Set on procedural scenes that are neither trained on nor in the held-out figures: with 2 views (100 scenes) AUC@15 goes from
# 3.2 to 4.9 % and AUC@30 from 19.9 to 21.2, with 4 (80 scenes) from 3.7 to 4.1 and from 16.9 to 16.9. A share of 0.2 wins more
# with 2 views and loses with 4; a wider bound loses: the places of the first weights are some ten pixels off.
FEWEST, SHARE = 24, 0.3  # matches that agree with the matrix, and their share of all, without which it is not believed
APART = 0.006  # of the focal length: how far a match may lie from its epipolar line
TRIALS = 2000


def cameras(said: Small, patch: int) -> tuple[Annotated[Tensor, "V 3 4"], Annotated[Tensor, "V 3 3"], Annotated[Tensor, "V"]]:
    """camera_from_world and K of the only scene's views, and (bool) which of them matches gave. float64."""
    size = (said.depth.shape[-2], said.depth.shape[-1])
    camera_from_world, K = (x.clone() for x in matrices_from_encoding(said.encodings[0].double().cpu(), size))
    by_matches = torch.zeros(len(K), dtype=torch.bool)
    for view in range(1, len(K)):
        found = relative(said, view, K, patch)
        if found is not None:
            camera_from_world[view], by_matches[view] = found, True
    return camera_from_world, K, by_matches


def relative(said: Small, view: int, K: Annotated[Tensor, "V 3 3"], patch: int) -> Annotated[Tensor, "3 4"] | None:
    """[R | t] of a view in the first one's frame; None where matches do not tell it."""
    first, second = matched_pixels(said, view, patch)
    if len(first) < FEWEST:
        return None
    rays = [unprojected(pixels, K[i].numpy()) for pixels, i in ((first, 0), (second, view))]
    cv2.setRNGSeed(0)
    essential, inliers = cv2.findEssentialMat(rays[0], rays[1], np.eye(3), cv2.USAC_MAGSAC, 0.999, APART, maxIters=TRIALS)
    if essential is None or essential.shape != (3, 3) or inliers.sum() < max(FEWEST, SHARE * len(first)):
        return None
    _, rotation, direction, before = cv2.recoverPose(essential, rays[0], rays[1], np.eye(3), mask=inliers.copy())
    good = before[:, 0] > 0
    if good.sum() < FEWEST:
        return None
    depth = said.depth[0, 0].cpu().numpy()
    rows, columns = (first[good, axis].astype(int).clip(0, depth.shape[1 - axis] - 1) for axis in (1, 0))
    scale = np.median(depth[rows, columns] / depths(rays, good, rotation, direction))
    return torch.from_numpy(np.concatenate([rotation, direction * scale], 1))


def matched_pixels(said: Small, view: int, patch: int) -> tuple[Annotated[np.ndarray, "M 2"], Annotated[np.ndarray, "M 2"]]:
    """Pixels of the first view and of another that show one point: patches that the network takes for visible there."""
    views = said.depth.shape[1]
    grid = (said.depth.shape[-2] // patch, said.depth.shape[-1] // patch)
    middles = (grid_positions(*grid, 0).flip(-1).double() + 0.5) * patch
    pairs = []
    for one, other in ((view, 0), (0, view)):
        if compared_with(views)[one] == other:
            sure = said.visible[0, one].cpu() > 0
            ends = (middles[sure], said.places[0, one].double().cpu()[sure])
            pairs.append(ends if one == 0 else ends[::-1])
    first, second = (torch.cat(x).numpy() for x in zip(*pairs, strict=True))
    return first, second


def unprojected(pixels: Annotated[np.ndarray, "M 2"], K: Annotated[np.ndarray, "3 3"]) -> Annotated[np.ndarray, "M 2"]:
    """x / z and y / z in the camera."""
    return (pixels - K[:2, 2]) / K[[0, 1], [0, 1]]


def depths(
    rays: list[np.ndarray], good: np.ndarray, rotation: np.ndarray, direction: np.ndarray
) -> Annotated[np.ndarray, "M"]:
    """Depth in the first view of points on both rays, for a translation of length 1: the least squares of
    z₀ R r₀ + t = z₁ r₁."""
    r0, r1 = (np.concatenate([r[good], np.ones((good.sum(), 1))], 1) for r in rays)
    turned = r0 @ rotation.T
    a = np.cross(r1, turned)
    b = -np.cross(r1, np.broadcast_to(direction[:, 0], r1.shape))
    return np.maximum((a * b).sum(1) / np.maximum((a * a).sum(1), 1e-12), 1e-6)
