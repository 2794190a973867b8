"""Cameras adjusted to matches like MASt3R's, and what joining nearby keypoints does to their tracks.

    python -m tools.benchmarks.network_matches

Procedural scenes with true depth tell where every eighth pixel of one picture lies in each other one: half of a pixel and more of
noise, whole pixels both ways, a tenth anywhere. Cameras are disturbed by 2 degrees and 3 % of the scene. Prints a table in
markdown, of every distance within which observations become one keypoint.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from recon3d.core.geometry import Geometry
from recon3d.core.matches import Matches
from recon3d.metrics.poses import pair_errors
from recon3d.pipeline.bundle_adjustment import predicted
from recon3d.progress import Progress
from recon3d.reconstruction.pairs.answer import MATCH_STEP, MOST_MATCHES
from recon3d.sfm import match_database
from recon3d.sfm.bundle_adjustment import bundle_adjusted
from recon3d.sfm.held_back import view_matches
from recon3d.sfm.held_back_tracks import tracks_of
from recon3d.sfm.matching import read_keypoints, read_matches
from tools.benchmarks.bundle_adjustment import Case, Noise, disturbed, procedural

SCENES, SEEDS, VIEWS, SIZE = (1, 2, 3), (0, 1), 8, 512
DISTANCES = (0.0, 1.0, 2.0)  # pixels
NOISE, WRONG = 0.7, 0.1
SAME_DEPTH = 0.02  # of it: a pixel whose point another view sees


def seen(known: Geometry, i: int, j: int, pixels: Annotated[Tensor, "M 2"]) -> tuple[Tensor, Tensor]:
    """Where view j sees what whole pixels of view i show, and whether nothing hides it."""
    assert known.depth is not None
    points, there = known.cameras.unproject(i, known.depth[i])
    points = points[pixels[:, 1], pixels[:, 0]]
    xy, z = (x[0] for x in known.cameras[[j]].project(points))
    height, width = known.depth[j].shape
    inside = there[pixels[:, 1], pixels[:, 0]] & (z > 0) & ((xy >= 0) & (xy < torch.tensor([width, height]))).all(1)
    at = torch.where(inside[:, None], xy, 0).long()
    return xy, inside & ((known.depth[j][at[:, 1], at[:, 0]] - z).abs() < SAME_DEPTH * z)


def invented(case: Case, seed: int) -> Matches:
    """What a network would match, in pixels of the photos."""
    known, chance = case.geometry, torch.Generator().manual_seed(seed)
    assert known.depth is not None
    height, width = known.depth[0].shape
    rows, columns = (torch.arange(MATCH_STEP // 2, side, MATCH_STEP) for side in (height, width))
    start, most = torch.cartesian_prod(columns, rows), torch.tensor([width - 1, height - 1])

    def rough(xy: Tensor, pixels: float) -> Tensor:
        off = pixels * torch.randn(xy.shape, generator=chance, dtype=torch.float64)
        return torch.minimum((xy + off).long().clamp_min(0), most)

    ends, found = [], []
    for i, j in itertools.combinations(range(len(known)), 2):
        both = []
        for a, b in ((i, j), (j, i)):
            xy, right = seen(known, a, b, start)
            there = rough(xy, NOISE)
            xy, again = seen(known, b, a, there)
            here, wrong = rough(xy, NOISE / 2), torch.rand(len(start), generator=chance) < WRONG
            anywhere = (torch.rand(start.shape, generator=chance) * most).long()
            here, there = torch.where(wrong[:, None], start, here), torch.where(wrong[:, None], anywhere, there)
            both.append(torch.cat((here, there) if a == i else (there, here), 1)[(right & again) | wrong])
        pair = torch.cat(both).unique(dim=0).double() + 0.5
        pair = pair[np.linspace(0, len(pair) - 1, min(len(pair), MOST_MATCHES)).astype(int)]
        ends.append(torch.tensor([i, j]).expand(len(pair), 2))
        found.append(pair.reshape(-1, 2, 2))
    view = torch.cat(ends).flatten()
    xy = torch.cat(found).flatten(0, 1) / case.views.pixel_from_photo[0, [0, 1], [0, 1]]
    return Matches(view, torch.arange(len(view) // 2).repeat_interleave(2), xy, SIZE, "mast3r")


def rows() -> Iterator[str]:
    for scene, seed in itertools.product(SCENES, SEEDS):
        with tempfile.TemporaryDirectory() as folder:
            case = procedural(scene, Path(folder), SIZE, views=VIEWS, samples=1)
            matches, true = invented(case, seed), case.geometry.cameras.camera_from_world
            wrong = disturbed(case.geometry, Noise(degrees=2.0, shift=0.03), seed).cameras
            start = predicted(case.views, wrong, torch.zeros(VIEWS, dtype=torch.bool))
            for distance in DISTANCES:
                path = Path(folder) / f"{distance}.db"
                with mock.patch.object(match_database, "JOINED", distance):
                    match_database.write_matches(matches, case.photos, path, 1, 0)
                held = tracks_of(view_matches(read_matches(path), read_keypoints(path, VIEWS)), set(range(VIEWS)))
                lengths = np.bincount(held.track)
                found = bundle_adjusted(path, case.photos, start, matches.longest, 1, 0, Progress())
                before, after = float(pair_errors(wrong.camera_from_world, true).rotation.median()), found.refused
                if found.model is not None:
                    poses = torch.from_numpy(found.model.camera_from_world)
                    after = f"{float(pair_errors(poses, true[list(found.model.views)]).rotation.median()):.3f}"
                yield f"| {scene} | {seed} | {distance:g} | {held.count} | {(lengths > 2).sum()} | {before:.2f} | {after} |"


def main(arguments: list[str] | None = None) -> int:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args(arguments)
    print("| scene | seed | joined within px | tracks | of three views or more | rotation ° before | after |")
    print("|" + " --- |" * 7, flush=True)
    for row in rows():
        print(row, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
