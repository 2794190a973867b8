"""Photos to one world by a network of two pictures: its pairs, then their global alignment."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import numpy as np
import torch

from recon3d.models.dust3r.network import Dust3r
from recon3d.models.dust3r.pair_graphs import pairs_of
from recon3d.models.dust3r.pairs import pairs
from recon3d.models.dust3r.preprocessing import preprocessed
from recon3d.models.pictures import Answer, Pass
from recon3d.reconstruction.pairs.alignment import one_world

COMPLETE_UP_TO = 12  # photos: all pairs of more grow with their square, in time and memory
WIDE_GRAPH = "logwin-5"  # neighbours in order at 1, 2, 4, 8 and 16: the authors' advice for many photos


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
        network, pictures, edges, scale="metres" if metric else "arbitrary", source="mast3r" if metric else "dust3r",
        advance=advance,
    )  # fmt: skip
    aligned = one_world(found, how.on_view)
    maps, rects = (torch.cat([getattr(p, name) for p in pictures]) for name in ("network_from_photo", "photo_rects"))
    return Answer(aligned.geometry, maps, rects, aligned.unposed)


def graph_for(photos: int) -> str:
    """All pairs of few photos; of more, pairs of neighbours near and far in their order."""
    return "complete" if photos <= COMPLETE_UP_TO else WIDE_GRAPH
