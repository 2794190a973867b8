"""Procedural scenes: rooms and open ground with piles of composed primitives, and the cameras that photograph them.

Cameras are found in shots.py, whose `drawn` makes a scene with its cameras.

What is drawn follows LRM-Zero (arXiv 2406.09371: five kinds of primitives, few of them per object, differences of solids for
less than 40 % of them, thin bars) and MegaSynth (arXiv 2412.14166: a room, things on its floor and hung from its ceiling, one
light with shadows, no semantics). One seed makes one scene, the same bytes every time on one machine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from recon3d.core.jit import run
from recon3d.data.patterns import (
    COLOR_A,
    COLOR_B,
    COLOR_C,
    CONTRAST,
    DIRT,
    FREQUENCY,
    GLOSS,
    GRAIN,
    KIND,
    LENGTH,
    MARBLE,
    SEED,
    SHININESS,
    TURN,
    WARP,
    WIDTH,
)  # fmt: skip
from recon3d.data.primitives import BOX, CONE, CYLINDER, ELLIPSOID, REACH, ROCK, TORUS, Scenes
from recon3d.data.raycast import TILE, Shots, photograph_tiles

KINDS = {BOX: 0.33, ELLIPSOID: 0.18, CYLINDER: 0.2, CONE: 0.09, TORUS: 0.09, ROCK: 0.11}
PATTERNS = (0.22, 0.09, 0.08, 0.12, 0.13, 0.12, 0.12, 0.12)  # shares, in the order of patterns.FBM to PLAIN
CUT = 0.3  # share of convex primitives that another is taken away from; LRM-Zero's training diverged at 60 %
ROOM, LAID, HUNG, COPIED, GLOSSY = 0.65, 0.7, 0.15, 0.2, 0.35  # shares


class Part(NamedTuple):
    """One primitive in the world, y down, and what is cut out of it."""

    kind: int
    center: np.ndarray  # 3
    half: np.ndarray  # 3, half its extent along its own axes
    rotation: np.ndarray  # 3 3, world from own axes
    shape: float = 0.0
    cutter: Part | None = None

    def moved(self, turn: np.ndarray, pivot: np.ndarray, to: np.ndarray) -> Part:
        cutter = None if self.cutter is None else self.cutter.moved(turn, pivot, to)
        return self._replace(center=turn @ (self.center - pivot) + to, rotation=turn @ self.rotation, cutter=cutter)


@dataclass(frozen=True)
class Room:
    """Where things may stand: a box, or open ground of the same size."""

    closed: bool
    half: np.ndarray  # 3; its floor is y = 0
    reach: float  # how far from the middle things stand

    @property
    def center(self) -> np.ndarray:
        return np.array([0, -self.half[1], 0])


def rotation(rng: np.random.Generator, upright: bool) -> np.ndarray:
    """Uniform over all rotations, or over those about the vertical."""
    if upright:
        a = rng.uniform(0, 2 * math.pi)
        return np.array([[math.cos(a), 0, math.sin(a)], [0, 1, 0], [-math.sin(a), 0, math.cos(a)]])
    w, x, y, z = (q := rng.normal(size=4)) / np.linalg.norm(q)
    return np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def primitive(rng: np.random.Generator, center: np.ndarray, size: float, upright: bool) -> Part:
    kind = int(rng.choice(len(KINDS), p=list(KINDS.values())))
    turn = rotation(rng, upright)
    if kind in (TORUS, ROCK):
        shape = rng.uniform(0.12, 0.4) if kind == TORUS else rng.uniform(0.08, 0.25)
        return Part(kind, center, size * np.exp(rng.uniform(-0.3, 0.3, 3)), turn, shape)
    half = size * np.exp(rng.uniform(-0.7, 0.7, 3))
    if rng.random() >= CUT:
        return Part(kind, center, half, turn)
    at = center + turn @ (rng.choice([-1, 1], 3) * half * rng.uniform(0.3, 1, 3))
    cutter = Part(
        int(rng.choice([BOX, ELLIPSOID, CYLINDER])), at, half * rng.uniform(0.4, 0.95, 3),
        turn @ rotation(rng, rng.random() < 0.5),
    )  # fmt: skip
    return Part(kind, center, half, turn, cutter=cutter)


def place(rng: np.random.Generator, room: Room, height: float) -> np.ndarray:
    angle, away = rng.uniform(0, 2 * math.pi), room.reach * math.sqrt(rng.uniform(0, 0.8))
    return np.array([away * math.cos(angle), -height, away * math.sin(angle)])


def pile(rng: np.random.Generator, room: Room) -> list[Part]:
    """One to five primitives on and around each other; some hang in the air."""
    size = log_uniform(rng, 0.12, 0.55)
    at = place(rng, room, rng.uniform(0.5, 1.6) if rng.random() < HUNG else 0.8 * size)
    parts = []
    for _ in range(rng.integers(1, 6)):
        parts.append(primitive(rng, at, size, rng.random() < LAID))
        at = at + size * np.array([rng.normal(0, 0.7), -rng.uniform(0, 1.3), rng.normal(0, 0.7)])
        at[1] = min(at[1], -0.3 * size)
        size *= rng.uniform(0.6, 1.05)
    return parts


def copies(rng: np.random.Generator, room: Room, parts: list[Part]) -> list[Part]:
    """The same pile elsewhere, turned: what repeats is what breaks matching in real places."""
    pivot = parts[0].center
    found = []
    for _ in range(rng.integers(1, 3)):
        turn, to = rotation(rng, True), place(rng, room, -pivot[1])
        found += [part.moved(turn, pivot, to) for part in parts]
    return found


def bars(rng: np.random.Generator, room: Room) -> list[Part]:
    """A rack of thin parallel bars, often with one across: thin, repeated structure."""
    at, turn = place(rng, room, 0.0), rotation(rng, True)
    count, thick, half = rng.integers(2, 6), rng.uniform(0.012, 0.04), rng.uniform(0.3, 1)
    gap, kind = rng.uniform(0.12, 0.35), int(rng.choice([CYLINDER, BOX]))
    found = [
        Part(kind, at + turn @ np.array([(i - (count - 1) / 2) * gap, -half, 0]), np.array([thick, half, thick]), turn)
        for i in range(count)
    ]
    if rng.random() < 0.6:
        across = np.array([count * gap / 2, thick, thick])
        found.append(Part(BOX, at + turn @ np.array([0, -2 * half, 0]), across, turn))
    return found


def screen(rng: np.random.Generator, room: Room) -> list[Part]:
    """A thin wall that stands free, with an opening."""
    turn = rotation(rng, True)
    half = np.array([rng.uniform(0.5, 1.2), rng.uniform(0.4, 0.9), rng.uniform(0.02, 0.06)])
    at = place(rng, room, half[1])
    opening = half * np.array([rng.uniform(0.2, 0.6), rng.uniform(0.2, 0.6), 2])
    shift = turn @ np.array([rng.uniform(-0.3, 0.3) * half[0], rng.uniform(-0.3, 0.5) * half[1], 0])
    return [Part(BOX, at, half, turn, cutter=Part(BOX, at + shift, opening, turn))]


def color(rng: np.random.Generator, palette: Sequence[np.ndarray]) -> np.ndarray:
    """Mostly one of the scene's or a grey, sometimes anything; drawn towards grey, as most surfaces are not saturated."""
    kind = rng.random()
    if kind < 0.45:
        found = palette[int(rng.integers(len(palette)))] * rng.uniform(0.6, 1.4) + rng.normal(0, 0.04, 3)
    elif kind < 0.85:
        found = rng.uniform(0.03, 0.85) + rng.normal(0, 0.03, 3)
    else:
        found = rng.uniform(0.02, 0.9, 3)
    return np.clip(found + (found.mean() - found) * rng.uniform(0, 0.8), 0.02, 0.9)


