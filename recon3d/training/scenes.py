"""The scenes of a step: drawn, photographed where they are used, and made like photos; nothing lies on a disk.

What a step sees follows from the run's seed and the step's number alone, for any number of processes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from recon3d.data.augmentation import augmented
from recon3d.data.batch import Batch, rendered
from recon3d.data.shots import Drawn, drawn, stacked
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


def asked(config: Training, step: int, share: float, patch: int) -> Asked:
    """Of a step at a share of the training."""
    phase = config.phase(share)
    rng = np.random.default_rng([config.seed, step])
    aspect = config.aspects[rng.integers(len(config.aspects))]
    height, width = (phase.size * s for s in ((1 / aspect, 1) if aspect > 1 else (1, aspect)))
    size = (patch * round(height / patch), patch * round(width / patch))
    views = int(rng.integers(phase.views[0], phase.views[1] + 1))
    return Asked(step, phase.scenes, views, size, config.difficulty(share))


def drawn_for(config: Training, what: Asked, rank: int, world: int) -> list[Drawn]:
    """This process's part of a step's scenes."""
    if what.scenes % world:
        raise ValueError(f"{what.scenes} scenes a step cannot be shared among {world} processes")
    mine = range(rank * what.scenes // world, (rank + 1) * what.scenes // world)
    return [drawn([config.seed, what.step, i], what.views, what.size, what.difficulty) for i in mine]


def batch_of(config: Training, what: Asked, scenes: list[Drawn], rank: int, device: torch.device) -> Batch:
    """The scenes photographed, and their pictures as from a camera."""
    batch = rendered(stacked(scenes), device=device)
    images = []
    for i, own in enumerate(batch.images):
        generator = torch.Generator(device=device)
        generator.manual_seed(int(np.random.SeedSequence([config.seed, what.step, rank * len(scenes) + i]).generate_state(1)[0]))
        images.append(augmented(own[None], generator))
    return Batch(torch.cat(images), batch.camera_from_world, batch.K, batch.depth)


def validation(count: int, views: int, size: tuple[int, int]) -> Iterator[Batch]:
    """Scenes held out by their seeds, one at a time, as clean pictures; on the CPU, at full difficulty."""
    for i in range(count):
        yield rendered(drawn([VALIDATION, i], views, size))


class Ahead:
    """Draws the scenes of the steps to come in processes beside this one, where a device does everything else."""

    def __init__(self, processes: int) -> None:
        self.pool = ProcessPoolExecutor(processes)
        self.waiting: dict[int, list] = {}

    def drawn_for(self, config: Training, what: Asked, coming: list[Asked], rank: int, world: int) -> list[Drawn]:
        for a in (what, *coming):
            if a.step not in self.waiting:
                mine = range(rank * a.scenes // world, (rank + 1) * a.scenes // world)
                self.waiting[a.step] = [
                    self.pool.submit(drawn, [config.seed, a.step, i], a.views, a.size, a.difficulty) for i in mine
                ]
        return [future.result() for future in self.waiting.pop(what.step)]


def processes_beside(world: int) -> int:
    import os

    return max(1, math.floor((os.cpu_count() or 1) / world) - 1)
