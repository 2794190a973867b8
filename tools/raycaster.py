"""A small ray caster for analytic solids, in numpy: what `make_sample` takes its photos with. No meshes, no files.

World axes are OpenCV's (x right, y down, z forward), lengths metres. Rays are (x, y, 1) in the camera, so that the ray
parameter of a hit is its z-depth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np

Points = Annotated[np.ndarray, "R 3"]
# Points of a surface in the solid's own axes (metres, centre at 0) and their outward normals -> linear RGB, 0 to 1.
Texture = Callable[[Points, Points], Points]

FAR = 1e9
CHUNK = 8192  # rays that are followed at once: their arrays stay in the cache
SURFACE = 1e-4  # a shadow ray starts this far off its surface, so that it does not hit the surface itself


@dataclass(frozen=True)
class Solid:
    """A box, ball, drum (cylinder, axis y) or ring (torus, axis y) of half sizes `half`, turned about y, then moved."""

    kind: Literal["box", "ball", "drum", "ring", "room"]  # a room is a box seen from inside
    centre: tuple[float, float, float]
    half: tuple[float, float, float]
    texture: Texture
    turn: float = 0.0  # degrees about the vertical
    gloss: float = 0.0  # strength of the highlight
    world_from_solid: Annotated[np.ndarray, "3 3"] = field(init=False)

    def __post_init__(self) -> None:
        c, s = np.cos(np.radians(self.turn)), np.sin(np.radians(self.turn))
        object.__setattr__(self, "world_from_solid", np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]))


@dataclass(frozen=True)
class Light:
    """A rectangular lamp; each sample of a pixel sees another point of it, which makes the shadows soft."""

    centre: tuple[float, float, float]
    across: tuple[float, float, float]  # half an edge
    along: tuple[float, float, float]  # half of the other edge
    power: tuple[float, float, float]  # irradiance at one metre
    ambient: tuple[float, float, float]


def photograph(
    solids: tuple[Solid, ...], light: Light, camera_from_world: Annotated[np.ndarray, "4 4"],
    K: Annotated[np.ndarray, "3 3"], width: int, height: int, samples: int,
) -> Annotated[np.ndarray, "H W 3"]:  # fmt: skip
    """What a pinhole camera sees, sRGB uint8, from `samples` x `samples` rays a pixel (pixel centres at + 0.5)."""
    rotation = camera_from_world[:3, :3]
    origin = -rotation.T @ camera_from_world[:3, 3]
    y, x = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    offsets = (np.arange(samples) + 0.5) / samples
    total = np.zeros((height * width, 3))
    for i, dy in enumerate(offsets):
        for j, dx in enumerate(offsets):
            pixels = np.stack([x + dx, y + dy, np.ones_like(x)], -1).reshape(-1, 3)
            rays = pixels @ np.linalg.inv(K).T @ rotation
            # The lamp is cut into as many parts as a pixel; a permutation parts the two patterns.
            lamp = (np.array([offsets[(3 * j + i) % samples], offsets[(3 * i + 2 * j) % samples]])) * 2 - 1
            for start in range(0, len(rays), CHUNK):
                part = rays[start : start + CHUNK]
                origins = np.broadcast_to(origin, part.shape)
                total[start : start + CHUNK] += shaded(solids, light, lamp, origins, part)
    linear = np.clip(total / samples**2, 0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.round(srgb * 255).astype(np.uint8).reshape(height, width, 3)


def shaded(solids: tuple[Solid, ...], light: Light, lamp: np.ndarray, origins: Points, rays: Points) -> Points:
    """Linear RGB along each ray: texture times lamp light (where nothing is between) and ambient, plus a highlight."""
    depth, which = first_hits(solids, origins, rays)
    points = origins + depth[:, None] * rays
    normals, albedo, gloss = np.zeros_like(points), np.zeros_like(points), np.zeros(len(points))
    for i, solid in enumerate(solids):
        here = which == i
        if here.any():
            local = (points[here] - solid.centre) @ solid.world_from_solid
            local_normals = normals_of(solid, local)
            albedo[here] = solid.texture(local, local_normals)
            normals[here] = local_normals @ solid.world_from_solid.T
            gloss[here] = solid.gloss
    source = np.array(light.centre) + lamp[0] * np.array(light.across) + lamp[1] * np.array(light.along)
    to_light = source - points
    distance = np.linalg.norm(to_light, axis=1, keepdims=True)
    toward = to_light / distance
    cosine = np.maximum(dot(normals, toward)[:, None], 0)
    blocked, _ = first_hits(solids, points + SURFACE * normals, to_light)
    lit = (blocked >= 1)[:, None] * cosine / distance**2 * light.power
    up = 0.75 - 0.25 * normals[:, 1:2]  # more light comes from above than from below
    halfway = toward - rays / np.linalg.norm(rays, axis=1, keepdims=True)
    halfway /= np.linalg.norm(halfway, axis=1, keepdims=True)
    highlight = gloss[:, None] * np.maximum(dot(normals, halfway)[:, None], 0) ** 40
    return albedo * (lit + up * np.array(light.ambient)) + highlight * lit


def dot(a: Points, b: Points) -> Annotated[np.ndarray, "R"]:
    return np.einsum("rk,rk->r", a, b)


def first_hits(
    solids: tuple[Solid, ...], origins: Points, rays: Points
) -> tuple[Annotated[np.ndarray, "R"], Annotated[np.ndarray, "R"]]:
    """The smallest positive ray parameter of each ray (FAR where it meets nothing), and the index of the solid there."""
    nearest, which = np.full(len(rays), FAR), np.full(len(rays), -1)
    for i, solid in enumerate(solids):
        radius = np.linalg.norm(solid.half) * 1.001
        to_centre = np.array(solid.centre) - origins
        along = dot(to_centre, rays) / dot(rays, rays)
        miss = to_centre - along[:, None] * rays
        near = np.flatnonzero(dot(miss, miss) < radius**2)
        if len(near) == 0:
            continue
        o = (origins[near] - solid.centre) @ solid.world_from_solid
        d = rays[near] @ solid.world_from_solid
        t = HITS[solid.kind](o, d, solid)
        closer = (t > 0) & (t < nearest[near])
        nearest[near[closer]], which[near[closer]] = t[closer], i
    return nearest, which


def _slabs(o: Points, d: Points) -> tuple[np.ndarray, np.ndarray]:
    """Entry and exit of the cube from -1 to 1, axis by axis."""
    d = np.where(np.abs(d) < 1e-12, 1e-12, d)
    a, b = (-1 - o) / d, (1 - o) / d
    return np.minimum(a, b), np.maximum(a, b)


def _hit_box(o: Points, d: Points, solid: Solid) -> np.ndarray:
    enter, leave = _slabs(o / solid.half, d / solid.half)
    t = np.maximum(np.maximum(enter[:, 0], enter[:, 1]), enter[:, 2])
    return np.where(t < np.minimum(np.minimum(leave[:, 0], leave[:, 1]), leave[:, 2]), t, -1)


def _hit_room(o: Points, d: Points, solid: Solid) -> np.ndarray:
    leave = _slabs(o / solid.half, d / solid.half)[1]
    return np.minimum(np.minimum(leave[:, 0], leave[:, 1]), leave[:, 2])


def _quadratic(o: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Entry and exit of |o + t d| = 1; (FAR, -FAR) where the ray misses."""
    a, b, c = dot(d, d), dot(o, d), dot(o, o) - 1
    root = b * b - a * c
    half = np.sqrt(np.maximum(root, 0))
    return np.where(root > 0, (-b - half) / a, FAR), np.where(root > 0, (-b + half) / a, -FAR)


