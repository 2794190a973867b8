"""Repeats published pose figures of networks: AUC@30 over all pairs of frames, as `recon3d eval poses` measures it.

    python -m tools.reproduce.poses vggt-1b-re10k re10k/ --out out/vggt
    python -m tools.reproduce.poses da3-base-spatialbench spatialbench/ --frames pinned.json --out out/da3

DATASET is whatever `recon3d eval` reads. Where the frames were drawn at random, ours are drawn by --seed, and the list of
them stays in the folder; published ones are given with --frames. Without --weights the published file is taken from the hub;
`random` runs it through without one. A run that was cut off goes on. Exit code 1 where a whole run ends outside of the
tolerance.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

from recon3d.data.dataset import opened
from recon3d.data.frames import write_frames
from recon3d.data.posed_scene import Skipped
from recon3d.data.samplers import drawn
from recon3d.errors import InputError
from recon3d.evaluation.engine import Evaluation, evaluate
from recon3d.evaluation.pose_averages import over_pairs, with_pose_figures
from recon3d.evaluation.records import Record, read_records
from recon3d.evaluation.report import write_report
from recon3d.models.checkpoints import RANDOM
from recon3d.progress import Progress


@dataclass(frozen=True)
class Figure:
    method: str  # a row of --geometry, by the name of its weights
    auc_30: float  # percent, over all pairs
    tolerance: float  # points: what other frames of the same kind may move
    scenes: int | None  # of a whole run; None: as many as the list names
    views: int | None  # drawn from each scene; None: the frames are published
    source: str
    download: str


RE10K = "the test chunks of RealEstate10K that pixelSplat's authors offer (recon3d data check re10k/ tells where)"
PINNED = "SpatialBench's scenes as posed folders, and its list of sparse frames as [{scene, context, target: []}, ...]"
# VGGT on RealEstate10K is printed as 85.3, 77.6 and about 74 by different papers: which frames counts for more than most
# networks differ by, so the tolerance is wide and the list of frames is kept.
FIGURES = {
    "vggt-1b-re10k": Figure("vggt-1b", 85.3, 3.0, 1800, 10, "VGGT (arXiv 2503.11651), table 1, feed-forward", RE10K),
    "vggt-1b-co3d": Figure(
        "vggt-1b", 89.98, 2.0, None, 10, "README of VGGT, evaluation branch (mean over 51 categories, which are not parted here)",
        "CO3Dv2's test sequences of 50 frames or more, each as a COLMAP model or transforms.json",
    ),
    "da3-giant-spatialbench": Figure("da3-giant", 78.5, 1.0, None, None, "SpatialBench, sparse views", PINNED),
    "vggt-1b-spatialbench": Figure("vggt-1b", 70.0, 1.0, None, None, "SpatialBench, sparse views", PINNED),
    "da3-base-spatialbench": Figure("da3-base", 56.6, 1.0, None, None, "SpatialBench, sparse views", PINNED),
    "da3-small-spatialbench": Figure("da3-small", 47.6, 1.0, None, None, "SpatialBench, sparse views", PINNED),
}  # fmt: skip


def drawn_frames(dataset: Path, views: int, seed: int, out: Path) -> Path:
    """A list of `views` random frames of every scene that has so many, written to `out`. Raises InputError for none."""
    found = [drawn(s.name, len(s), views, seed) for s in opened(dataset).scenes() if not isinstance(s, Skipped)]
    choices = tuple(choice for choice in found if not isinstance(choice, Skipped))
    if not choices:
        raise InputError(dataset, f"no scene has {views} frames", "recon3d data check says what is there")
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{views}_frames_of_seed_{seed}.json"
    write_frames(path, choices)
    return path


def compared(figure: Figure, records: list[Record], weights: str | None) -> int:
    """Prints what was measured beside what is published; the exit code."""
    counted = [with_pose_figures(r) for r in records if r.status != "skipped"]
    lost = sum(r.status == "failed" for r in counted)
    if not counted:
        print("no scene was evaluated")
        return 2
    value = 100 * over_pairs(counted)["auc_30"]
    print(f"AUC@30 {value:.2f} over the pairs of {len(counted)} scenes, {lost} of them failed; published {figure.auc_30}")
    whole = figure.scenes is None or len(counted) >= figure.scenes
    if weights == RANDOM or not whole:
        print("no comparison: " + ("the weights are random" if weights == RANDOM else f"a whole run has {figure.scenes} scenes"))
        return 0
    return 0 if abs(value - figure.auc_30) <= figure.tolerance else 1


def main() -> int:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("figure", choices=FIGURES)
    ask.add_argument("dataset", type=Path)
    ask.add_argument("--out", type=Path, required=True)
    ask.add_argument("--frames", type=Path, help="a list of frames, in the place of drawn ones")
    ask.add_argument("--weights", help="the published file, or the word random")
    ask.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    ask.add_argument("--seed", type=int, default=0)
    ask.add_argument("--views", type=int, help="fewer than published, to try it out")
    options = ask.parse_args()
    figure = FIGURES[options.figure]
    print(f"{options.figure}: {figure.auc_30} by {figure.source}. Needs {figure.download}")
    try:
        views, frames = options.views or figure.views, options.frames
        if frames is None:
            if views is None:
                raise InputError("--frames", "its frames are published, not drawn", f"Give {PINNED}")
            frames = drawn_frames(options.dataset, views, options.seed, options.out)
        weights = () if options.weights is None else ((figure.method, options.weights),)
        asked = Evaluation(
            "poses", options.dataset, options.out, (figure.method,), weights=weights, frames=frames,
            device=options.device, seed=options.seed,
        )  # fmt: skip
        evaluate(asked, Progress(lambda event: print(event.text, file=sys.stderr)))
        write_report(options.out)
        return compared(figure, list(read_records(options.out)), options.weights)
    except InputError as error:
        print(f"poses: error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
