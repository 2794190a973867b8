"""How sure a scale is that comes from the GPS track of a video: what the report says against what comes out.

    python -m tools.benchmarks.video_gps --seeds 3

The errors of a receiver drift: 1.8 m by axis (3 m up) that forget themselves over 20, 100 or 600 seconds (a Gauss-Markov
process), and 0.3 m that are new in each sample. Cameras go once around or along a curved way of four radii, in 30 or 120
seconds, with 120 frames. "Counted one by one" is the deviation as of photos; "one receiver" has what the frames share added
to it. Above 10 % a scale is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
import tyro

from recon3d.reconstruction.metric_scale import MOST_DEVIATION, deviation_of_track, fit_places

RADII = (0.5, 2.0, 5.0, 10.0, 15.0, 50.0)  # metres
FORGET = (20.0, 100.0, 600.0)  # seconds
LASTS = (30.0, 120.0)  # seconds
FRAMES = 120
DRIFT, UP, NEW = 1.8, 1.7, 0.3  # metres; how much more upwards; metres


@dataclass(frozen=True)
class Arguments:
    seeds: int = 3
    trials: int = 10
    """Drifts of each seed for each way, length and time in which they are forgotten."""


def way(name: str, radius: float) -> Annotated[np.ndarray, "F 3"]:
    """Camera centres, metres."""
    share = np.linspace(0, 1, FRAMES)
    if name == "around":
        angle = 2 * np.pi * share
        return radius * np.stack([np.cos(angle), np.sin(angle), 0.1 * np.sin(3 * angle)], 1)
    return radius * np.stack([4 * share, 0.5 * np.sin(3 * share), 0.05 * np.sin(9 * share)], 1)


def drift(lasts: float, forget: float, rng: np.random.Generator) -> Annotated[np.ndarray, "F 3"]:
    """The errors of the samples, metres."""
    keep = np.exp(-lasts / (FRAMES - 1) / forget)
    steps = rng.normal(0, DRIFT, (FRAMES, 3))
    steps[1:] *= np.sqrt(1 - keep**2)
    errors = np.empty_like(steps)
    errors[0] = steps[0]
    for i in range(1, FRAMES):
        errors[i] = keep * errors[i - 1] + steps[i]
    return errors * [1, 1, UP] + rng.normal(0, NEW, (FRAMES, 3))


def told(radius: float, forget: float, arguments: Arguments) -> Annotated[np.ndarray, "T 3"]:
    """Error of the scale (of itself), and the two deviations, of every trial."""
    rows = []
    for seed in range(arguments.seeds):
        rng = np.random.default_rng(seed)
        for name in ("around", "along"):
            for lasts in LASTS:
                for _ in range(arguments.trials):
                    centers = torch.from_numpy(way(name, radius))
                    fit = fit_places(centers, centers + torch.from_numpy(drift(lasts, forget, rng)))
                    error = float(fit.metres_from_world.scale) - 1
                    rows.append((error, fit.deviation, deviation_of_track(fit, centers)))
    return np.array(rows)


def main(arguments: Arguments) -> None:
    torch.set_num_threads(1)
    print("| radius | drift forgotten in | error, RMS | | says | taken | off by > 20 % of those | within 10 % but refused |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for radius in RADII:
        for forget in FORGET:
            rows = told(radius, forget, arguments)
            error = np.abs(rows[:, 0])
            for column, name in ((1, "counted one by one"), (2, "one receiver")):
                taken = rows[:, column] <= MOST_DEVIATION
                wrong = float((error[taken] > 0.2).mean()) if taken.any() else 0.0
                refused = float(((error <= 0.1) & ~taken).mean())
                says = float(np.median(rows[:, column]))
                size = f"{radius:g} m | {forget:g} s | {np.sqrt((error**2).mean()):.1%}"
                print(f"| {size} | {name} | {says:.1%} | {taken.mean():.0%} | {wrong:.0%} | {refused:.0%} |", flush=True)


if __name__ == "__main__":
    main(tyro.cli(Arguments))
