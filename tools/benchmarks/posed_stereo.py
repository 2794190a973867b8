"""How far the depth that training takes from stereo is from the truth, on procedural scenes.

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python -m tools.benchmarks.posed_stereo --scenes 12

Scenes of five views along an arc or a walk: the first and the last are learned from, those between help stereo, as in a video.
For each number of other depth maps that must agree: the share of true pixels that get a depth, AbsRel and median of relative
errors of these, the share of them beyond a twentieth, and of the depths found the share that stands in the sky; means over
the scenes that training does not pass over, and how many these are. And the processor time of a scene.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from recon3d.data.batch import rendered
from recon3d.data.shots import drawn
from recon3d.reconstruction.seeding import posed_stereo
from recon3d.training.posed_scenes import why_useless

SEEDS = (11, 12, 13)
ORDER = [0, 4, 1, 2, 3]  # the two that are learned from first
DIFFICULTY = 0.5


def figures(found: np.ndarray, truth: np.ndarray) -> list[float]:
    both = (found > 0) & (truth > 0)
    if not both.any():
        return [0.0, np.nan, np.nan, np.nan, np.nan]
    error = np.abs(found[both] / truth[both] - 1)
    in_the_sky = ((found > 0) & (truth == 0)).sum() / (found > 0).sum()
    return [both.sum() / (truth > 0).sum(), error.mean(), float(np.median(error)), (error > 0.05).mean(), in_the_sky]


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--scenes", type=int, default=12, help="of each seed")
    ask.add_argument("--size", type=int, nargs=2, default=(120, 160), help="height and width")
    options = ask.parse_args()
    rows: dict[int, list[list[float]]] = {1: [], 2: [], 3: []}
    seconds = []
    for seed in SEEDS:
        for number in range(options.scenes):
            batch = rendered(drawn([seed, number], 5, tuple(options.size), DIFFICULTY)).views(ORDER)
            truth = batch.depth[0, :2].numpy()
            for agree in rows:
                posed_stereo.AGREEING = agree
                begun = time.process_time()
                found = posed_stereo.stereo_depth(batch.images[0], batch.camera_from_world[0], batch.K[0], [0, 1])
                seconds.append(time.process_time() - begun)
                if why_useless(found.numpy(), batch.camera_from_world[0, :2].numpy(), batch.K[0, :2].numpy()) is None:
                    rows[agree].append(figures(found.numpy(), truth))
    print("| agreeing | scenes | known | AbsRel | median | beyond 5 % | in the sky |\n|" + " --- |" * 7)
    for agree, found in rows.items():
        share, *errors = np.nanmean(np.array(found), 0)
        count = f"{len(found)} of {len(SEEDS) * options.scenes}"
        print(f"| {agree} | {count} | {share:.1%} | {errors[0]:.4f} | {errors[1]:.4f} | {errors[2]:.1%} | {errors[3]:.2%} |")
    print(f"{np.median(seconds):.2f} s of one core a scene, {torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()
