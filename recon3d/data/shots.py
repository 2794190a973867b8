"""Cameras for procedural scenes: an arc about something, a walk towards it, or views from far apart; never inside a thing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recon3d.data.primitives import REACH, TORUS, Scenes
from recon3d.data.procedural import Part, Room, assembled, furnished, log_uniform, photograph, room_of
from recon3d.data.raycast import Shots

# How cameras stand to each other, and how often; radians from one to the next about the target; share of the way to it.
MODES = {"orbit": (0.5, (0.08, 0.45), 0.0), "walk": (0.25, (0.03, 0.03), 0.17), "wide": (0.25, (0.3, 0.8), 0.0)}
FOCAL = (0.62, 1.5)  # of the longest side: 78 to 37 degrees
CLEAR, FROM_WALLS, OVER_FLOOR = 0.12, 0.2, 0.15  # distances that cameras keep
THUMBNAIL = 32  # pixels of the longest side, by which a scene is judged
SEEN, NEAREST, FEWEST = 0.55, 0.3, 4  # share of a view with a surface; its 5th percentile of depth; primitives in it
SHARED, APART = 0.25, 0.08  # share of a view that some other view sees too; how often less is taken all the same
AGREE = 0.05  # relative difference of depths of one surface in two thumbnails
BRIGHTNESS = (0.07, 0.3)  # mean linear value of a scene's pictures
ATTEMPTS = 200


@dataclass(frozen=True)
class Drawn:
    """A scene (or several, stacked) and its cameras, for pictures of `size` (height, width)."""

    scenes: Scenes
    shots: Shots
    size: tuple[int, int]


def drawn(seed: int | Sequence[int], views: int, size: tuple[int, int], difficulty: float = 1.0) -> Drawn:
    """One usable scene with `views` cameras. A thumbnail decides whether it is, and sets the exposure.

    `difficulty` 0 to 1: how much stands in it, how far apart its cameras are and how much their exposures differ.
    """
    key = [seed] if isinstance(seed, int) else list(seed)
    small = tuple(max(1, round(side * THUMBNAIL / max(size))) for side in size)
    for attempt in range(ATTEMPTS):
        rng = np.random.default_rng([*key, attempt])
        room = room_of(rng)
        parts = furnished(rng, room, difficulty)
        cameras = cameras_in(rng, room, parts, views, size, difficulty)
        if cameras is None:
            continue
        scene = assembled(rng, room, parts)
        camera_from_world, K = cameras
        scale = np.array([small[1] / size[1], small[0] / size[0], 1])[:, None]
        thumbnails = Shots(camera_from_world[None], (K * scale)[None], np.full((1, views, 3), 0.5))
        rgb, depth, surfaces = (x[0] for x in photograph(scene, thumbnails, (small[0], small[1])))
        apart = rng.random() < APART * difficulty
        if not usable(depth, surfaces) or not (apart or shared(depth, camera_from_world, K * scale).min() >= SHARED):
            continue
        level = 0.5 * rng.uniform(*BRIGHTNESS) / np.mean(rgb.astype(float) ** 2.2)
        gains = np.exp(rng.normal(0, 0.08 * difficulty, (views, 1)) + rng.normal(0, 0.02 * difficulty, (views, 3)))
        return Drawn(scene, Shots(camera_from_world[None], K[None], gains[None] * level), size)
    raise RuntimeError(f"no usable scene of {views} views for the seed {seed} in {ATTEMPTS} attempts")


def stacked(scenes: Sequence[Drawn]) -> Drawn:
    """Scenes of as many views each, as one."""
    places = max(d.scenes.kinds.shape[1] for d in scenes)
    rows = max(d.scenes.materials.shape[1] for d in scenes)
    padded = [_padded(d.scenes, places, rows) for d in scenes]
    return Drawn(
        Scenes(*(np.concatenate(x) for x in zip(*padded, strict=True))),
        Shots(*(np.concatenate(x) for x in zip(*(d.shots for d in scenes), strict=True))),
        scenes[0].size,
    )  # fmt: skip


def _padded(scene: Scenes, places: int, rows: int) -> Scenes:
    """With room for as many primitives and materials; ceiling and walls stay last."""
    more = places - scene.kinds.shape[1]
    fill = {
        name: np.pad(getattr(scene, name), [(0, 0), (0, more)] + [(0, 0)] * (getattr(scene, name).ndim - 2))
        for name in ("kinds", "local_from_world", "shapes", "cutters", "spheres", "material_of")
    }
    materials = np.pad(scene.materials, ((0, 0), (rows - scene.materials.shape[1], 0), (0, 0)))
    fill["material_of"] = fill["material_of"] + (rows - scene.materials.shape[1])
    return scene._replace(**fill, materials=materials)


def cameras_in(
    rng: np.random.Generator, room: Room, parts: Sequence[Part], views: int, size: tuple[int, int], difficulty: float
) -> tuple[np.ndarray, np.ndarray] | None:
    """camera_from_world [V, 4, 4] and K [V, 3, 3]; None where 20 trials found no free place for all."""
    shares = np.array([1.0 if name == "orbit" else difficulty for name in MODES]) * [m[0] for m in MODES.values()]
    mode = list(MODES)[rng.choice(len(MODES), p=shares / shares.sum())]
    focal = max(size) * log_uniform(rng, *FOCAL)
    K = np.array([[focal, 0, size[1] / 2], [0, focal, size[0] / 2], [0, 0, 1]])
    boxes = Boxes.of(parts)
    for _ in range(20):
        found = _path(rng, room, boxes, parts[int(rng.integers(len(parts)))].center, mode, views, difficulty)
        if found is not None:
            return found, np.tile(K, (views, 1, 1))
    return None


def _path(
    rng: np.random.Generator, room: Room, boxes: Boxes, about: np.ndarray, mode: str, views: int, difficulty: float
) -> np.ndarray | None:
    _, (least, most), ahead = MODES[mode]
    target = about * [0.8, 1, 0.8] - [0, rng.uniform(0, 0.4), 0]
    start, step = rng.uniform(0, 2 * math.pi), rng.uniform(least, least + (most - least) * (0.5 + 0.5 * difficulty))
    step = min(step, 2 * math.pi / views)
    away = rng.uniform(0.35, 0.95) * room.reach * (1 if room.closed else 1.5)
    height = rng.uniform(0.4, 1.7)
    found = []
    for i in range(views):
        angle = start + (i - (views - 1) / 2 + rng.normal(0, 0.15)) * step
        distance = away * max(1 - ahead * i, 0.3) * math.exp(rng.normal(0, 0.06))
        center = np.array([
            target[0] + distance * math.cos(angle), -height + rng.normal(0, 0.12), target[2] + distance * math.sin(angle)
        ])  # fmt: skip
        if not free(center, room, boxes):
            return None
        found.append(looking(rng, center, target + rng.normal(0, 0.06, 3) * away))
    return np.stack(found)


def looking(rng: np.random.Generator, center: np.ndarray, target: np.ndarray) -> np.ndarray:
    """camera_from_world [4, 4], upright but for a roll of some degrees."""
    z = (target - center) / np.linalg.norm(target - center)
    x = np.cross([0, 1, 0], z)
    x /= np.linalg.norm(x)
    y = np.cross(z, x)
    roll = rng.normal(0, 0.05)
    turned = np.stack([x * math.cos(roll) + y * math.sin(roll), y * math.cos(roll) - x * math.sin(roll), z])
    camera_from_world = np.eye(4)
    camera_from_world[:3, :3], camera_from_world[:3, 3] = turned, -turned @ center
    return camera_from_world


@dataclass(frozen=True)
class Boxes:
    """The boxes around things."""

    centers: np.ndarray  # P 3
    halves: np.ndarray  # P 3
    rotations: np.ndarray  # P 3 3, world from own axes

    @staticmethod
    def of(parts: Sequence[Part]) -> Boxes:
        halves = np.array([part.half * (REACH if part.kind >= TORUS else 1) for part in parts])
        return Boxes(np.array([p.center for p in parts]), halves, np.array([p.rotation for p in parts]))

    def distances(self, point: np.ndarray) -> np.ndarray:
        local = np.einsum("pij,pi->pj", self.rotations, point - self.centers)
        return np.linalg.norm(np.maximum(np.abs(local) - self.halves, 0), axis=1)


def free(point: np.ndarray, room: Room, boxes: Boxes) -> bool:
    """Whether a camera can stand there."""
    if point[1] > -OVER_FLOOR:
        return False
    if room.closed and (np.abs(point - room.center) > room.half - FROM_WALLS).any():
        return False
    return bool((boxes.distances(point) > CLEAR).all())


def usable(depth: np.ndarray, surfaces: np.ndarray) -> bool:
    """Whether every view shows enough, not too near, and several things."""
    for d, s in zip(depth, surfaces, strict=True):
        if (d > 0).mean() <= SEEN or np.percentile(d[d > 0], 5) <= NEAREST or len(np.unique(s)) < FEWEST:
            return False
    return True


def shared(depth: np.ndarray, camera_from_world: np.ndarray, K: np.ndarray) -> np.ndarray:
    """Of each view's surface, the largest share that one other view sees too [V]; 1 for a single view."""
    views, height, width = depth.shape
    if views == 1:
        return np.ones(1)
    y, x = np.meshgrid(np.arange(height) + 0.5, np.arange(width) + 0.5, indexing="ij")
    pixels = np.stack([x, y, np.ones_like(x)], -1).reshape(-1, 3)
    found = np.zeros((views, views))
    for i in range(views):
        known = depth[i].ravel() > 0
        in_camera = (pixels @ np.linalg.inv(K[i]).T)[known] * depth[i].ravel()[known, None]
        in_world = (in_camera - camera_from_world[i, :3, 3]) @ camera_from_world[i, :3, :3]
        for j in range(views):
            if i == j:
                continue
            p = in_world @ camera_from_world[j, :3, :3].T + camera_from_world[j, :3, 3]
            z = np.maximum(p[:, 2], 1e-6)
            column, row = (np.floor(K[j, a, a] * p[:, a] / z + K[j, a, 2]).astype(int) for a in (0, 1))
            inside = (p[:, 2] > 0) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
            there = depth[j, row.clip(0, height - 1), column.clip(0, width - 1)]
            found[i, j] = (inside & (there > 0) & (np.abs(there - z) < AGREE * z)).mean()
    return found.max(1)
