"""Nearly planar scenes seen by ten cameras of their own focal lengths: what is believed of them, and how far that is off.

    python -m tools.benchmarks.planar --seeds 6

Synthetic matches (tests/sfm/synthetic_matches.py) of focal lengths from 0.7 to 6 of the longest side on an arc; "depth" is that
of the scene along the view, of its width. Settings are tried in turn, as `recon3d run` does, and the
median errors in degrees over the pairs of views of what it takes are printed.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch

from recon3d.metrics.poses import pair_errors
from recon3d.progress import Progress
from recon3d.sfm.attempts import attempt
from recon3d.sfm.mapping import views_then_agreement
from recon3d.sfm.settings import ENOUGH, Matching, attempts
from tests.sfm.synthetic_matches import Capture, captured_scene

CAMERAS, FOCALS, POINTS = 10, (0.7, 6.0), 200
ARCS, DEPTHS = (20.0, 40.0), (0.0, 0.05, 0.1)


def believed(arc: float, depth: float, seed: int) -> str:
    """How many views are joined, and the median errors of rotation and translation; or "refused"."""
    focals = np.random.default_rng(seed).permutation(np.geomspace(*FOCALS, CAMERAS)).tolist()
    with tempfile.TemporaryDirectory() as folder:
        capture = Capture(focals, arc=arc, points=POINTS, depth=depth, seed=seed)
        database, views, truth = captured_scene(Path(folder), capture)
        tried = []
        for settings in attempts(Matching(), CAMERAS):
            tried.append(attempt(database, views, settings, 1, 0, Progress()))
            if tried[-1].model is not None and len(tried[-1].model.views) >= ENOUGH * CAMERAS:
                break
    model = max(tried, key=views_then_agreement).model
    if model is None:
        return "refused"
    errors = pair_errors(torch.from_numpy(model.camera_from_world), truth.cameras.camera_from_world[list(model.views)])
    return f"{len(model.views)}/{CAMERAS}, {float(errors.rotation.median()):.1f}° / {float(errors.translation.median()):.1f}°"


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--seeds", type=int, default=6)
    ask.add_argument("--first", type=int, default=0, help="the first of the seeds")
    args = ask.parse_args()
    seeds = range(args.first, args.first + args.seeds)
    print("| arc | depth | " + " | ".join(f"seed {seed}" for seed in seeds) + " |\n|" + " --- |" * (2 + len(seeds)))
    for arc in ARCS:
        for depth in DEPTHS:
            print(f"| {arc:g}° | {depth:g} | " + " | ".join(believed(arc, depth, seed) for seed in seeds) + " |", flush=True)


if __name__ == "__main__":
    main()