def material(rng: np.random.Generator, palette: Sequence[np.ndarray], size: float) -> np.ndarray:
    """A row of Scenes.materials, for something of about `size`: its pattern repeats 1.5 to 25 times over it."""
    m = np.zeros(LENGTH)
    m[KIND] = rng.choice(len(PATTERNS), p=PATTERNS)
    for start in (COLOR_A, COLOR_B, COLOR_C):
        m[start : start + 3] = color(rng, palette)
    m[FREQUENCY] = log_uniform(rng, 1.5, 25) / size / (3 if m[KIND] == MARBLE else 1)
    m[WARP], m[GRAIN], m[DIRT] = rng.uniform(0, 0.6), rng.uniform(0, 0.7), rng.uniform(0, 1.6)
    m[SEED] = rng.integers(1, 1 << 20)
    turn = np.eye(3)[rng.permutation(3)] if rng.random() < 0.6 else rotation(rng, False)
    m[TURN : TURN + 9] = turn.ravel()
    m[CONTRAST], m[WIDTH] = rng.uniform(0.5, 1.6), rng.uniform(0.2, 0.7)
    if rng.random() < GLOSSY:
        m[GLOSS], m[SHININESS] = rng.uniform(0.05, 0.6), math.exp(rng.uniform(2, 5))
    return m


