"""VGGT's track head over the views of a pass: corners of a few of them, followed through the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import cv2
import numpy as np
import torch
from torch import Tensor

from recon3d.core.matches import Matches, together
from recon3d.models.pictures import NetworkPictures, pixels_of_photos
from recon3d.models.vggt.track_head import TrackHead

# Views that points are followed through together: no more than the head was trained with (paper, section 4), which bounds its
# memory too. More are taken in runs that share some.
TRACKED, SHARED = 24, 8
FROM = 3  # views of a run that points are taken from
CORNERS = 512  # of a view, at most
WEAKEST = 1e-3  # of the strongest corner of a view
LIKELY = 0.5  # both are trained as probabilities: of being seen, and of lying within 3 pixels


def tracked(
    head: TrackHead, layers: Sequence[Annotated[Tensor, "1 N P D"]], grid: tuple[int, int], pictures: NetworkPictures,
    chunk: int,
) -> Matches:  # fmt: skip
    """Tracks of the N pictures by the tokens of their patches in the head's four layers. Where a view does not show its
    point, or is not sure to, the track has no observation."""
    parts = []
    for some in runs(len(pictures)):
        levels = head.levels([x[:, some.start : some.stop] for x in layers], grid, chunk)
        for first in starts(len(some)):
            corners = corners_of(pictures, some[first])
            if len(corners):
                found = followed(head, levels, corners, first)
                parts.append(observations(*found, pictures, some, first))
    if not parts:
        none = torch.zeros(0, dtype=torch.int64)
        return Matches(none, none, torch.zeros(0, 2, dtype=torch.float64), max(pictures.size), "vggt")
    return together(parts)


def runs(count: int) -> list[range]:
    """Views that are followed through together: all of few."""
    more = -(-max(count - TRACKED, 0) // (TRACKED - SHARED))
    ends = [min(TRACKED + k * (TRACKED - SHARED), count) for k in range(more + 1)]
    return [range(max(end - TRACKED, 0), end) for end in ends]


def starts(count: int) -> list[int]:
    """Views of a run that points are taken from, evenly spread."""
    return sorted({(2 * k + 1) * count // (2 * FROM) for k in range(FROM)})


def corners_of(pictures: NetworkPictures, view: int) -> Annotated[Tensor, "K 2"]:
    """Pixels with the picture's strongest corners (Shi & Tomasi 1994), spread over the photo in it; integers are centres."""
    height, width = pictures.size
    x0, y0, x1, y1 = pictures.photo_rects[view].tolist()
    inside = np.zeros((height, width), np.uint8)
    inside[int(np.ceil(y0)) : int(y1), int(np.ceil(x0)) : int(x1)] = 255
    grey = cv2.cvtColor(pictures.images[view].permute(1, 2, 0).contiguous().numpy(), cv2.COLOR_RGB2GRAY)
    apart = 0.5 * ((x1 - x0) * (y1 - y0) / CORNERS) ** 0.5
    found = cv2.goodFeaturesToTrack(grey, CORNERS, WEAKEST, apart, mask=inside)
    return torch.zeros(0, 2) if found is None else torch.from_numpy(found.reshape(-1, 2))


def followed(
    head: TrackHead, levels: Sequence[Tensor], corners: Annotated[Tensor, "K 2"], first: int
) -> tuple[Annotated[Tensor, "V K 2"], Annotated[Tensor, "V K"]]:
    """Where the views of a run show the corners of one of them, in its kind of pixels, and in which they are likely to."""
    tracks, visibility, confidence = head.tracker.follow(levels, corners[None].to(levels[0]), first)
    likely = (visibility[0] > LIKELY) & (confidence[0] > LIKELY)
    likely[first] = True
    return tracks[-1, 0].cpu(), likely.cpu()


def observations(
    tracks: Annotated[Tensor, "V K 2"], likely: Annotated[Tensor, "V K"], pictures: NetworkPictures, some: range, first: int
) -> Matches:
    """Of tracks that more than one view shows, in pixels of the photos; a track's first is where its corner is."""
    xy = tracks.double() + 0.5
    rects = pictures.photo_rects[some.start : some.stop, None]
    seen = likely & (xy >= rects[..., :2]).all(-1) & (xy <= rects[..., 2:]).all(-1)
    seen &= seen.sum(0) > 1
    order = [first, *(view for view in range(len(some)) if view != first)]
    row, track = seen[order].nonzero(as_tuple=True)
    own = torch.tensor(order)[row]
    view = own + some.start
    at = pixels_of_photos(xy[own, track], view, pictures.network_from_photo)
    return Matches(view, track, at, max(pictures.size), "vggt")
