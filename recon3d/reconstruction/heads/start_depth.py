"""Depth of every pixel for heads that start from it: a network's, or from stereo and sparse points, and filled between."""

from __future__ import annotations

from typing import Annotated

import cv2
import numpy as np
import torch
from torch import Tensor

from recon3d.core.geometry import Geometry
from recon3d.core.views import Views
from recon3d.errors import InputError
from recon3d.reconstruction.seeding.plane_sweep import swept

CONFIDENT = 0.5  # what stereo and sparse points are trusted: they were measured, by few pixels


def start_depth(
    views: Views, geometry: Geometry
) -> tuple[Annotated[tuple[Tensor, ...], "N × H W"], Annotated[tuple[Tensor, ...], "N × H W"]]:
    """z-depth of every pixel in world units, and confidence, 0 where depth is only that of the nearest known pixel.

    Give the seen views only. Raises InputError where nothing tells the depth of any view.
    """
    if geometry.depth is not None and geometry.confidence is not None:
        known, confidence = geometry.depth, geometry.confidence
    else:
        known = measured_depth(views, geometry)
        confidence = tuple(torch.full_like(depth, CONFIDENT) for depth in known)
    if not any(bool((depth > 0).any()) for depth in known):
        raise InputError("--splats", "nothing tells the depth of any photo", "Use --splats points")
    inverse = torch.cat([1 / depth[depth > 0] for depth in known]).median()
    filled = tuple(filled_from_nearest(depth, float(1 / inverse)) for depth in known)
    trusted = tuple(torch.where(d > 0, c, 0) for d, c in zip(known, confidence, strict=True))
    return filled, trusted


def measured_depth(views: Views, geometry: Geometry) -> Annotated[tuple[Tensor, ...], "N × H W"]:
    """From plane-sweep stereo, and sparse points where it says nothing; 0 between."""
    _, of_stereo = swept(views, geometry)
    maps = []
    for i in range(len(views)):
        height, width = geometry.cameras.size(i)
        depth = np.zeros((height, width), np.float32)
        if i in of_stereo:
            depth = cv2.resize(of_stereo[i].astype(np.float32), (width, height), interpolation=cv2.INTER_NEAREST)
        (pixels,), (z,) = geometry.cameras[[i]].project(geometry.points[observed(geometry, i)])
        column, row = pixels.floor().long().unbind(-1)
        inside = (z > 0) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
        at = (row[inside].numpy(), column[inside].numpy())
        depth[at] = np.where(depth[at] > 0, depth[at], z[inside].float().numpy())
        maps.append(torch.from_numpy(depth))
    return tuple(maps)


def observed(geometry: Geometry, i: int) -> Annotated[Tensor, "P"]:
    """bool: which sparse points view i observes; all of them where no tracks tell."""
    if geometry.tracks is None:
        return torch.ones(len(geometry.points), dtype=torch.bool)
    seen = torch.zeros(len(geometry.points), dtype=torch.bool)
    seen[geometry.tracks.point[geometry.tracks.view == i]] = True
    return seen


def filled_from_nearest(depth: Annotated[Tensor, "H W"], otherwise: float) -> Annotated[Tensor, "H W"]:
    """Where depth is 0, that of the nearest pixel with one; `otherwise` where no pixel has."""
    known = depth.numpy() > 0
    if not known.any():
        return torch.full_like(depth, otherwise)
    _, labels = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    labels = np.asarray(labels, np.int64)
    values = np.zeros(labels.max() + 1, np.float32)
    values[labels[known]] = depth.numpy()[known]
    return torch.from_numpy(values[labels])
