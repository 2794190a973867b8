"""Seconds of a training step with scenes made for it, and with the same scenes again and again.

    python -m tools.benchmarks.training --device cuda --recipe small-gpu --steps 60

Both in turn in each phase of the recipe, medians of the second half of the steps.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace

import torch

from recon3d.training import scenes
from recon3d.training.config import RECIPES, Training
from recon3d.training.loop import begun, next_scenes, rate_at, step
from recon3d.training.tasks import task_of


def seconds(config: Training, share: float, steps: int, device: torch.device, fresh: bool) -> tuple[float, float]:
    """Of a step at a share of the training, and scenes a second."""
    ahead = scenes.Ahead(1) if device.type == "cuda" else None
    state = begun(config, device, None)
    taken, batch, what, generators = [], None, None, []
    for number in range(steps):
        start = time.perf_counter()
        if fresh or batch is None:
            what, drawn = next_scenes(config, number, share, ahead, 0, 1)
            generators = scenes.generators_of(config, what, len(drawn), 0, device)
            batch = scenes.batch_of(drawn, task_of(config).as_photos, generators)
        step(state.network, state, config, batch, generators, rate_at(config, share))
        if device.type == "cuda":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - start)
    if ahead:
        ahead.pool.shutdown(cancel_futures=True)
    middle = statistics.median(taken[steps // 2 :])
    assert what is not None
    return middle, what.scenes / middle


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--device", default="cpu")
    ask.add_argument("--recipe", choices=RECIPES, default="small-cpu")
    ask.add_argument("--steps", type=int, default=20)
    options = ask.parse_args()
    device = torch.device(options.device)
    config = RECIPES[options.recipe]()
    print("| phase | scenes, views, px | s a step with data | without | ratio | scenes a second |\n|" + " --- |" * 6)
    begin = 0.0
    for i, phase in enumerate(config.phases):
        most = replace(phase, views=(phase.views[1],) * 2)
        fixed = replace(config, aspects=(1.0,), phases=(*config.phases[:i], most, *config.phases[i + 1 :]))
        share = (begin + phase.until) / 2
        (without, _), (data, rate) = (seconds(fixed, share, options.steps, device, fresh) for fresh in (False, True))
        what = f"{phase.scenes}, {phase.views[1]}, {phase.size}"
        print(f"| {i + 1} | {what} | {data:.3f} | {without:.3f} | {data / without:.2f} | {rate:.1f} |", flush=True)
        begin = phase.until


if __name__ == "__main__":
    main()
