"""Photos to one world by a network of two pictures: its pairs, then their global alignment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from recon3d.core.matches import Matches
from recon3d.core.pairs import Pairs
from recon3d.models.dust3r.config import Dust3rConfig
from recon3d.models.dust3r.network import Dust3r
from recon3d.models.dust3r.pair_graphs import pairs_of
from recon3d.models.dust3r.pairs import pairs
from recon3d.models.dust3r.preprocessing import preprocessed
from recon3d.models.pictures import Answer, NetworkPictures, Pass, pixels_of_photos
from recon3d.reconstruction.pairs.alignment import one_world

COMPLETE_UP_TO = 12  # photos: all pairs of more grow with their square, in time and memory
WIDE_GRAPH = "logwin-5"  # neighbours in order at 1, 2, 4, 8 and 16: the authors' advice for many photos
MATCH_STEP = 8  # pixels between those that matches are looked for from (MASt3R, section 3.3)
MOST_MATCHES = 1024  # of two photos, evenly spread: adjusting cameras takes no more, and photos may be many


def answer(network: Dust3r, photos: Iterable[Annotated[np.ndarray, "h w 3"]], how: Pass) -> Answer:
    """Upright RGB uint8 photos -> cameras and depth in one world, in metres where the network was trained so (MASt3R)."""
    config = network.config
    pictures = preprocessed(photos, how.size or max(config.img_size), config.patch_size)
    edges = pairs_of(len(pictures), graph_for(len(pictures)), symmetrize=True)
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        how.on_view(done, len(edges))

    metric = config.descriptor_width > 0
    found = pairs(
        network, pictures, edges, match_step=MATCH_STEP if how.matches and metric else None, match_once=True,
        scale="metres" if metric else "arbitrary", source="mast3r" if metric else "dust3r", advance=advance,
    )  # fmt: skip
    aligned = one_world(found, how.on_view)
    maps, rects = (torch.cat([getattr(p, name) for p in pictures]) for name in ("network_from_photo", "photo_rects"))
    matches = None if found.matches is None else matches_of(found, pictures, maps)
    return Answer(aligned.geometry, maps, rects, aligned.unposed, matches=matches)


def with_matches(config: Dust3rConfig, published: Dust3rConfig) -> Dust3rConfig | None:
    """The same configuration, where the network has descriptors."""
    return config if config.descriptor_width else None


def matches_of(pairs: Pairs, pictures: Sequence[NetworkPictures], maps: Annotated[Tensor, "N 3 3"]) -> Matches:
    """The matches of all pairs, each a track of its own, in pixels of the photos."""
    assert pairs.matches is not None
    ends, xy = [torch.zeros(0, 2, dtype=torch.int64)], [torch.zeros(0, 2, 2)]
    for edge, found in zip(pairs.edges.cpu(), pairs.matches, strict=True):
        kept = found[np.linspace(0, len(found) - 1, min(len(found), MOST_MATCHES)).astype(int)]
        ends.append(edge.expand(len(kept), 2))
        xy.append(kept.reshape(-1, 2, 2))
    view = torch.cat(ends).flatten()
    track = torch.arange(len(view) // 2).repeat_interleave(2)
    longest = max(max(some.size) for some in pictures)
    return Matches(view, track, pixels_of_photos(torch.cat(xy).flatten(0, 1), view, maps), longest, pairs.source)


def graph_for(photos: int) -> str:
    """All pairs of few photos; of more, pairs of neighbours near and far in their order."""
    return "complete" if photos <= COMPLETE_UP_TO else WIDE_GRAPH
