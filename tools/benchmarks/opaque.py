"""What it gives that nothing far shines through what is near (refinement/nearness.py): held-out PSNR and SSIM.

    python -m tools.benchmarks.opaque ../shared/data

Cameras by COLMAP from all photos, 384 px, 1000 steps, at most 100 000 Gaussians; for each scene and each choice of held-out
photos, refined with every step drawing everything, as before, and as now. Prints a table in markdown.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path

from recon3d.core.geometry import Geometry
from recon3d.core.scene import Scene
from recon3d.core.views import Views
from recon3d.pipeline.holdout import measure
from recon3d.progress import Progress
from recon3d.reconstruction.refinement import refine as refining
from recon3d.reconstruction.refinement.nearness import ALL_EVERY
from recon3d.reconstruction.refinement.refine import Refinement, refine, warm_up
from recon3d.reconstruction.seeding.seed import seed as seeded
from tools.benchmarks.refinement import cameras_of, held_out_scene

SCENES = ("fountain-P11", "herz-jesu-P8", "flower", "banana", "kitchen", "beach-drone", "street")
SIZE, STEPS, MOST = 384, 1000, 100_000


def cells(views: Views, known: Geometry, seeds: Sequence[int], every: int) -> str:
    """PSNR with each seed, and the mean SSIM."""
    refining.ALL_EVERY = every
    seen = ~views.held_out
    start = seeded(views[seen], known[seen])
    refined = [refine(views, known, start, Refinement(steps=STEPS, max_gaussians=MOST, seed=seed)) for seed in seeds]
    means = [measure(Scene(r.gaussians, r.geometry, views))["mean"] for r in refined]
    psnrs = ", ".join(f"{m['psnr']:.2f}" for m in means)
    return f"{psnrs} | {statistics.mean(m['ssim'] for m in means):.3f}"


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("folder", type=Path)
    ask.add_argument("--scenes", nargs="*", default=SCENES)
    ask.add_argument("--holdouts", nargs="*", default=["8:4"])
    ask.add_argument("--seeds", nargs="*", type=int, default=[0, 1])
    options = ask.parse_args()
    warm_up()
    print("| scene | held out | PSNR before | SSIM | PSNR now | SSIM |\n|" + " --- |" * 6)
    for name in options.scenes:
        loaded = cameras_of(options.folder / name, SIZE, Progress())
        for holdout in options.holdouts:
            views, known = held_out_scene(*loaded, holdout, SIZE)
            before, now = (cells(views, known, options.seeds, every) for every in (1, ALL_EVERY))
            print(f"| {name} | {holdout} | {before} | {now} |", flush=True)


if __name__ == "__main__":
    main()
