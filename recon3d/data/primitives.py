"""Rays and solid primitives: where a ray enters, what it meets there. Closed forms, but for two kinds that are marched.

A primitive is the unit solid of its kind in its own axes, brought into the world by an affine map, which keeps rays
straight; its ray parameter stays that of the world. World axes are y down, in no particular unit. Every function here runs
on a CPU and, through numba, on a GPU.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from recon3d.core.jit import called, part
from recon3d.data.patterns import fbm

BOX, ELLIPSOID, CYLINDER, CONE, TORUS, ROCK = range(6)
CONVEX = (BOX, ELLIPSOID, CYLINDER, CONE)
REACH = 1.2  # radius of the ball that holds a torus or a rock, in units of its own
FAR = 1e30  # the ray parameter of what is not met
STEPS = 160  # of a marched ray
NEAR = 0.02  # distance from a marched surface from which on it is taken for flat
TOUCHED, NEARLY = 2e-5, 2e-4  # the distance that counts as met; and after the last step


class Scenes(NamedTuple):
    """B scenes as the kernels read them; each has P places for primitives, of which `counts` are seen.

    Behind those stand the cutters. Primitive 0 is the room, seen from inside, or else the ground plane y = 0.
    """

    counts: np.ndarray  # B
    rooms: np.ndarray  # B, 1 or 0
    kinds: np.ndarray  # B P
    local_from_world: np.ndarray  # B P 3 4
    shapes: np.ndarray  # B P, a torus's thickness or a rock's roughness
    cutters: np.ndarray  # B P, the primitive that is taken away from this one, or -1
    spheres: np.ndarray  # B P 4, centre and radius in the world
    material_of: np.ndarray  # B P
    materials: np.ndarray  # B M LENGTH; a room's ceiling has the last row but one, its walls the last
    lights: np.ndarray  # B 8: a lamp's position or the way to a sun, 1 for a lamp, power, colour
    ambient: np.ndarray  # B 3
    skies: np.ndarray  # B 2 3, at the horizon and overhead


@part
def row(maps, b, p, i, x, y, z, w):
    """Coordinate i of what the affine map p of scene b makes of a point (w 1) or a direction (w 0).

    Whole arrays are indexed here and below: a view of one costs as much as the arithmetic.
    """
    return maps[b, p, i, 0] * x + maps[b, p, i, 1] * y + maps[b, p, i, 2] * z + maps[b, p, i, 3] * w


@part
def local(maps, b, p, x, y, z, w):
    """A point (w 1) or a direction (w 0) in the axes of primitive p of scene b."""
    return row(maps, b, p, 0, x, y, z, w), row(maps, b, p, 1, x, y, z, w), row(maps, b, p, 2, x, y, z, w)


@part
def slab(o, d):
    """Where a line is between -1 and 1 on one axis."""
    if abs(d) < 1e-9:
        d = 1e-9
    a, b = (-1 - o) / d, (1 - o) / d
    return min(a, b), max(a, b)


@called
def interval(kind, ox, oy, oz, dx, dy, dz):
    """Where a line is inside a convex unit solid, or a marched one's ball: from, to; from > to where it misses."""
    if kind == BOX:
        x0, x1 = slab(ox, dx)
        y0, y1 = slab(oy, dy)
        z0, z1 = slab(oz, dz)
        return max(x0, y0, z0), min(x1, y1, z1)
    if kind in (CYLINDER, CONE):
        # x² + z² = r², where r is 1, or that of a cone with its tip at y = -1
        o, d = (1.0, 0.0) if kind == CYLINDER else (0.5 + 0.5 * oy, 0.5 * dy)
        a = dx * dx + dz * dz - d * d
        b = ox * dx + oz * dz - o * d
        c = ox * ox + oz * oz - o * o
        y0, y1 = slab(oy, dy)
    else:
        radius = 1.0 if kind == ELLIPSOID else REACH
        a = dx * dx + dy * dy + dz * dz
        b = ox * dx + oy * dy + oz * dz
        c = ox * ox + oy * oy + oz * oz - radius * radius
        y0, y1 = -FAR, FAR
    if abs(a) < 1e-12:
        a = 1e-12
    h = b * b - a * c
    if h < 0:
        return (y0, y1) if a < 0 else (1.0, -1.0)
    h = math.sqrt(h)
    if a > 0:
        return max(y0, (-b - h) / a), min(y1, (-b + h) / a)
    # A line steeper than the cone is inside before one root and behind the other; on the side of y > -1 in one of them.
    if dy > 0:
        return max(y0, (-b - h) / a), y1
    return y0, min(y1, (-b + h) / a)


