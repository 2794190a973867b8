"""World Gaussians -> rows of `layout` for one camera; the way forward. The way back is in projection_gradient.py.

Geometry is computed in float64: one Gaussian at a time it costs no more than float32, and thin splats keep their digits.
Vectors are tuples of three floats, which LLVM keeps in registers.
"""

import numpy as np  # noqa: I001 - lists of names are kept in rows

from recon3d.core.jit import kernel, part
from recon3d.rendering.constants import ALPHA_MIN, EPS2D, EXTENT, FAR, MARGIN, NEAR, TILE
from recon3d.rendering.cpu.harmonics import basis, color
from recon3d.rendering.cpu.layout import (
    BLUE, GREEN, LEVEL, OPACITY, REACH_X, REACH_Y, RED, RIGHT, K, M, S, X, Y, Z,
)  # fmt: skip

# Slots of a lens [6]: focal lengths and principal point in pixels, and the picture's size.
FX, FY, CX, CY, WIDTH, HEIGHT = range(6)
SLACK = 0.01  # pixels by which an ellipse is taken larger than it is, for rounding


@part
def row(matrix, i):
    return matrix[i, 0], matrix[i, 1], matrix[i, 2]


@part
def dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@part
def cross(a, b):
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@part
def times(a, b):
    """Element by element."""
    return a[0] * b[0], a[1] * b[1], a[2] * b[2]


@part
def combined(p, a, q, b):
    """p a + q b."""
    return p * a[0] + q * b[0], p * a[1] + q * b[1], p * a[2] + q * b[2]


@part
def unit_quaternion(quats, g):
    """(w, x, y, z) of length 1, and one over the length it had."""
    w, x, y, z = np.float64(quats[g, 0]), np.float64(quats[g, 1]), np.float64(quats[g, 2]), np.float64(quats[g, 3])
    shrink = 1 / np.sqrt(w * w + x * x + y * y + z * z)
    return (w * shrink, x * shrink, y * shrink, z * shrink), shrink


@part
def rotation_columns(q):
    """Columns of the rotation of a unit quaternion: the Gaussian's axes in the world."""
    w, x, y, z = q
    first = 1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)
    second = 2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)
    third = 2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)
    return first, second, third


@part
def mean_in_camera(camera, means, g):
    m = np.float64(means[g, 0]), np.float64(means[g, 1]), np.float64(means[g, 2])
    return (
        dot(row(camera, 0), m) + camera[0, 3],
        dot(row(camera, 1), m) + camera[1, 3],
        dot(row(camera, 2), m) + camera[2, 3],
    )


@part
def pulled_back(ratio, focal, center, size):
    """x/z moved to at most MARGIN of the picture outside of it: where the Jacobian is taken."""
    margin = MARGIN * size / focal
    return min(max(ratio, -center / focal - margin), (size - center) / focal + margin)


@part
def screen_rows(camera, lens, p):
    """Rows of the Jacobian of the projection times the camera's rotation: what one world unit moves on the screen."""
    toward = row(camera, 2)
    at_x = pulled_back(p[0] / p[2], lens[FX], lens[CX], lens[WIDTH])
    at_y = pulled_back(p[1] / p[2], lens[FY], lens[CY], lens[HEIGHT])
    by_x, by_y = lens[FX] / p[2], lens[FY] / p[2]
    return combined(by_x, row(camera, 0), -by_x * at_x, toward), combined(by_y, row(camera, 1), -by_y * at_y, toward)


@part
def along_axes(screen_row, axes):
    """A row of `screen_rows` in the Gaussian's own axes."""
    return dot(screen_row, axes[0]), dot(screen_row, axes[1]), dot(screen_row, axes[2])


@part
def scales_of(scales, g):
    return np.float64(scales[g, 0]), np.float64(scales[g, 1]), np.float64(scales[g, 2])


@part
def covariance(h0, h1):
    """xx, xy, yy in pixels^2 and their determinant, as reference.covariance."""
    area = cross(h0, h1)
    xx, xy, yy = dot(h0, h0), dot(h0, h1), dot(h1, h1)
    return xx + EPS2D, xy, yy + EPS2D, dot(area, area) + EPS2D * (xx + yy + EPS2D)


@part
def compensation(h0, h1, det):
    """The share of its opacity that a splat keeps in antialiased mode, as reference.compensation."""
    area = cross(h0, h1)
    return np.sqrt(dot(area, area) / det)


@part
def center_in_world(camera):
    t = camera[0, 3], camera[1, 3], camera[2, 3]
    return (
        -(camera[0, 0] * t[0] + camera[1, 0] * t[1] + camera[2, 0] * t[2]),
        -(camera[0, 1] * t[0] + camera[1, 1] * t[1] + camera[2, 1] * t[2]),
        -(camera[0, 2] * t[0] + camera[1, 2] * t[1] + camera[2, 2] * t[2]),
    )


