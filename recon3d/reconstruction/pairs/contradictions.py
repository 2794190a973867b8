"""Depth that other pictures contradict: a pixel whose point stands before a surface that another picture is surer of."""

from __future__ import annotations

from dataclasses import replace

import torch

from recon3d.core.geometry import Geometry

TOLERANCE = 0.001  # of the depth: a point this much nearer than a surface still lies on it


def distrust_contradicted(geometry: Geometry, tolerance: float = TOLERANCE) -> Geometry:
    """The same geometry with confidence 0 where a point would hide what another picture sees, and is surer of, there.

    Pictures are treated in order; a pixel that has lost its confidence contradicts no later one. Raises ValueError where
    there is no depth or no confidence. Source: clean_pointcloud of the released DUSt3R (Wang et al. 2024).
    """
    if geometry.depth is None or geometry.confidence is None:
        raise ValueError("contradictions are found by depth and confidence, which this geometry lacks")
    confidence = [of_view.clone() for of_view in geometry.confidence]
    for i, depth in enumerate(geometry.depth):
        points, known = geometry.cameras.unproject(i, depth)
        mine, points = confidence[i][known], points[known]
        for j in range(len(geometry)):
            if j == i:
                continue
            pixels, nearer = geometry.cameras[[j]].project(points)
            height, width = geometry.cameras.size(j)
            x, y = pixels[0].floor().nan_to_num(-1.0).clamp(-1, max(height, width)).long().unbind(1)
            inside = ((nearer[0] > 0) & (x >= 0) & (x < width) & (y >= 0) & (y < height)).nonzero()[:, 0]
            x, y = x[inside], y[inside]
            hides = nearer[0, inside] < (1 - tolerance) * geometry.depth[j][y, x]
            mine[inside[hides & (mine[inside] < confidence[j][y, x])]] = 0
        confidence[i][known] = torch.minimum(mine, confidence[i][known])
    return replace(geometry, confidence=tuple(confidence))
