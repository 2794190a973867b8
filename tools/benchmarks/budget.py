"""Which way to a budget costs least: of scenes that are finished, and of seeds that refinement starts from.

    python -m tools.benchmarks.budget ../shared/data --out out/budget

Held-out PSNR (photos 4, 12, ...) of a scene refined for 300 steps and then cut to a half and to a quarter by each way, and
of seeds cut to a half and to a quarter before 300 steps; two seeds of chance. Prints two tables in markdown: dB that
each way loses against no budget. The folder gets `budget.json`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from recon3d.core.gaussians import Gaussians
from recon3d.core.geometry import Geometry
from recon3d.core.scene import Scene
from recon3d.core.views import Views
from recon3d.pipeline.choices import QUALITY
from recon3d.pipeline.holdout import measure
from recon3d.progress import Progress
from recon3d.reconstruction.budget import WAYS, Way, contributions, drawn_evenly, judged_on
from recon3d.reconstruction.refinement.refine import Refinement, refine, warm_up
from recon3d.reconstruction.seeding.seed import seed as seeded
from tools.benchmarks.refinement import cameras_of, held_out_scene

SCENES = ("fountain-P11", "herz-jesu-P8", "kitchen", "flower")
QUICK = QUALITY["preview"]
SHARES = (0.5, 0.25)


def ways(seed: int) -> dict[str, Way]:
    return {**WAYS, "drawn evenly": partial(drawn_evenly, seed=seed)}


def quality(views: Views, geometry: Geometry, gaussians: Gaussians) -> float:
    return measure(Scene(gaussians, geometry, views))["mean"]["psnr"]


def refined(views: Views, geometry: Geometry, gaussians: Gaussians, seed: int) -> Gaussians:
    options = Refinement(steps=QUICK.steps, max_gaussians=QUICK.max_gaussians, seed=seed)
    return refine(views, geometry, gaussians, options).gaussians


def rows_of(scene: str, views: Views, geometry: Geometry, seeds: Sequence[int]) -> Iterator[dict]:
    seen = ~views.held_out
    _, cameras = judged_on(views[seen], geometry[seen])
    start = seeded(views[seen], geometry[seen])
    weights = contributions(start, cameras, "cpu")
    for seed in seeds:
        whole = refined(views, geometry, start, seed)
        best = quality(views, geometry, whole)
        of_whole = contributions(whole, cameras, "cpu")
        for share in SHARES:
            for name, way in ways(seed).items():
                after = quality(views, geometry, way(whole, of_whole, int(share * len(whole))))
                few = refined(views, geometry, way(start, weights, int(share * len(whole))), seed)
                yield {
                    "scene": scene, "seed": seed, "share": share, "way": name, "gaussians": int(share * len(whole)),
                    "whole": best, "finished": after, "before refinement": quality(views, geometry, few),
                }  # fmt: skip


def table(rows: Sequence[dict], when: str) -> str:
    scenes = list(dict.fromkeys(r["scene"] for r in rows))
    lines = [f"| {when}: way | share | {' | '.join(scenes)} | mean |", "|" + " --- |" * (len(scenes) + 3)]
    for share in SHARES:
        for name in WAYS:
            lost = [
                statistics.mean(
                    r["whole"] - r[when] for r in rows if (r["scene"], r["share"], r["way"]) == (scene, share, name)
                )
                for scene in scenes
            ]
            lines.append(f"| {name} | {share} | {' | '.join(f'{x:.2f}' for x in lost)} | {statistics.mean(lost):.2f} |")
    return "\n".join(lines)


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("folder", type=Path)
    ask.add_argument("--out", type=Path, required=True)
    ask.add_argument("--scenes", nargs="*", default=SCENES)
    ask.add_argument("--seeds", nargs="*", type=int, default=[0, 1])
    options = ask.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    warm_up()
    rows: list[dict] = []
    for name in options.scenes:
        flat, known = held_out_scene(*cameras_of(options.folder / name, QUICK.max_size, Progress()), "8:4", QUICK.max_size)
        for row in rows_of(name, flat, known, options.seeds):
            rows.append(row)
            print(row, file=sys.stderr, flush=True)
            (options.out / "budget.json").write_text(json.dumps(rows, indent=1) + "\n")
    print("dB lost\n")
    print(table(rows, "finished"))
    print()
    print(table(rows, "before refinement"))


if __name__ == "__main__":
    main()
