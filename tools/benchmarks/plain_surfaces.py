"""What planes give where stereo finds nothing: how much of the pictures they add and how right that is, and held-out PSNR.

    python -m tools.benchmarks.mesh --out out/mesh --what points
    python -m tools.benchmarks.plain_surfaces --procedural out/mesh --photos ../shared/data

`--procedural` takes the runs that the first command leaves, whose depth is known: the share of the pixels of surfaces that have
a depth, without planes and with them, and of what planes add the share within 3 % of the truth. `--photos` refines scenes of
COLMAP's cameras from both seeds: 384 px, 500 steps, photos 4, 12, ... held out. Prints tables in markdown.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from recon3d.core.geometry import Geometry
from recon3d.core.scene import Scene
from recon3d.core.views import Views
from recon3d.data.batch import rendered
from recon3d.data.shots import drawn
from recon3d.pipeline.api import load_scene
from recon3d.pipeline.holdout import measure
from recon3d.progress import Progress
from recon3d.reconstruction.refinement.refine import Refinement, refine, warm_up
from recon3d.reconstruction.seeding import dense
from recon3d.reconstruction.seeding.plain_surfaces import Depths, filled
from recon3d.reconstruction.seeding.plane_sweep import Small, swept
from recon3d.reconstruction.seeding.seed import seed as seeded
from tools.benchmarks.refinement import cameras_of, held_out_scene

RUNS = [(seed, number) for seed in (7, 8) for number in range(3)]  # of tools/benchmarks/mesh.py, 20 views of 240 x 320
PHOTOS = ("kitchen", "banana", "fountain-P11", "herz-jesu-P8", "flower", "beach-drone", "street")
RIGHT, SIZE, STEPS, MOST = 0.03, 384, 500, 100_000


def covered(folder: Path, seed: int, number: int) -> str:
    """A row of the table of procedural scenes."""
    batch = rendered(drawn([seed, number], 20, (240, 320), 1.0), 2)
    scene = load_scene(folder / f"points_{seed}_{number}_1")
    assert scene.views is not None and scene.geometry is not None
    small, matched = swept(scene.views, scene.geometry)
    both = filled(matched, small)
    surface = without = added = right = 0
    for i, depth in matched.items():
        true = torch.nn.functional.interpolate(batch.depth[:1, int(scene.views.names[i].split(".")[0])][None], depth.shape)[0, 0]
        truth, new = true.numpy(), (both[i] > 0) & (depth == 0)
        surface += int((truth > 0).sum())
        without += int(((depth > 0) & (truth > 0)).sum())
        added += int(new.sum())
        right += int((np.abs(both[i] - truth)[new] <= RIGHT * truth[new]).sum())
    share = f"{right / added:.3f}" if added else ""
    return f"| {seed} | {number} | {without / surface:.3f} | {(without + added) / surface:.3f} | {share} |"


def psnrs(views: Views, known: Geometry, fill: Callable[[Depths, list[Small]], Depths], seeds: list[int]) -> str:
    """Held-out PSNR with each seed."""
    dense.filled = fill
    seen = ~views.held_out
    start = seeded(views[seen], known[seen])
    found = []
    for seed in seeds:
        refined = refine(views, known, start, Refinement(steps=STEPS, max_gaussians=MOST, seed=seed))
        found.append(measure(Scene(refined.gaussians, refined.geometry, views))["mean"]["psnr"])
    return ", ".join(f"{value:.2f}" for value in found)


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--procedural", type=Path)
    ask.add_argument("--photos", type=Path)
    ask.add_argument("--scenes", nargs="*", default=PHOTOS)
    ask.add_argument("--seeds", nargs="*", type=int, default=[0, 1])
    options = ask.parse_args()
    if options.procedural:
        print("| seed | scene | matched | with planes | right of what they add |\n|" + " --- |" * 5)
        for seed, number in RUNS:
            print(covered(options.procedural, seed, number), flush=True)
    if options.photos:
        warm_up()
        print("| scene | without planes | with planes |\n|" + " --- |" * 3)
        for name in options.scenes:
            views, known = held_out_scene(*cameras_of(options.photos / name, SIZE, Progress()), "8:4", SIZE)
            cells = (psnrs(views, known, fill, options.seeds) for fill in (lambda matched, _: matched, filled))
            print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