def _hit_ball(o: Points, d: Points, solid: Solid) -> np.ndarray:
    enter, leave = _quadratic(o / solid.half, d / solid.half)
    return np.where(enter < leave, enter, -1)


def _hit_drum(o: Points, d: Points, solid: Solid) -> np.ndarray:
    o, d = o / solid.half, d / solid.half
    enter, leave = _quadratic(o[:, ::2], d[:, ::2])
    low, high = _slabs(o[:, 1:2], d[:, 1:2])
    t = np.maximum(enter, low[:, 0])
    return np.where(t < np.minimum(leave, high[:, 0]), t, -1)


def _ring_distance(p: Points, solid: Solid) -> np.ndarray:
    thickness = solid.half[1]
    return np.hypot(np.hypot(p[:, 0], p[:, 2]) - (solid.half[0] - thickness), p[:, 1]) - thickness


def _hit_ring(o: Points, d: Points, solid: Solid) -> np.ndarray:
    """Sphere tracing from the bounding ball: the distance to a torus has a closed form."""
    radius = np.linalg.norm(solid.half)
    enter, leave = _quadratic(o / radius, d / radius)
    speed = np.linalg.norm(d, axis=1)
    t = np.maximum(enter, 0)
    for _ in range(80):
        t = np.minimum(t + np.maximum(_ring_distance(o + t[:, None] * d, solid), 0) / speed, FAR)
    found = (t < leave) & (_ring_distance(o + t[:, None] * d, solid) < SURFACE / 2)
    return np.where(found, t, -1)


HITS = {"box": _hit_box, "room": _hit_room, "ball": _hit_ball, "drum": _hit_drum, "ring": _hit_ring}


def normals_of(solid: Solid, p: Points) -> Points:
    """Unit normals, towards where the camera can be, of surface points in the solid's own axes."""
    unit = p / solid.half
    if solid.kind in ("box", "room"):
        axis = np.abs(unit).argmax(1)
        normals = np.zeros_like(p)
        side = np.sign(np.take_along_axis(unit, axis[:, None], 1))
        np.put_along_axis(normals, axis[:, None], -side if solid.kind == "room" else side, 1)
        return normals
    if solid.kind == "drum":
        on_cap = np.abs(unit[:, 1]) > np.hypot(unit[:, 0], unit[:, 2])
        normals = np.where(on_cap[:, None], unit * [0, 1, 0], unit / solid.half * [1, 0, 1])
    elif solid.kind == "ring":
        around = p * [1, 0, 1]
        normals = p - around / np.linalg.norm(around, axis=1, keepdims=True) * (solid.half[0] - solid.half[1])
    else:
        normals = unit / solid.half
    return normals / np.linalg.norm(normals, axis=1, keepdims=True)