@part
def direction(means, g, center):
    """Unit direction from the camera's centre to a Gaussian, and one over their distance."""
    v = means[g, 0] - center[0], means[g, 1] - center[1], means[g, 2] - center[2]
    shrink = 1 / max(np.sqrt(dot(v, v)), 1e-12)
    return (v[0] * shrink, v[1] * shrink, v[2] * shrink), shrink


@part
def span(center, reach, count):
    """Tiles [first, end) of `count` in a row whose pixel centres lie within `reach` of `center`, both in pixels."""
    first = np.int64(np.floor(min(max(center - reach - 0.5 - SLACK, -1.0), count * TILE + 1.0))) + 1
    last = np.int64(np.floor(min(max(center + reach - 0.5 + SLACK, -1.0), count * TILE - 1.0)))
    if last < first:
        return 0, 0
    return first // TILE, last // TILE + 1


@kernel
def project(
    begin, end, means, quats, scales, opacities, sh, sh_stride, degree, antialiased, camera, lens, packed, radii, capacity
):
    """Fill packed [G,16], radii [G,2] and capacity [G], the number of tiles in the ellipse's box (0 where unseen).

    sh is flat, a Gaussian's coefficients `sh_stride` floats after those of the one before.
    """
    functions = np.empty(16, np.float32)
    center = center_in_world(camera)
    tiles_x, tiles_y = -(-np.int64(lens[WIDTH]) // TILE), -(-np.int64(lens[HEIGHT]) // TILE)
    count = (degree + 1) * (degree + 1)
    for i in range(begin, end):
        g = np.uint64(i)
        radii[g, 0] = radii[g, 1] = capacity[g] = 0
        opacity = np.float64(opacities[g])
        p = mean_in_camera(camera, means, g)
        if not (p[2] >= NEAR and p[2] <= FAR and opacities[g] >= np.float32(ALPHA_MIN)):
            continue
        q, _ = unit_quaternion(quats, g)
        axes, s = rotation_columns(q), scales_of(scales, g)
        row_x, row_y = screen_rows(camera, lens, p)
        h0, h1 = times(along_axes(row_x, axes), s), times(along_axes(row_y, axes), s)
        xx, xy, yy, det = covariance(h0, h1)
        if antialiased:
            opacity *= compensation(h0, h1, det)
        u, v = lens[FX] * p[0] / p[2] + lens[CX], lens[FY] * p[1] / p[2] + lens[CY]
        fading = 2 * np.log(max(opacity / ALPHA_MIN, 1.0))
        reach = min(np.sqrt(fading), EXTENT)
        radius_x, radius_y = np.ceil(reach * np.sqrt(xx)), np.ceil(reach * np.sqrt(yy))
        # NaN fails each of these; an infinite covariance the first.
        if not (det > 0 and det < 1e30 and radius_x > 0 and radius_y > 0):
            continue
        if not (u + radius_x > 0 and u - radius_x < lens[WIDTH] and v + radius_y > 0 and v - radius_y < lens[HEIGHT]):
            continue
        radii[g, 0], radii[g, 1] = np.int32(min(radius_x, 2e9)), np.int32(min(radius_y, 2e9))

        level = 1.002 * fading + 0.002  # a little more than where alpha is ALPHA_MIN, for rounding
        reach_x, reach_y = np.sqrt(level * xx), np.sqrt(level * yy)
        # From the float32 values that binning reads: in float64 a box can end one tile earlier, and its pairs overflow.
        left, right = span(np.float32(u), np.float32(reach_x), tiles_x)
        top, bottom = span(np.float32(v), np.float32(reach_y), tiles_y)
        capacity[g] = (right - left) * (bottom - top)
        d, _ = direction(means, g, center)
        basis(np.float32(d[0]), np.float32(d[1]), np.float32(d[2]), degree, functions)
        red, green, blue = color(functions, count, sh, g * np.uint64(sh_stride))
        packed[g, X], packed[g, Y], packed[g, OPACITY], packed[g, Z] = u, v, opacity, p[2]
        packed[g, K], packed[g, S], packed[g, M] = yy / det, xy / yy, 1 / yy
        packed[g, RED], packed[g, GREEN], packed[g, BLUE] = max(red, 0), max(green, 0), max(blue, 0)
        packed[g, LEVEL], packed[g, REACH_X], packed[g, REACH_Y] = level, reach_x, reach_y
        packed[g, RIGHT] = xy * np.sqrt(level / xx)
