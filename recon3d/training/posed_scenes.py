"""Scenes of data sets for a step: frames drawn by the seed, brought to the step's size, with depth from files or from stereo.

A scene that is of no use is passed over and another one drawn, by the same seed: what a step sees does not depend on chance.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import torch

from recon3d.data.batch import DepthFrom
from recon3d.data.dataset import DataSet, opened
from recon3d.data.posed_depth import covered_depth, depth_files
from recon3d.data.posed_scene import PosedScene, SceneAt, Skipped, cropped_cameras, views
from recon3d.data.rules import wrong_camera
from recon3d.data.samplers import Bounded, bounded, evenly
from recon3d.data.shots import shared
from recon3d.errors import InputError
from recon3d.reconstruction.seeding.posed_stereo import stereo_depth

# Frames from the first to the last view, by the kind of the data set; a scene that is shorter gives what it has. Chunks hold
# videos (pixelSplat trains from 45 to 192), DL3DV every few frames of them, folders photos that someone chose.
GAPS = {"chunks": (24, 192), "dl3dv": (6, 48), "posed": (1, 12)}
EASY = 0.25  # of the way from the least gap to the most, at difficulty 0
MATCHED = 5  # pictures that stereo compares at least: frames around the views are read for it
KNOWN, OF_EACH = 0.1, 0.02  # share of all pixels whose depth must be known, and of each view's
SHARED = 0.15  # of a view's known pixels, that some other view must show too
SEEN_EVERY = 2  # rows and columns by which that is judged
TRIES = 100
ANOTHER = 1_000_000_009  # tells these draws from those of procedural scenes
KEPT = 8  # scenes that stay opened
REMEDY = "Give PATH=WEIGHT with a weight above 0"


@dataclass(frozen=True)
class Source:
    """A data set in a mixture."""

    data: DataSet
    scenes: tuple[SceneAt, ...]
    weight: float


@dataclass(frozen=True)
class Taken:
    """V views of one scene, in the frame of the first, median depth 1. Arrays, since they come from other processes."""

    images: np.ndarray  # V 3 H W, uint8
    camera_from_world: np.ndarray  # V 4 4
    K: np.ndarray  # V 3 3
    depth: np.ndarray  # V H W, 0 where unknown
    depth_from: DepthFrom
    passed_over: tuple[str, ...] = ()  # scenes drawn before it, and why they were of no use


class OfNoUse(Exception):
    """Why a scene or its frames are passed over."""


@cache
def sources(data: tuple[str, ...]) -> tuple[Source, ...]:
    """Data sets given as PATH or PATH=WEIGHT, with where their scenes lie: read once. Raises InputError."""
    found = []
    for text in data:
        path, weight = told(text)
        where = opened(path, "train")
        scenes = tuple(where.located())
        if not scenes:
            raise InputError(path, "no scene of it can be read", "recon3d data check tells what is wrong with it")
        found.append(Source(where, scenes, weight))
    return tuple(found)


def told(text: str) -> tuple[Path, float]:
    """PATH=WEIGHT, or PATH alone, which has the weight 1. A path may have = in it where a weight follows."""
    path, equals, number = text.rpartition("=")
    if not equals:
        return Path(text), 1.0
    try:
        weight = float(number)
    except ValueError:
        weight = 0.0
    if not (path and 0 < weight < float("inf")):
        raise InputError(f"--data {text}", f"'{number}' is no weight", REMEDY)
    return Path(path), weight


def source_of(found: tuple[Source, ...], procedural: float, key: tuple[int, ...]) -> Source | None:
    """The source of a scene, drawn by weight; None: procedural."""
    if not found:
        return None
    weights = np.array([procedural, *(source.weight for source in found)])
    chosen = int(np.random.default_rng([*key, ANOTHER]).choice(len(weights), p=weights / weights.sum()))
    return None if chosen == 0 else found[chosen - 1]


def taken(
    source: Source, key: tuple[int, ...], count: int, size: tuple[int, int], difficulty: float, gap: tuple[int, int]
) -> Taken:
    """`count` views of (height, width) `size` of a scene that is drawn; `gap`: (0, 0) is that of GAPS.

    Raises InputError where TRIES scenes in a row are of no use.
    """
    passed: list[str] = []
    for attempt in range(TRIES):
        rng = np.random.default_rng([*key, ANOTHER, attempt])
        at = source.scenes[int(rng.integers(len(source.scenes)))]
        try:
            scene = _kept_open(source.data, at, size)
            frames = frames_of(scene, count, gap if any(gap) else GAPS[source.data.kind], difficulty, rng)
            return replace(of_frames(scene, frames, size), passed_over=tuple(passed))
        except InputError as error:
            passed.append(f"{at.name}: {error.what}")
        except OfNoUse as error:
            passed.append(f"{at.name}: {error}")
    raise InputError(source.data.root, f"{TRIES} scenes in a row are of no use; the last, {passed[-1]}", "Give other data")


@lru_cache(maxsize=KEPT)
def _kept_open(data: DataSet, at: SceneAt, size: tuple[int, int]) -> PosedScene:
    return data.scene_at(at, size)


def frames_of(
    scene: PosedScene, count: int, gap: tuple[int, int], difficulty: float, rng: np.random.Generator
) -> tuple[int, ...]:
    """Of a scene, in their order; the more difficult, the farther apart. Raises OfNoUse where there are too few."""
    least, most = (min(frames, len(scene) - 1) for frames in gap)
    most = least + round((EASY + (1 - EASY) * difficulty) * (most - least))
    sampler = Bounded(count, 0, least, max(most, count - 1))
    found = bounded(scene.name, len(scene), sampler, int(rng.integers(1 << 31)))
    if isinstance(found, Skipped):
        raise OfNoUse(found.reason)
    return found.context


def of_frames(scene: PosedScene, frames: tuple[int, ...], size: tuple[int, int]) -> Taken:
    """The frames as views. Raises InputError where they are damaged, OfNoUse where too little is known to learn from them."""
    files = depth_files(scene, frames)
    used = frames if files else (*frames, *between(scene, frames))
    if reason := wrong_camera(scene.cameras, used):
        raise OfNoUse(reason)
    images, cameras = torch.stack(views(scene, used, size).images), cropped_cameras(scene, used, size)
    camera_from_world, K = cameras.camera_from_world @ torch.linalg.inv(cameras.camera_from_world[0]), cameras.K
    count = len(frames)
    if files:
        depth = covered_depth(scene, frames, files, size)
    else:
        depth = stereo_depth(images.float() / 255, camera_from_world, K, range(count))
    camera_from_world, K = camera_from_world[:count].numpy(), K[:count].numpy()
    if reason := why_useless(depth.numpy(), camera_from_world, K):
        raise OfNoUse(reason)
    unit = float(depth[depth > 0].median())
    camera_from_world[:, :3, 3] /= unit
    return Taken(
        images[:count].numpy(), camera_from_world.astype(np.float32), K.astype(np.float32), (depth / unit).numpy(),
        "files" if files else "stereo",
    )  # fmt: skip


def between(scene: PosedScene, frames: tuple[int, ...]) -> list[int]:
    """Frames for stereo to compare with: evenly from among and around those that are few."""
    first, last = frames[0], frames[-1]
    around = max(2, (last - first) // 4)
    others = [i for i in range(max(0, first - around), min(len(scene), last + around + 1)) if i not in frames]
    wanted = max(0, MATCHED - len(frames))
    return [others[i] for i in evenly(len(others), wanted)] if wanted else []


def why_useless(depth: np.ndarray, camera_from_world: np.ndarray, K: np.ndarray) -> str | None:
    """Why nothing can be learned from views with what is known of their depth [V, H, W], or None."""
    known = (depth > 0).mean((1, 2))
    if known.mean() < KNOWN or known.min() < OF_EACH:
        return f"the depth of {known.mean():.0%} of its pixels is known, {known.min():.0%} in one view"
    few = np.ascontiguousarray(depth[:, SEEN_EVERY // 2 :: SEEN_EVERY, SEEN_EVERY // 2 :: SEEN_EVERY])
    smaller = np.diag([1 / SEEN_EVERY, 1 / SEEN_EVERY, 1.0])
    seen = shared(few, camera_from_world, smaller @ K).min()
    return f"a view shares {seen:.0%} of what it shows with any other" if seen < SHARED else None