@called
def distance(kind, x, y, z, shape, seed):
    """A bound on how far a marched unit solid is: a torus about y, or a ball with a height field."""
    if kind == TORUS:
        q = math.sqrt(x * x + z * z) - (REACH - shape)
        return math.sqrt(q * q + y * y) - shape
    over = math.sqrt(x * x + y * y + z * z) - 0.9
    if over - shape > 0.02:  # outside of the highest bump
        return over - shape
    # Its steepest slope is 1 + 0.25 · 1.7 · 1.875 · (1 + 0.58 · 2.03) < 2.8, and hardly anywhere above 2.
    return 0.5 * (over - shape * fbm(1.7 * x, 1.7 * y, 1.7 * z, seed, 0.0, 2))


@called
def normal(kind, x, y, z, shape, seed):
    """Of a unit solid at a point of its surface; not normalised."""
    if kind == BOX:
        if abs(x) >= abs(y) and abs(x) >= abs(z):
            return math.copysign(1.0, x), 0.0, 0.0
        if abs(y) >= abs(z):
            return 0.0, math.copysign(1.0, y), 0.0
        return 0.0, 0.0, math.copysign(1.0, z)
    if kind == ELLIPSOID:
        return x, y, z
    if kind == CYLINDER:
        return (0.0, math.copysign(1.0, y), 0.0) if y * y >= x * x + z * z else (x, 0.0, z)
    if kind == CONE:
        across = math.sqrt(x * x + z * z)
        return (0.0, 1.0, 0.0) if 1 - y < 0.5 + 0.5 * y - across else (x, -0.25 - 0.25 * y, z)
    e = 2e-3
    return (
        distance(kind, x + e, y, z, shape, seed) - distance(kind, x - e, y, z, shape, seed),
        distance(kind, x, y + e, z, shape, seed) - distance(kind, x, y - e, z, shape, seed),
        distance(kind, x, y, z + e, shape, seed) - distance(kind, x, y, z - e, shape, seed),
    )


@called
def marched(kind, shape, seed, nearest, t0, t1, ox, oy, oz, dx, dy, dz):
    """Sphere tracing (Hart 1996) through a unit solid's ball, from t0 to t1; near the surface, by secants."""
    speed = math.sqrt(dx * dx + dy * dy + dz * dz)
    t, step, before, left = max(t0, nearest), 0.0, 1.0, 1.0
    for _ in range(STEPS):
        left = distance(kind, ox + t * dx, oy + t * dy, oz + t * dz, shape, seed)
        if abs(left) < TOUCHED:
            return t
        if left < NEAR and step != 0 and before - left > 0.2 * abs(step) * speed:
            step = step * left / (before - left)
        else:
            step = left / speed
        before = left
        t += step
        if t > t1:
            return FAR
    return t if left < NEARLY else FAR


@part
def met(scenes, b, p, nearest, ox, oy, oz, dx, dy, dz):
    """The first t > nearest at which a ray meets primitive p of scene b, and whose surface that is: its own or its
    cutter's. FAR where it does not."""
    lx, ly, lz = local(scenes.local_from_world, b, p, ox, oy, oz, 1.0)
    ex, ey, ez = local(scenes.local_from_world, b, p, dx, dy, dz, 0.0)
    kind = scenes.kinds[b, p]
    t0, t1 = interval(kind, lx, ly, lz, ex, ey, ez)
    if t0 > t1 or t1 < nearest:
        return FAR, p
    if kind in (TORUS, ROCK):
        return marched(kind, scenes.shapes[b, p], p, nearest, t0, t1, lx, ly, lz, ex, ey, ez), p
    cutter = scenes.cutters[b, p]
    if cutter < 0:
        return (t0, p) if t0 > nearest else (FAR, p)
    # A solid less a convex one is arithmetic with intervals.
    lx, ly, lz = local(scenes.local_from_world, b, cutter, ox, oy, oz, 1.0)
    ex, ey, ez = local(scenes.local_from_world, b, cutter, dx, dy, dz, 0.0)
    s0, s1 = interval(scenes.kinds[b, cutter], lx, ly, lz, ex, ey, ez)
    if t0 > nearest and (s0 > s1 or t0 < s0 or t0 > s1):
        return t0, p
    if s0 <= s1 and t0 < s1 < t1 and s1 > nearest:
        return s1, cutter
    return FAR, p
