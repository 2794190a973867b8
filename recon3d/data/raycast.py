"""Pictures of procedural scenes by casting rays: nearest surface, its pattern, one light with its shadow, and what is around.

Rays are (x, y, 1) in the camera, so that their parameter is the z-depth. Pixels do not depend on each other: the same bytes
for any number of threads. The kernel here runs on a CPU; raycast_cuda.py runs the same functions on a GPU.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from recon3d.core.jit import kernel, part
from recon3d.data.patterns import GLOSS, SHININESS, albedo, fbm
from recon3d.data.primitives import BOX, FAR, TORUS, interval, local, met, normal

TILE = 16  # pixels: primitives are sorted out for a square of these
GROUND = 60.0  # how far the ground plane is seen
LIFT = 2e-3  # of a shadow ray's start off its surface
SHORTEST = 0.15  # cosine to a surface, below which its patterns are no longer made coarser


class Shots(NamedTuple):
    """V cameras in each of B scenes."""

    camera_from_world: np.ndarray  # B V 4 4
    K: np.ndarray  # B V 3 3
    gains: np.ndarray  # B V 3, exposure and white balance: what linear colours are multiplied by


@part
def blocked(scenes, b, surface, px, py, pz, lx, ly, lz, far):
    """Whether a ray from a point of a surface that it leaves meets anything but the room before `far`. Its direction has
    length 1."""
    for p in range(1, scenes.counts[b]):
        if p == surface and scenes.cutters[b, p] < 0 and scenes.kinds[b, p] < TORUS:
            continue  # a convex solid does not shade itself
        x, y, z = scenes.spheres[b, p, 0] - px, scenes.spheres[b, p, 1] - py, scenes.spheres[b, p, 2] - pz
        along = x * lx + y * ly + z * lz
        radius2 = scenes.spheres[b, p, 3] * scenes.spheres[b, p, 3]
        apart2 = x * x + y * y + z * z
        if apart2 > radius2 and (along < 0 or apart2 - along * along > radius2 or along - scenes.spheres[b, p, 3] > far):
            continue
        t, _ = met(scenes, b, p, 1e-5, px, py, pz, lx, ly, lz)
        if t < far:
            return True
    return False


@part
def first(scenes, b, candidates, count, ox, oy, oz, dx, dy, dz):
    """Ray parameter and surface of what a ray meets first among `count` candidates and the room or ground; -1: the sky."""
    best, which = FAR, -1
    length2 = dx * dx + dy * dy + dz * dz
    for i in range(count):
        p = candidates[i]
        x, y, z = scenes.spheres[b, p, 0] - ox, scenes.spheres[b, p, 1] - oy, scenes.spheres[b, p, 2] - oz
        along = x * dx + y * dy + z * dz
        outside = x * x + y * y + z * z - 1.0001 * scenes.spheres[b, p, 3] * scenes.spheres[b, p, 3]
        if outside > 0:
            left = along * along - length2 * outside
            if along < 0 or left < 0 or along - math.sqrt(left) > best * length2:
                continue
        t, surface = met(scenes, b, p, 1e-3, ox, oy, oz, dx, dy, dz)
        if t < best:
            best, which = t, surface
    if scenes.rooms[b] == 1:
        lx, ly, lz = local(scenes.local_from_world, b, 0, ox, oy, oz, 1.0)
        ex, ey, ez = local(scenes.local_from_world, b, 0, dx, dy, dz, 0.0)
        _, t = interval(BOX, lx, ly, lz, ex, ey, ez)
        if 0 < t < best:
            return t, 0
    elif dy > 1e-6 and oy < 0:
        t = -oy / dy
        if t < best and t < GROUND:
            return t, 0
    return best, which


@part
def facing(scenes, b, which, px, py, pz, dx, dy, dz):
    """The unit normal of a surface at a point of the world, turned against a ray."""
    if which == 0 and scenes.rooms[b] == 0:
        return 0.0, -1.0, 0.0
    maps = scenes.local_from_world
    lx, ly, lz = local(maps, b, which, px, py, pz, 1.0)
    x, y, z = normal(scenes.kinds[b, which], lx, ly, lz, scenes.shapes[b, which], which)
    nx = maps[b, which, 0, 0] * x + maps[b, which, 1, 0] * y + maps[b, which, 2, 0] * z
    ny = maps[b, which, 0, 1] * x + maps[b, which, 1, 1] * y + maps[b, which, 2, 1] * z
    nz = maps[b, which, 0, 2] * x + maps[b, which, 1, 2] * y + maps[b, which, 2, 2] * z
    length = math.sqrt(nx * nx + ny * ny + nz * nz + 1e-20)
    if nx * dx + ny * dy + nz * dz > 0:
        length = -length
    return nx / length, ny / length, nz / length


@part
def material_at(scenes, b, which, ny):
    """The row of a surface's material. A room's floor, ceiling and walls differ."""
    if which == 0 and scenes.rooms[b] == 1 and ny > -0.5:
        return scenes.materials.shape[1] - (2 if ny > 0.5 else 1)
    return scenes.material_of[b, which]


@part
def light_on(scenes, b, surface, material, px, py, pz, nx, ny, nz, dx, dy, dz):
    """What a point gets from the light, scattered and reflected (Blinn 1977). The ray's direction has length 1."""
    light = scenes.lights
    qx, qy, qz, far, power = light[b, 0], light[b, 1], light[b, 2], FAR, light[b, 4]
    if light[b, 3] > 0:
        qx, qy, qz = qx - px, qy - py, qz - pz
        far = math.sqrt(qx * qx + qy * qy + qz * qz)
        qx, qy, qz = qx / far, qy / far, qz / far
        power = power / (1 + 0.12 * far * far)
    towards = nx * qx + ny * qy + nz * qz
    if towards <= 0:
        return 0.0, 0.0
    if blocked(scenes, b, surface, px + LIFT * nx, py + LIFT * ny, pz + LIFT * nz, qx, qy, qz, far):
        return 0.0, 0.0
    gloss, shininess = scenes.materials[b, material, GLOSS], scenes.materials[b, material, SHININESS]
    if gloss == 0:
        return towards * power, 0.0
    hx, hy, hz = qx - dx, qy - dy, qz - dz
    half = (nx * hx + ny * hy + nz * hz) / (math.sqrt(hx * hx + hy * hy + hz * hz) + 1e-9)
    return towards * power, power * gloss * max(0.0, half) ** shininess


