"""Matches: the same thing seen in several photos, as a network that matches or tracks says, before it is a point anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import torch
from torch import Tensor

from recon3d.core.shapes import check_shapes


@dataclass(frozen=True)
class Matches:
    """M observations of tracks in N photos. The first of a track is where it was followed from; of two pixels that match,
    either."""

    view: Annotated[Tensor, "M"]  # int64, index of the photo
    track: Annotated[Tensor, "M"]  # int64, any number; those of one track are equal
    xy: Annotated[Tensor, "M 2"]  # float64, pixels of the full-size photo
    longest: int  # pixels, the longest side of the pictures that it was matched in: it is as exact as these
    source: str  # the network

    def __post_init__(self) -> None:
        check_shapes(self)

    def __len__(self) -> int:
        return len(self.view)

    def where(self, kept: Annotated[Tensor, "M"]) -> Matches:
        """The observations where `kept` (bool) is true."""
        return replace(self, view=self.view[kept], track=self.track[kept], xy=self.xy[kept])

    def of_views(self, index: Annotated[Tensor, "V"], count: int) -> Matches:
        """Those in views `index` of `count`, which are numbered anew in that order."""
        number = torch.full((count,), -1, dtype=torch.int64)
        number[index] = torch.arange(len(index))
        renumbered = replace(self, view=number[self.view])
        return renumbered.where(renumbered.view >= 0)

    def among(self, views: Sequence[int]) -> Matches:
        """The same where photo i is photo views[i] of more."""
        return replace(self, view=torch.tensor(views, dtype=torch.int64)[self.view])


def together(parts: Sequence[Matches]) -> Matches:
    """Several, whose tracks are others each time, as one."""
    tracks, past = [], 0
    for part in parts:
        tracks.append(part.track + past)
        past += int(part.track.max()) + 1 if len(part) else 0
    view, xy = (torch.cat([getattr(part, name) for part in parts]) for name in ("view", "xy"))
    return Matches(view, torch.cat(tracks), xy, max(part.longest for part in parts), parts[0].source)