def furnished(rng: np.random.Generator, room: Room, difficulty: float) -> list[Part]:
    """What stands in a room. Full difficulty: five to twelve piles, up to three racks and a screen; none: three to five."""
    few, most = round(3 + 2 * difficulty), round(5 + 7 * difficulty)
    parts: list[Part] = []
    for _ in range(rng.integers(few, most + 1)):
        new = pile(rng, room)
        parts += new
        if rng.random() < COPIED * difficulty:
            parts += copies(rng, room, new)
    for _ in range(rng.integers(0, 1 + round(3 * difficulty))):
        parts += bars(rng, room)
    if rng.random() < 0.2 * difficulty:
        parts += screen(rng, room)
    return parts


def lit(rng: np.random.Generator, room: Room) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A lamp under the ceiling or a sun, what is around, and the sky: rows of Scenes.lights, ambient and skies."""
    sun = rng.normal(size=3)
    sun[1] = -abs(sun[1]) - 0.35
    lamp = room.half * np.array([rng.uniform(-0.7, 0.7), -rng.uniform(1.3, 1.9), rng.uniform(-0.7, 0.7)])
    where = lamp if room.closed else sun / np.linalg.norm(sun)
    tint = np.clip(1 + rng.normal(0, 0.1, 3), 0.6, 1.4)
    ambient = np.clip(rng.uniform(0.12, 0.6) * (1 + rng.normal(0, 0.08, 3)), 0.03, 1)
    sky = np.array([rng.uniform(0.3, 1, 3), rng.uniform(0.1, 0.8, 3)])
    return np.array([*where, float(room.closed), rng.uniform(0.5, 2.2), *tint]), ambient, sky


def assembled(rng: np.random.Generator, room: Room, parts: Sequence[Part]) -> Scenes:
    """One scene as arrays, dressed in eight to sixteen materials of a few colours, and lit."""
    floor = Part(BOX, room.center, room.half, np.eye(3))
    cut = [part for part in parts if part.cutter is not None]
    shown = [floor, *parts]
    every = [*shown, *(part.cutter for part in cut if part.cutter is not None)]
    cutters = np.full(len(every), -1)
    cutters[[i for i, part in enumerate(shown) if part.cutter is not None]] = len(shown) + np.arange(len(cut))
    centers, halves = np.array([p.center for p in every]), np.array([p.half for p in every])
    kinds = np.array([p.kind for p in every])
    local = np.array([p.rotation for p in every]).transpose(0, 2, 1) / halves[:, :, None]
    corner = np.linalg.norm(halves, axis=1)
    widest = halves.max(1) * np.where(kinds >= TORUS, REACH, 1)
    radii = np.where((kinds == ELLIPSOID) | (kinds >= TORUS), widest, corner)
    palette = [rng.uniform(0.05, 0.9, 3) for _ in range(rng.integers(2, 6))]
    sizes = [4.0, *rng.uniform(0.5, 1.6, rng.integers(8, 17)), 5.0, 4.0]
    materials = np.array([material(rng, palette, size) for size in sizes])
    material_of = rng.integers(1, len(sizes) - 2, len(every))
    material_of[0] = 0
    light, ambient, sky = lit(rng, room)
    arrays = Scenes(
        np.array(len(shown)), np.array(int(room.closed)), kinds,
        np.concatenate([local, -local @ centers[:, :, None]], 2), np.array([p.shape for p in every]), cutters,
        np.concatenate([centers, radii[:, None]], 1), material_of, materials, light, ambient, sky,
    )  # fmt: skip
    return Scenes(*(np.ascontiguousarray(x[None]) for x in arrays))


def room_of(rng: np.random.Generator) -> Room:
    half = np.array([rng.uniform(1.6, 4.5), rng.uniform(1.1, 2.0), rng.uniform(1.6, 4.5)])
    closed = bool(rng.random() < ROOM)
    return Room(closed, half, min(half[0], half[2]) if closed else rng.uniform(1.5, 4))


def photograph(scenes: Scenes, shots: Shots, size: tuple[int, int], samples: int = 1) -> tuple[np.ndarray, ...]:
    """On this CPU: colours [B, V, 3, H, W] in 0 to 1 and z-depth [B, V, H, W] (0: sky), float32; surfaces [B, V, H, W],
    which primitive is seen (-1: sky), int16."""
    grid = (*shots.K.shape[:2], *size)
    rgb = np.empty((*grid[:2], 3, *size), np.float32)
    depth, surfaces = np.empty(grid, np.float32), np.empty(grid, np.int16)
    tiles = grid[0] * grid[1] * -(-size[0] // TILE) * -(-size[1] // TILE)
    run(photograph_tiles, tiles, scenes, shots, samples, rgb, depth, surfaces)
    return rgb, depth, surfaces