@part
def developed(e):
    """Linear light to a picture's value: a shoulder, then about the gamma of sRGB, of square roots, which cost little."""
    root = math.sqrt(min(1.0, 1.25 * max(0.0, e) / (1 + 0.25 * max(0.0, e))))
    return 0.8 * root + 0.2 * math.sqrt(root)


@part
def sky_at(scenes, b, dx, dy, dz):
    up = max(0.0, -dy)
    cloud = 0.25 * fbm(2 * dx, 5 * dy, 2 * dz, 77, 0.01, 3)
    sky = scenes.skies
    return (
        sky[b, 0, 0] * (1 - up) + sky[b, 1, 0] * up + cloud,
        sky[b, 0, 1] * (1 - up) + sky[b, 1, 1] * up + cloud,
        sky[b, 0, 2] * (1 - up) + sky[b, 1, 2] * up + cloud,
    )


@part
def seen(scenes, b, candidates, count, pixel, ox, oy, oz, dx, dy, dz):
    """Linear red, green, blue along a ray, its parameter (0: nothing is met) and the surface. `pixel`: its width at 1."""
    t, which = first(scenes, b, candidates, count, ox, oy, oz, dx, dy, dz)
    length = math.sqrt(dx * dx + dy * dy + dz * dz)
    ux, uy, uz = dx / length, dy / length, dz / length
    if which < 0:
        red, green, blue = sky_at(scenes, b, ux, uy, uz)
        return red, green, blue, 0.0, which
    px, py, pz = ox + t * dx, oy + t * dy, oz + t * dz
    nx, ny, nz = facing(scenes, b, which, px, py, pz, dx, dy, dz)
    material = material_at(scenes, b, which, ny)
    footprint = t * pixel / max(SHORTEST, -(nx * ux + ny * uy + nz * uz))
    red, green, blue = albedo(scenes.materials, b, material, px, py, pz, footprint)
    scattered, mirrored = light_on(scenes, b, which, material, px, py, pz, nx, ny, nz, ux, uy, uz)
    # Less light from around near the floor, and from below.
    around = (1.0 if ny < -0.5 else 0.75 + 0.25 * min(1.0, max(0.0, -py / 0.8))) * (0.75 - 0.25 * ny)
    light, ambient = scenes.lights, scenes.ambient
    red = (scattered * light[b, 5] + around * ambient[b, 0]) * red + mirrored
    green = (scattered * light[b, 6] + around * ambient[b, 1]) * green + mirrored
    blue = (scattered * light[b, 7] + around * ambient[b, 2]) * blue + mirrored
    return red, green, blue, t, which


