"""What a perfect network would match in a synthetic scene: tracks through all views, or pairs of pixels."""

from dataclasses import replace

import torch

from recon3d.core.geometry import Geometry
from recon3d.core.matches import Matches


def as_tracks(truth: Geometry, longest: int = 512) -> Matches:
    """One track for each point, as VGGT's head follows them."""
    assert truth.tracks is not None
    return Matches(truth.tracks.view, truth.tracks.point, truth.tracks.xy, longest, "vggt")


def as_pairs(truth: Geometry, longest: int = 512, noise: float = 0.0, seed: int = 0) -> Matches:
    """Every point in every two views that show it, as MASt3R matches them; `noise` pixels, drawn for each pair anew."""
    assert truth.tracks is not None
    chance, rows = torch.Generator().manual_seed(seed), []
    for i in range(len(truth)):
        for j in range(i):
            mine, other = ((truth.tracks.view == v).nonzero()[:, 0] for v in (i, j))
            same = truth.tracks.point[mine][:, None] == truth.tracks.point[other]
            a, b = same.nonzero(as_tuple=True)
            rows.append(torch.stack((mine[a], other[b]), 1))
    row = torch.cat(rows).flatten()
    xy = truth.tracks.xy[row]
    xy = xy + noise * torch.randn(xy.shape, generator=chance, dtype=torch.float64)
    return Matches(truth.tracks.view[row], torch.arange(len(row) // 2).repeat_interleave(2), xy, longest, "mast3r")


def anywhere(matches: Matches, truth: Geometry, seed: int = 0) -> Matches:
    """As many, of which nothing is right."""
    chance = torch.Generator().manual_seed(seed)
    size = truth.cameras.sizes[matches.view].flip(1)
    return replace(matches, xy=torch.rand(len(matches), 2, generator=chance, dtype=torch.float64) * size)
