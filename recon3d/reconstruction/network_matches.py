"""A network's matches of photos as they were taken, in the undistorted photos that everything else works in."""

from __future__ import annotations

from dataclasses import replace

import torch

from recon3d.core.lens import undistorted
from recon3d.core.matches import Matches
from recon3d.core.views import Views


def matches_in_undistorted(matches: Matches, views: Views) -> Matches:
    """Of undistorted views, whose lenses are all known; without what lies outside of them or under a mask."""
    xy, kept = matches.xy.clone(), torch.ones(len(matches), dtype=torch.bool)
    for i, lens in enumerate(views.lenses):
        mine = matches.view == i
        if lens is None:
            raise ValueError(f"{views.names[i]} is not undistorted: its lens is not known")
        if not lens.is_pinhole:
            rays = lens.rays_of_pixels(xy[mine].numpy())
            xy[mine] = torch.from_numpy(undistorted(lens).pixels_of_rays(rays))
        height, width = views.images[i].shape[1:]
        at = xy[mine] @ views.pixel_from_photo[i, :2, :2].T + views.pixel_from_photo[i, :2, 2]
        inside = ((at >= 0) & (at < torch.tensor([width, height]))).all(1)
        mask = views.mask(i)
        if mask is not None:
            column, row = at.nan_to_num(0).long().unbind(1)
            inside &= mask[row.clamp(0, height - 1), column.clamp(0, width - 1)]
        kept[mine] = inside
    return replace(matches, xy=xy).where(kept)
