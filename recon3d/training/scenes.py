"""The scenes of a step: drawn, photographed where they are used, and made like photos; nothing lies on a disk.

What a step sees follows from the run's seed and the step's number alone, for any number of processes.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch

from recon3d.core.jit import use_threads
from recon3d.data.augmentation import augmented
from recon3d.data.batch import Batch, rendered
from recon3d.data.shots import Drawn, drawn, stacked
from recon3d.errors import InputError
from recon3d.training.config import Training

AHEAD = 4  # steps whose scenes are drawn before they are needed
VALIDATION = 1_000_000_007  # first number of the seeds that nothing is trained on


@dataclass(frozen=True)
class Asked:
    """What the scenes of a step are."""

    step: int
    scenes: int
    views: int
    size: tuple[int, int]
    difficulty: float


def asked(config: Training, step: int, share: float) -> Asked:
    """Of a step at a share of the training."""
    patch = config.network.multiple
    phase = config.phase(share)
    rng = np.random.default_rng([config.seed, step])
    aspect = config.aspects[rng.integers(len(config.aspects))]
    height, width = (phase.size * s for s in ((1 / aspect, 1) if aspect > 1 else (1, aspect)))
    size = (patch * round(height / patch), patch * round(width / patch))
    views = int(rng.integers(phase.views[0], phase.views[1] + 1))
    return Asked(step, phase.scenes, views, size, config.difficulty(share))


def drawn_for(config: Training, what: Asked, rank: int, world: int) -> list[Drawn]:
    """This process's part of a step's scenes."""
    return [drawn([config.seed, what.step, i], what.views, what.size, what.difficulty) for i in own(what, rank, world)]


def own(what: Asked, rank: int, world: int) -> range:
    """Which of a step's scenes are this process's. Raises InputError where they cannot be shared evenly."""
    if what.scenes % world:
        wrong = f"{what.scenes} scenes a step cannot be shared among {world} processes"
        raise InputError("--phases", wrong, "Give each phase a multiple of them")
    return range(rank * what.scenes // world, (rank + 1) * what.scenes // world)


def generators_of(config: Training, what: Asked, scenes: int, rank: int, device: torch.device) -> list[torch.Generator]:
    """One for each of this process's scenes, for all that is drawn at random on the device."""
    first = rank * scenes
    seeds = [np.random.SeedSequence([config.seed, what.step, first + i]).generate_state(1)[0] for i in range(scenes)]
    return [torch.Generator(device=device).manual_seed(int(seed)) for seed in seeds]


def batch_of(scenes: list[Drawn], as_photos: bool, generators: list[torch.Generator]) -> Batch:
    """The scenes photographed; `as_photos`: their exposures differ, and their pictures are as from a camera."""
    device = generators[0].device
    if not as_photos:
        return rendered(stacked([evenly_lit(scene) for scene in scenes]), device=device)
    batch = rendered(stacked(scenes), device=device)
    return replace(batch, images=augmented(batch.images, generators))


def evenly_lit(scene: Drawn) -> Drawn:
    """Exposed alike in all views: how a view was that a network does not see, nothing tells it."""
    gains = np.broadcast_to(scene.shots.gains.mean(1, keepdims=True), scene.shots.gains.shape)
    return replace(scene, shots=scene.shots._replace(gains=gains.copy()))


def validation(
    count: int, views: int, size: tuple[int, int], as_photos: bool = True, device: torch.device | str = "cpu"
) -> Iterator[Batch]:
    """Scenes held out by their seeds, one at a time, as clean pictures; at full difficulty."""
    for i in range(count):
        scene = drawn([VALIDATION, i], views, size)
        yield rendered(scene if as_photos else evenly_lit(scene), device=device)


class Ahead:
    """Draws the scenes of the steps to come in processes beside this one, where a device does everything else."""

    def __init__(self, world: int) -> None:
        drawn(0, 2, (32, 32))  # compiled once, not by each of them
        processes = max(1, (os.cpu_count() or 1) // world - 1)
        self.pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), initializer=on_one_thread)
        self.waiting: dict[int, tuple[Asked, list[Future[Drawn]]]] = {}

    def drawn_for(
        self, config: Training, asked_for: Sequence[Asked], rank: int, world: int
    ) -> tuple[Asked, list[Drawn]]:
        """This process's part of the first step that is asked for; the others are begun. By wall time a step may be told
        otherwise than when it was begun: then what was begun counts, and is returned."""
        for what in asked_for:
            if what.step not in self.waiting:
                tasks = [([config.seed, what.step, i], what.views, what.size, what.difficulty) for i in own(what, rank, world)]
                self.waiting[what.step] = (what, [self.pool.submit(drawn, *task) for task in tasks])
        what, futures = self.waiting.pop(asked_for[0].step)
        return what, [future.result() for future in futures]


def on_one_thread() -> None:
    use_threads(1).__enter__()
