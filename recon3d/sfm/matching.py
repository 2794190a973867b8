"""Which photos are matched with which, and their verified matches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

from recon3d.progress import Progress
from recon3d.sfm.features import image_id, image_name
from recon3d.sfm.pycolmap import colmap
from recon3d.sfm.settings import MIN_MATCHES, Settings

EXHAUSTIVE_UP_TO = 60  # photos; above, time grows too fast: 60 photos are 1770 pairs
OVERLAP = 10  # neighbours on either side that are matched in a sequence
KEYFRAMES = 40  # of a longer sequence, matched with each other: they close loops without a vocabulary file
BATCHES = 20  # of pairs, so that progress is seen and Ctrl-C is heard in between


@dataclass(frozen=True)
class PairMatches:
    """Matches of two views, as indices of their features."""

    first: int
    second: int
    raw: Annotated[np.ndarray, "M 2"]  # by descriptors alone
    verified: Annotated[np.ndarray, "V 2"]  # that agree with one epipolar geometry or homography


def pairs_to_match(count: int) -> list[tuple[int, int]]:
    """Pairs (i < j) of `count` views in the order of capture, sorted.

    Up to 60: all. Above: the 10 next ones and those 16, 32, 64, ... away (COLMAP's sequential matching with quadratic
    overlap), and, to close loops, all pairs of 40 evenly spread keyframes.
    """
    if count <= EXHAUSTIVE_UP_TO:
        return [(i, j) for i in range(count) for j in range(i + 1, count)]
    steps = list(range(1, OVERLAP + 1)) + [2**k for k in range(4, count.bit_length())]
    pairs = {(i, i + step) for i in range(count) for step in steps if i + step < count}
    keyframes = np.unique(np.round(np.linspace(0, count - 1, KEYFRAMES)).astype(int)).tolist()
    pairs |= {(i, j) for i in keyframes for j in keyframes if i < j}
    return sorted(pairs)


def match(
    database: Path, pairs: list[tuple[int, int]], settings: Settings, threads: int, seed: int, progress: Progress
) -> None:
    """Match and verify pairs of views; the matches go into the database."""
    options = colmap.FeatureMatchingOptions()
    options.num_threads, options.use_gpu = threads, False
    options.sift.max_ratio = settings.max_ratio
    options.guided_matching = settings.guided_matching
    verification = colmap.TwoViewGeometryOptions()
    verification.min_num_inliers = MIN_MATCHES
    verification.ransac.random_seed = seed
    pairing = colmap.ImportedPairingOptions()
    pairing.match_list_path = database.with_suffix(".pairs.txt")
    size = max(1, -(-len(pairs) // BATCHES))
    for start in range(0, len(pairs), size):
        batch = pairs[start : start + size]
        Path(pairing.match_list_path).write_text("".join(f"{image_name(i)} {image_name(j)}\n" for i, j in batch))
        colmap.match_image_pairs(database, options, pairing, verification)
        progress.advance(start + len(batch), len(pairs), "matching")


def read_matches(database: Path) -> list[PairMatches]:
    """All pairs that share a match, in the order of their views."""
    file = colmap.Database.open(database)
    try:
        ids, raw = file.read_all_matches()
        found = []
        for pair_id, matches in sorted(zip(ids, raw, strict=True), key=lambda item: item[0]):
            first, second = colmap.pair_id_to_image_pair(pair_id)
            verified = file.read_two_view_geometry(first, second).inlier_matches
            found.append(PairMatches(first - image_id(0), second - image_id(0), _pairs(matches), _pairs(verified)))
    finally:
        file.close()
    return found


def _pairs(matches) -> Annotated[np.ndarray, "M 2"]:
    return np.asarray(matches, np.int64).reshape(-1, 2)
