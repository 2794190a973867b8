"""Frames to evaluate where no published list names them. What is drawn depends on the seed and the scene's name alone."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from recon3d.data.frames import Choice
from recon3d.data.posed_scene import Skipped


@dataclass(frozen=True)
class Bounded:
    """Context views a random gap apart and targets strictly between them: pixelSplat's bounded sampler."""

    contexts: int = 2
    targets: int = 3
    least_gap: int = 45  # frames between the first and the last context view; pixelSplat trains from 45 to 192
    most_gap: int = 192


def bounded(scene: str, count: int, sampler: Bounded, seed: int) -> Choice | Skipped:
    """Random frames of a scene of `count`. More than two contexts lie at random between the outer two; no frame comes twice.

    The published sampler may draw a target twice; an evaluation would count it twice.
    """
    least = max(sampler.least_gap, sampler.contexts + sampler.targets - 1)
    most = min(sampler.most_gap, count - 1)
    if least > most:
        return Skipped(scene, f"its {count} frames are too few for context views {least} frames apart")
    random = np.random.default_rng([seed, zlib.crc32(scene.encode())])
    gap = int(random.integers(least, most + 1))
    first = int(random.integers(0, count - gap))
    inner = first + 1 + random.choice(gap - 1, sampler.contexts - 2 + sampler.targets, replace=False)
    context = sorted([first, first + gap, *inner[: sampler.contexts - 2].tolist()])
    return Choice(scene, tuple(context), tuple(sorted(inner[sampler.contexts - 2 :].tolist())))


def spread(scene: str, count: int, contexts: int, every: int, start: int) -> Choice | Skipped:
    """Targets start, start + every, ...; contexts spread evenly over the other frames: no target is ever a context.

    `every` and `start` are those of `--holdout 8:4`. Rounding halves to even, as numpy does.
    """
    target = tuple(range(start, count, every))
    rest = [i for i in range(count) if i not in set(target)]
    if not target or len(rest) < contexts:
        return Skipped(scene, f"its {count} frames are too few for {contexts} context views and one of {every} held out")
    return Choice(scene, tuple(rest[i] for i in evenly(len(rest), contexts)), target)


def drawn(scene: str, count: int, wanted: int, seed: int) -> Choice | Skipped:
    """`wanted` different frames of a scene of `count`, drawn at random, in their order: those of pose benchmarks."""
    if count < wanted:
        return Skipped(scene, f"its {count} frames are too few for {wanted} views")
    random = np.random.default_rng([seed, zlib.crc32(scene.encode())])
    return Choice(scene, tuple(sorted(random.choice(count, wanted, replace=False).tolist())), ())


def evenly(count: int, wanted: int) -> tuple[int, ...]:
    """`wanted` of `count` frames, the first and the last among them; all where there are no more."""
    if wanted >= count:
        return tuple(range(count))
    return tuple(np.round(np.linspace(0, count - 1, wanted)).astype(int).tolist())
