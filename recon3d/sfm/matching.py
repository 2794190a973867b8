"""Which photos are matched with which, and their verified matches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch

from recon3d.core.views import Views
from recon3d.errors import InputError
from recon3d.progress import Progress
from recon3d.sfm.descriptors import mutual_matches
from recon3d.sfm.features import Pictures, extract, image_id, image_name
from recon3d.sfm.pycolmap import colmap
from recon3d.sfm.settings import MIN_MATCHES, Matching

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


REMEDY = "Take photos with more overlap, or give cameras with --cameras"


class Matcher:
    """Databases of features and matches of one set of views, each made when it is first asked for."""

    def __init__(
        self, views: Views, pictures: Pictures, sequence: bool, device: str, threads: int, seed: int, folder: Path,
        where: str, progress: Progress,
    ) -> None:  # fmt: skip
        self.views, self.pictures, self.where, self.progress = views, pictures, where, progress
        self.device, self.threads, self.seed, self.folder = device, threads, seed, folder
        self.pairs = pairs_to_match(len(views), sequence)
        self._made: dict[Matching, Path] = {}

    def __call__(self, settings: Matching) -> Path:
        """The database for these settings. Raises InputError where there is nothing to match."""
        if settings not in self._made:
            self._made[settings] = self._matched(settings, self.folder / f"{len(self._made)}.db")
        return self._made[settings]

    def _matched(self, settings: Matching, database: Path) -> Path:
        counts = extract(self.views, self.pictures, settings, self.threads, database, self.progress)
        if max(counts) < MIN_MATCHES:
            what = f"nothing to match: no image has more than {max(counts)} features"
            raise InputError(self.where, what, REMEDY)
        match(database, self.pairs, settings, self.device, self.threads, self.seed, self.progress)
        return database


def without_overlap(database: Path, pairs: int) -> str | None:
    """What to say of a database in which no two views share enough; None where some do."""
    if any(len(m.verified) >= MIN_MATCHES for m in read_matches(database)):
        return None
    return f"no two images overlap: 0 of {pairs} pairs have more than {MIN_MATCHES} matches"


def pairs_to_match(count: int, sequence: bool = False) -> list[tuple[int, int]]:
    """Pairs (i < j) of `count` views in the order of capture, sorted.

    Up to 60 photos: all. Above, and in a `sequence` (video): the 10 next ones and those 16, 32, 64, ... away (COLMAP's
    sequential matching with quadratic overlap), and, to close loops, all pairs of 40 evenly spread keyframes.
    """
    if count <= EXHAUSTIVE_UP_TO and not sequence:
        return [(i, j) for i in range(count) for j in range(i + 1, count)]
    steps = list(range(1, OVERLAP + 1)) + [2**k for k in range(4, count.bit_length())]
    pairs = {(i, i + step) for i in range(count) for step in steps if i + step < count}
    keyframes = np.unique(np.round(np.linspace(0, count - 1, KEYFRAMES)).astype(int)).tolist()
    pairs |= {(i, j) for i in keyframes for j in keyframes if i < j}
    return sorted(pairs)


def match(
    database: Path, pairs: list[tuple[int, int]], settings: Matching, device: str, threads: int, seed: int,
    progress: Progress,
) -> None:  # fmt: skip
    """Match pairs of views by their descriptors, on `device`, and verify them by COLMAP; the matches go into the database.

    The result depends on neither the device nor `threads`.
    """
    if settings.guided_matching:
        return match_guided(database, pairs, settings, verification_options(seed), threads, progress)
    file = colmap.Database.open(database)
    try:
        views = sorted({view for pair in pairs for view in pair})
        described = {view: torch.from_numpy(file.read_descriptors(image_id(view)).data.copy()).to(device) for view in views}
        for done, (i, j) in enumerate(pairs, 1):
            found = mutual_matches(described[i], described[j], settings.max_ratio)
            file.write_matches(image_id(i), image_id(j), found.numpy().astype(np.uint32))
            progress.advance(done, len(pairs), "matching")
    finally:
        file.close()
    verify(database, threads, seed)


def verify(database: Path, threads: int, seed: int) -> None:
    """Keep of all matches those that agree with one epipolar geometry or homography of their two views, beside the others."""
    verifier = colmap.GeometricVerifierOptions()
    verifier.num_threads = threads
    colmap.geometric_verification(database, verifier, two_view_geometry_options=verification_options(seed))


def verification_options(seed: int):
    options = colmap.TwoViewGeometryOptions()
    options.min_num_inliers = MIN_MATCHES
    options.ransac.random_seed = seed
    return options


def match_guided(
    database: Path, pairs: list[tuple[int, int]], settings: Matching, verification, threads: int, progress: Progress
) -> None:
    """COLMAP's own matching, which looks once more along epipolar lines: slow, for few views."""
    options = colmap.FeatureMatchingOptions()
    options.num_threads, options.use_gpu = threads, False
    options.sift.max_ratio = settings.max_ratio
    options.guided_matching = True
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


def read_keypoints(database: Path, views: int) -> list[Annotated[np.ndarray, "F 2"]]:
    """Where the features of every view are, pixels of its feature picture."""
    file = colmap.Database.open(database)
    try:
        return [np.asarray(file.read_keypoints(image_id(v)), np.float64)[:, :2] for v in range(views)]
    finally:
        file.close()


def _pairs(matches) -> Annotated[np.ndarray, "M 2"]:
    return np.asarray(matches, np.int64).reshape(-1, 2)
