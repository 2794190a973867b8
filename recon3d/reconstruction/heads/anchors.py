"""How many anchors a scene needs: as many as see nearly all that any view sees."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from recon3d.core.geometry import Geometry
from recon3d.models.zpressor.anchors import farthest_points

COVERED = 0.95  # of the points that any view sees, what the anchors see well together
COARSEST = 2.0  # times the pixel of the view that sees a point best: up to here a view sees it well
FEWEST, MOST = 4, 16  # anchors, where there are so many views


def anchor_count(geometry: Geometry) -> int:
    """The fewest anchors, in the order of farthest point sampling, that cover the scene's points; of few views all."""
    views = len(geometry)
    if views <= FEWEST or len(geometry.points) == 0:
        return min(views, FEWEST)
    order = farthest_points(geometry.cameras.centers_in_world[None].float(), min(MOST, views))[0]
    sees = seeing_well(geometry)
    wanted = COVERED * int(sees.any(0).sum())
    for count in range(FEWEST, len(order)):
        if int(sees[order[:count]].any(0).sum()) >= wanted:
            return count
    return len(order)


def seeing_well(geometry: Geometry) -> Annotated[Tensor, "N P"]:
    """bool: which points each view sees, at nearly the resolution of the view that sees them best."""
    pixels, depth = geometry.cameras.project(geometry.points)
    pixel = depth / geometry.cameras.focal_lengths[:, None]
    pixel = torch.where(geometry.cameras.inside(pixels, depth), pixel, torch.inf)
    return pixel <= COARSEST * pixel.amin(0).nan_to_num(posinf=0.0)
