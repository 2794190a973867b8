"""What does not belong into a scene: Gaussians that only masked pixels saw."""

from __future__ import annotations

import torch

from recon3d.core.gaussians import Gaussians
from recon3d.core.geometry import Geometry
from recon3d.core.views import Views


def unmasked(views: Views, geometry: Geometry, gaussians: Gaussians) -> Gaussians:
    """The Gaussians whose centre projects onto an unmasked pixel of a view that is not held out; all where nothing is masked.

    Raises nothing: where no Gaussian is left, an empty scene comes back.
    """
    if views.masks is None or all(mask is None or bool(mask.all()) for mask in views.masks):
        return gaussians
    shown = torch.zeros(len(gaussians), dtype=torch.bool)
    for i in (~views.held_out).nonzero()[:, 0].tolist():
        xy, depth = geometry.cameras[[i]].project(gaussians.means)
        height, width = views.images[i].shape[1:]
        column, row = xy[0].floor().long().unbind(-1)
        inside = (depth[0] > 0) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
        mask = views.masks[i]
        if mask is not None:
            inside &= mask[row.clamp(0, height - 1), column.clamp(0, width - 1)]
        shown |= inside
    return gaussians[shown]
