"""Metres for a unit of a world, view by view, by depth in metres that DA3's metric network sees in single photos."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import torch
from torch import Tensor

from recon3d.core.geometry import Geometry
from recon3d.core.views import Views
from recon3d.models.da3.answer import metric_depth
from recon3d.models.da3.mono import Da3Mono
from recon3d.models.da3.preprocessing import preprocessed
from recon3d.models.pictures import Pass
from recon3d.reconstruction.network_views import pixels_in_picture, sampled

LEAST = 20  # points or pixels of a view that both know
CONFIDENT = 0.5  # rank of depth from which a pixel counts


def metres_for_a_unit(
    network: Da3Mono, views: Views, geometry: Geometry, device: str, advance: Callable[[int, int], None]
) -> dict[int, float]:
    """Seen view -> the median ratio of metres to units over its surface; views that know too little of it say nothing."""
    found = {}
    seen = (~views.held_out).nonzero()[:, 0].tolist()
    for done, i in enumerate(seen, 1):
        in_metres = metric_map(network, views, geometry, i, device)
        metres, units = known_in_both(geometry, i, in_metres)
        if len(metres) >= LEAST:
            found[i] = float((metres / units).log().median().exp())
        advance(done, len(seen))
    return found


def metric_map(network: Da3Mono, views: Views, geometry: Geometry, i: int, device: str) -> Annotated[Tensor, "H W"]:
    """z in metres of the pixels of view i, 0 in the sky and where a mask leaves out."""
    pictures = preprocessed([views.images[i].permute(1, 2, 0).contiguous().numpy()])
    from_pixel = pictures.network_from_photo  # the photo is the working picture here
    depth, ground = metric_depth(network, pictures, (from_pixel @ geometry.cameras.K[[i]]).float(), Pass(chunk=1, device=device))
    at = pixels_in_picture(torch.eye(3, dtype=torch.float64), from_pixel[0], tuple(views.images[i].shape[1:]))
    in_metres = sampled(torch.where(ground[0], depth[0], 0), at, "nearest")
    mask = views.mask(i)
    return in_metres if mask is None else torch.where(mask, in_metres, 0)


def known_in_both(
    geometry: Geometry, i: int, in_metres: Annotated[Tensor, "H W"]
) -> tuple[Annotated[Tensor, "P"], Annotated[Tensor, "P"]]:
    """Depth of view i in metres and in units: of confident pixels, else of the sparse points that it observes."""
    if geometry.depth is not None and geometry.confidence is not None:
        both = (geometry.depth[i] > 0) & (geometry.confidence[i] >= CONFIDENT) & (in_metres > 0)
        return in_metres[both].double(), geometry.depth[i][both].double()
    if geometry.tracks is None:
        return torch.zeros(0), torch.zeros(0)
    points = geometry.points[geometry.tracks.point[geometry.tracks.view == i]]
    (pixels,), (z,) = geometry.cameras[[i]].project(points)
    height, width = geometry.cameras.size(i)
    column, row = pixels.nan_to_num(-1).floor().long().unbind(-1)
    inside = (z > 0) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    metres = in_metres[row[inside], column[inside]].double()
    return metres[metres > 0], z[inside][metres > 0]