@part
def photographed(scenes, shots, b, v, candidates, count, y, x, samples, rgb, depth, surfaces):
    """Write pixel (y, x): colours as the mean of samples² rays, depth and surface of the ray through its middle."""
    R, K = shots.camera_from_world[b, v], shots.K[b, v]
    ox = -(R[0, 0] * R[0, 3] + R[1, 0] * R[1, 3] + R[2, 0] * R[2, 3])
    oy = -(R[0, 1] * R[0, 3] + R[1, 1] * R[1, 3] + R[2, 1] * R[2, 3])
    oz = -(R[0, 2] * R[0, 3] + R[1, 2] * R[1, 3] + R[2, 2] * R[2, 3])
    red, green, blue = 0.0, 0.0, 0.0
    for i in range(samples * samples):
        cx = (x + (i % samples + 0.5) / samples - K[0, 2]) / K[0, 0]
        cy = (y + (i // samples + 0.5) / samples - K[1, 2]) / K[1, 1]
        dx, dy, dz = direction(R, cx, cy)
        r, g, b_, t, which = seen(
            scenes, b, candidates, count, 1 / (samples * K[0, 0]), ox, oy, oz, dx, dy, dz
        )  # fmt: skip
        red += developed(r * shots.gains[b, v, 0])
        green += developed(g * shots.gains[b, v, 1])
        blue += developed(b_ * shots.gains[b, v, 2])
        if 2 * i + 1 == samples * samples:
            depth[b, v, y, x], surfaces[b, v, y, x] = t, which
    if samples % 2 == 0:
        dx, dy, dz = direction(R, (x + 0.5 - K[0, 2]) / K[0, 0], (y + 0.5 - K[1, 2]) / K[1, 1])
        t, which = first(scenes, b, candidates, count, ox, oy, oz, dx, dy, dz)
        depth[b, v, y, x], surfaces[b, v, y, x] = (t if which >= 0 else 0.0), which
    rgb[b, v, 0, y, x] = red / (samples * samples)
    rgb[b, v, 1, y, x] = green / (samples * samples)
    rgb[b, v, 2, y, x] = blue / (samples * samples)


@part
def direction(R, cx, cy):
    return R[0, 0] * cx + R[1, 0] * cy + R[2, 0], R[0, 1] * cx + R[1, 1] * cy + R[2, 1], R[0, 2] * cx + R[1, 2] * cy + R[2, 2]


@part
def in_cone(scenes, shots, b, v, ax, ay, half, candidates):
    """Write the primitives whose spheres touch the cone about the ray (ax, ay, 1); how many there are."""
    long = math.sqrt(ax * ax + ay * ay + 1)
    count = 0
    for p in range(1, scenes.counts[b]):
        x, y, z, radius = scenes.spheres[b, p, 0], scenes.spheres[b, p, 1], scenes.spheres[b, p, 2], scenes.spheres[b, p, 3]
        sx, sy, sz = local(shots.camera_from_world, b, v, x, y, z, 1.0)
        away = math.sqrt(sx * sx + sy * sy + sz * sz)
        if away > radius:
            cosine = (sx * ax + sy * ay + sz) / (long * away)
            if math.acos(min(1.0, max(-1.0, cosine))) > half + math.asin(radius / away):
                continue
        candidates[count] = p
        count += 1
    return count


@kernel
def photograph_tiles(begin, end, scenes, shots, samples, rgb, depth, surfaces):
    """Items are the tiles of all views of all scenes."""
    views, height, width = depth.shape[1], depth.shape[2], depth.shape[3]
    down, across = (height + TILE - 1) // TILE, (width + TILE - 1) // TILE
    candidates = np.empty(scenes.kinds.shape[1], np.int64)
    for item in range(begin, end):
        b, v = item // (views * down * across), item // (down * across) % views
        y0, x0 = item // across % down * TILE, item % across * TILE
        K = shots.K[b, v]
        ax, ay = (x0 + 0.5 * TILE - K[0, 2]) / K[0, 0], (y0 + 0.5 * TILE - K[1, 2]) / K[1, 1]
        half = math.atan(0.7072 * TILE / min(K[0, 0], K[1, 1]))
        count = in_cone(scenes, shots, b, v, ax, ay, half, candidates)
        for y in range(y0, min(height, y0 + TILE)):
            for x in range(x0, min(width, x0 + TILE)):
                photographed(scenes, shots, b, v, candidates, count, y, x, samples, rgb, depth, surfaces)


@kernel
def depths_at(begin, end, scenes, shots, b, v, pixels, depth):
    """Items are positions in view v of scene b, between pixels too: their z-depth, 0 for the sky."""
    candidates = np.arange(1, scenes.counts[b])
    R, K = shots.camera_from_world[b, v], shots.K[b, v]
    ox = -(R[0, 0] * R[0, 3] + R[1, 0] * R[1, 3] + R[2, 0] * R[2, 3])
    oy = -(R[0, 1] * R[0, 3] + R[1, 1] * R[1, 3] + R[2, 1] * R[2, 3])
    oz = -(R[0, 2] * R[0, 3] + R[1, 2] * R[1, 3] + R[2, 2] * R[2, 3])
    for i in range(begin, end):
        dx, dy, dz = direction(R, (pixels[i, 0] - K[0, 2]) / K[0, 0], (pixels[i, 1] - K[1, 2]) / K[1, 1])
        t, which = first(scenes, b, candidates, len(candidates), ox, oy, oz, dx, dy, dz)
        depth[i] = t if which >= 0 else 0.0
