"""The scenes of a step: procedural ones, photographed where they are used and made like photos, and those of data sets.

What a step sees follows from the run's seed and the step's number alone, for any number of processes.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch

from recon3d.core.jit import use_threads
from recon3d.data.augmentation import augmented, recolored
from recon3d.data.batch import Batch, joined, rendered
from recon3d.data.shots import Drawn, drawn, stacked
from recon3d.errors import InputError
from recon3d.training.config import Training
from recon3d.training.posed_scenes import Taken, source_of, sources, taken

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


def drawn_for(config: Training, what: Asked, rank: int, world: int) -> list[Drawn | Taken]:
    """This process's part of a step's scenes."""
    return [scene_of(config, what, i) for i in own(what, rank, world)]


def scene_of(config: Training, what: Asked, i: int) -> Drawn | Taken:
    """Scene i of a step, procedural or of one of the data sets."""
    key = (config.seed, what.step, i)
    source = source_of(sources(config.data), config.procedural, key)
    if source is None:
        return drawn(key, what.views, what.size, what.difficulty)
    return taken(source, key, what.views, what.size, what.difficulty, config.gap)


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


def batch_of(scenes: Sequence[Drawn | Taken], as_photos: bool, generators: Sequence[torch.Generator]) -> Batch:
    """The scenes as tensors where the generators are, in their order. `as_photos`: exposures differ between views, and
    procedural pictures are as from a camera; photos are that already."""
    made = [(i, scene) for i, scene in enumerate(scenes) if isinstance(scene, Drawn)]
    read = [(i, scene) for i, scene in enumerate(scenes) if isinstance(scene, Taken)]
    parts = []
    if made:
        parts.append(photographed([scene for _, scene in made], as_photos, [generators[i] for i, _ in made]))
    if read:
        parts.append(photos([scene for _, scene in read], as_photos, [generators[i] for i, _ in read]))
    if len(parts) == 1:
        return parts[0]
    order = [i for i, _ in (*made, *read)]
    return joined(parts).scenes([order.index(i) for i in range(len(scenes))])


def photos(scenes: Sequence[Taken], as_photos: bool, generators: Sequence[torch.Generator]) -> Batch:
    """Scenes of data sets."""
    device = generators[0].device
    images, cameras, K, depth = (
        torch.from_numpy(np.stack(arrays)).to(device)
        for arrays in zip(*((s.images, s.camera_from_world, s.K, s.depth) for s in scenes), strict=True)
    )
    images = images.float() / 255
    images = recolored(images, generators) if as_photos else images
    return Batch(images, cameras, K, depth, tuple(scene.depth_from for scene in scenes))


def photographed(scenes: list[Drawn], as_photos: bool, generators: list[torch.Generator]) -> Batch:
    """Procedural scenes."""
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
        self.waiting: dict[int, tuple[Asked, list[Future[Drawn | Taken]]]] = {}

    def drawn_for(
        self, config: Training, asked_for: Sequence[Asked], rank: int, world: int
    ) -> tuple[Asked, list[Drawn | Taken]]:
        """This process's part of the first step that is asked for; the others are begun. By wall time a step may be told
        otherwise than when it was begun: then what was begun counts, and is returned."""
        for what in asked_for:
            if what.step not in self.waiting:
                begun = [self.pool.submit(scene_of, config, what, i) for i in own(what, rank, world)]
                self.waiting[what.step] = (what, begun)
        what, futures = self.waiting.pop(asked_for[0].step)
        return what, [future.result() for future in futures]


def on_one_thread() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches them too: the process that they draw for ends them
    torch.set_num_threads(1)
    use_threads(1).__enter__()
