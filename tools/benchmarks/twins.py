"""How far depth-reversed twins trail with their lenses held, and to the end: what `sfm.twin.HOPELESS` rests on.

    python -m tools.benchmarks.twins --seeds 90

Synthetic captures (tests/sfm/synthetic_matches.py) of 3 to 12 views, focal lengths of 0.8 to 6 of the longest side, arcs of 3 to
45 degrees, one camera or each its own, 1200 points; the right model at its minimum, and its depth-reversed one. Prints those
that are compared no further, by how much their nearest twin trails at first and in the whole search; then how many were tried.
"""

from __future__ import annotations

import argparse
import math

import numpy as np

from recon3d.core.lens import Lens
from recon3d.sfm import twin
from recon3d.sfm.adjustment import adjusted, at_minimum
from recon3d.sfm.features import Camera
from recon3d.sfm.models import Model
from tests.sfm.synthetic_matches import Capture, captured
from tests.sfm.true_models import true_model

START = Lens("SIMPLE_RADIAL", (1536.0, 640.0, 480.0, 0.0), 960, 1280)


def models(seed: int) -> tuple[tuple[Camera, ...], dict[str, Model]]:
    """The cameras of a capture, and its models that kept half of their observations."""
    chance = np.random.default_rng(seed)
    count, focal = int(chance.integers(3, 13)), float(np.exp(chance.uniform(np.log(0.8), np.log(6))))
    arc, shared, depth = float(chance.uniform(3, 45)), bool(chance.integers(2)), float(chance.choice([1.0, 0.3, 0.1]))
    noise, outliers = float(chance.choice([0.3, 0.5, 1.0])), float(chance.choice([0, 0.02]))
    focals = (focal,) * count if shared else tuple(focal * np.exp(chance.uniform(-0.5, 0.5, count)))
    truth = true_model(captured(Capture(focals, arc, 1200, depth, shared, noise, outliers, seed)))
    views = tuple(range(count))
    cameras = tuple(Camera(v, START, False, False) for v in ((views,) if shared else ((view,) for view in views)))
    mirrored = twin.depth_reversed(truth, float(chance.choice([0.5, 1.0, 2.0])), list(views))
    mirrored = adjusted(mirrored, cameras, refine_focal=False, iterations=30)
    found = {}
    for name, model in (("right", truth), ("reversed", mirrored)):
        model = at_minimum(adjusted(model, cameras), cameras, False)
        if len(model.points) and len(model.view) >= 0.5 * len(truth.view):
            found[name] = model
    return cameras, found


def lead(model: Model, cameras: tuple[Camera, ...], hopeless: float) -> float:
    """Of the model over its rival, where twins that trail by `hopeless` are compared no further."""
    kept, twin.HOPELESS = twin.HOPELESS, hopeless
    try:
        found = twin.rival(model, cameras, distortion=False)
    finally:
        twin.HOPELESS = kept
    return math.inf if found is None else found.lead


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--first", type=int, default=0)
    ask.add_argument("--seeds", type=int, default=90)
    asked = ask.parse_args()
    tried = skipped = 0
    print("| seed | model | nearest twin, lenses held | in the whole search |\n| --- | --- | --- | --- |")
    for seed in range(asked.first, asked.first + asked.seeds):
        cameras, found = models(seed)
        for name, model in found.items():
            tried += 1
            held, whole = lead(model, cameras, -math.inf), lead(model, cameras, math.inf)
            if lead(model, cameras, twin.HOPELESS) == held > twin.HOPELESS:
                skipped += 1
                print(f"| {seed} | {name} | {held:.1f} | {whole:.1f} |", flush=True)
    print(f"\n{skipped} of {tried} are compared no further")


if __name__ == "__main__":
    main()
