"""Gradients of `projection.project`: from sums over pixels to world Gaussians and the camera, for one camera."""

import numpy as np  # noqa: I001 - lists of names are kept in rows

from recon3d.core.jit import kernel, part
from recon3d.rendering.constants import EPS2D
from recon3d.rendering.cpu.harmonics import basis, basis_gradient
from recon3d.rendering.cpu.lanes import prefetch
from recon3d.rendering.cpu.layout import (
    BLUE, GREEN, RED, ROW, SUM_BLUE, SUM_GREEN, SUM_RED, SUM_U, SUM_UU, SUM_UY, SUM_V, SUM_Y,
    SUM_YY, SUM_Z, K, M, S,
)  # fmt: skip
from recon3d.rendering.cpu.projection import (
    CX, CY, FX, FY, HEIGHT, WIDTH, along_axes, center_in_world, combined, cross, direction, dot, mean_in_camera,
    pulled_back, rotation_columns, row, scales_of, screen_rows, times, unit_quaternion,
)  # fmt: skip

AHEAD = 8  # Gaussians: rows of sums lie in order of depth, so a Gaussian's are asked for this long before they are needed
CHUNK = 1024  # Gaussians whose part of the camera's gradient is summed apart: fixed, so that the sum is always the same


@part
def summed(sums, first, count, total):
    """The rows of one Gaussian's pairs, added in their order, into total [16]."""
    total[:] = 0
    for slot in range(np.uint64(first), np.uint64(first + count)):
        at = slot * np.uint64(ROW)
        for column in range(np.uint64(ROW)):
            total[column] += sums[at + column]


@part
def covariance_gradient(h0, h1, total, k, s, m):
    """Gradients of the two rows of the projected factor, through k, s and m of `layout`.

    With n = 1 / k = xx - s xy: dn/dxx = 1, dn/dxy = -2 s, dn/dyy = s^2.
    """
    d_n = -k * k * 0.5 * total[SUM_UU]
    d_s = -k * total[SUM_UY]
    d_m = 0.5 * total[SUM_YY]
    d_xx, d_xy, d_yy = d_n, m * d_s - 2 * s * d_n, s * s * d_n - s * m * d_s - m * m * d_m
    return combined(2 * d_xx, h0, d_xy, h1), combined(d_xy, h0, 2 * d_yy, h1)


@part
def compensation_gradient(h0, h1, d_log):
    """Gradients of the two rows of the projected factor, through the compensation; d_log is that of its logarithm.

    With c = A / sqrt(D), A = |h0 x h1| and D = A^2 + e (|h0|^2 + |h1|^2 + e), e = EPS2D: d log c = dA / A - dD / 2D, in
    which 1 / A^2 - 1 / D = (D - A^2) / (A^2 D) is taken without cancellation. A drawn splat has A > 0.
    """
    area = cross(h0, h1)
    squared, added = dot(area, area), EPS2D * (dot(h0, h0) + dot(h1, h1) + EPS2D)
    det = squared + added
    of_area, of_row = d_log * added / (squared * det), -d_log * EPS2D / det
    return combined(of_area, cross(h1, area), of_row, h0), combined(of_area, cross(area, h0), of_row, h1)


@part
def factor_gradient(h0, h1, total, k, s, m, antialiased):
    """Gradients of the two rows of the projected factor, by all ways."""
    d_h0, d_h1 = covariance_gradient(h0, h1, total, k, s, m)
    if antialiased:
        by_h0, by_h1 = compensation_gradient(h0, h1, -total[SUM_V])
        d_h0, d_h1 = combined(1.0, d_h0, 1.0, by_h0), combined(1.0, d_h1, 1.0, by_h1)
    return d_h0, d_h1


@part
def quaternion_gradient(q, shrink, d):
    """d: gradients of the three columns of the rotation -> gradient of the quaternion as given, of any length."""
    w, x, y, z = q
    a, b, c = d
    d_w = 2 * (z * (a[1] - b[0]) + y * (c[0] - a[2]) + x * (b[2] - c[1]))
    d_x = 2 * (y * (b[0] + a[1]) + z * (c[0] + a[2]) - 2 * x * (b[1] + c[2]) + w * (b[2] - c[1]))
    d_y = 2 * (x * (b[0] + a[1]) + z * (c[1] + b[2]) - 2 * y * (a[0] + c[2]) + w * (c[0] - a[2]))
    d_z = 2 * (x * (c[0] + a[2]) + y * (c[1] + b[2]) - 2 * z * (a[0] + b[1]) + w * (a[1] - b[0]))
    along = w * d_w + x * d_x + y * d_y + z * d_z
    return (d_w - w * along) * shrink, (d_x - x * along) * shrink, (d_y - y * along) * shrink, (d_z - z * along) * shrink


@part
def color_gradient(degree, sh, at, d_rgb, toward, functions, d_functions, d_sh, to, accumulate):
    """Gradients of the coefficients into d_sh [to ...]; returns that of the unit direction."""
    x, y, z = np.float32(toward[0]), np.float32(toward[1]), np.float32(toward[2])
    basis(x, y, z, degree, functions)
    red, green, blue = np.float32(d_rgb[0]), np.float32(d_rgb[1]), np.float32(d_rgb[2])
    for k in range((degree + 1) * (degree + 1)):
        p, o = at + np.uint64(3 * k), to + np.uint64(3 * k)
        d_functions[k] = red * sh[p] + green * sh[p + np.uint64(1)] + blue * sh[p + np.uint64(2)]
        if accumulate:
            d_sh[o] += functions[k] * red
            d_sh[o + np.uint64(1)] += functions[k] * green
            d_sh[o + np.uint64(2)] += functions[k] * blue
        else:
            d_sh[o] = functions[k] * red
            d_sh[o + np.uint64(1)] = functions[k] * green
            d_sh[o + np.uint64(2)] = functions[k] * blue
    return basis_gradient(x, y, z, degree, d_functions)


@part
def ratio_gradient(focal, center, size, p, ratio, d_screen_row, toward, d_pixel):
    """Gradient of x/z (or y/z): through the pixel, and through the Jacobian where that is not pulled back."""
    inside = pulled_back(ratio, focal, center, size) == ratio
    return focal * d_pixel - (focal / p[2] * dot(toward, d_screen_row) if inside else 0.0)


@part
def add_row(matrix, i, vector):
    matrix[i, 0] += vector[0]
    matrix[i, 1] += vector[1]
    matrix[i, 2] += vector[2]


@part
def set_or_add(target, g, values, accumulate):
    for i in range(len(values)):
        target[g, i] = target[g, i] + values[i] if accumulate else values[i]


@part
def mean_and_camera_gradient(camera, lens, p, screen, d_screen, d_pixel, d_depth, d_camera):
    """Gradient of the mean in the camera's frame, by pixel and Jacobian; the Jacobian's part of d_camera [3,4] is added."""
    toward = row(camera, 2)
    ratio_x, ratio_y = p[0] / p[2], p[1] / p[2]
    by_x, by_y = lens[FX] / p[2], lens[FY] / p[2]
    at_x = pulled_back(ratio_x, lens[FX], lens[CX], lens[WIDTH])
    at_y = pulled_back(ratio_y, lens[FY], lens[CY], lens[HEIGHT])
    add_row(d_camera, 0, combined(by_x, d_screen[0], 0.0, d_screen[0]))
    add_row(d_camera, 1, combined(by_y, d_screen[1], 0.0, d_screen[1]))
    add_row(d_camera, 2, combined(-by_x * at_x, d_screen[0], -by_y * at_y, d_screen[1]))
    d_x = ratio_gradient(lens[FX], lens[CX], lens[WIDTH], p, ratio_x, d_screen[0], toward, d_pixel[0])
    d_y = ratio_gradient(lens[FY], lens[CY], lens[HEIGHT], p, ratio_y, d_screen[1], toward, d_pixel[1])
    d_z = d_depth - (dot(screen[0], d_screen[0]) + dot(screen[1], d_screen[1]) + d_x * ratio_x + d_y * ratio_y) / p[2]
    return d_x / p[2], d_y / p[2], d_z


@part
def leave_unseen(g, accumulate, coefficients, d_means, d_quats, d_scales, d_opacities, d_sh, d_pixels):
    """The gradients of a Gaussian that no tile saw: zeros, or what is there already where they are added up."""
    set_or_add(d_pixels, g, (0.0, 0.0), False)
    if not accumulate:
        set_or_add(d_means, g, (0.0, 0.0, 0.0), False)
        set_or_add(d_quats, g, (0.0, 0.0, 0.0, 0.0), False)
        set_or_add(d_scales, g, (0.0, 0.0, 0.0), False)
        d_opacities[g] = 0
        d_sh[g * coefficients : (g + np.uint64(1)) * coefficients] = 0


@kernel
def project_backward(
    begin, end, means, quats, scales, opacities, sh, sh_stride, degree, antialiased, camera, lens, packed, first_slot, count,
    sums, accumulate, d_means, d_quats, d_scales, d_opacities, d_sh, d_camera, d_pixels,
):  # fmt: skip
    """Chunks [begin, end) of CHUNK Gaussians. The gradients of Gaussians are added to where `accumulate`, else written.

    d_camera [chunks,3,4] float64, zeros: summed by the caller. d_pixels [G,2]: for `Screen`. d_sh is flat.
    """
    functions, d_functions = np.zeros(16, np.float32), np.zeros(16, np.float32)
    total = np.empty(ROW, np.float64)
    center = center_in_world(camera)
    coefficients = np.uint64(3 * (degree + 1) * (degree + 1))
    for i in range(begin * CHUNK, min(end * CHUNK, len(means))):
        g = np.uint64(i)
        prefetch(sums, np.uint64(first_slot[np.uint64(min(i + AHEAD, len(means) - 1))]) * np.uint64(ROW))
        if count[g] == 0:
            leave_unseen(g, accumulate, coefficients, d_means, d_quats, d_scales, d_opacities, d_sh, d_pixels)
            continue
        summed(sums, first_slot[g], count[g], total)
        line, to_camera = packed[g], d_camera[i // CHUNK]
        k, s_row, m = np.float64(line[K]), np.float64(line[S]), np.float64(line[M])
        d_pixel = k * total[SUM_U], m * total[SUM_Y] - s_row * k * total[SUM_U]
        set_or_add(d_pixels, g, d_pixel, False)

        q, shrink = unit_quaternion(quats, g)
        axes, s, p = rotation_columns(q), scales_of(scales, g), mean_in_camera(camera, means, g)
        screen = screen_rows(camera, lens, p)
        e0, e1 = along_axes(screen[0], axes), along_axes(screen[1], axes)
        h0, h1 = times(e0, s), times(e1, s)
        d_h0, d_h1 = factor_gradient(h0, h1, total, k, s_row, m, antialiased)
        d_e0, d_e1 = times(d_h0, s), times(d_h1, s)
        d_axes = (
            combined(d_e0[0], screen[0], d_e1[0], screen[1]),
            combined(d_e0[1], screen[0], d_e1[1], screen[1]),
            combined(d_e0[2], screen[0], d_e1[2], screen[1]),
        )
        d_screen = (
            combined(1.0, combined(d_e0[0], axes[0], d_e0[1], axes[1]), d_e0[2], axes[2]),
            combined(1.0, combined(d_e1[0], axes[0], d_e1[1], axes[1]), d_e1[2], axes[2]),
        )
        d_p = mean_and_camera_gradient(camera, lens, p, screen, d_screen, d_pixel, total[SUM_Z], to_camera)

        d_rgb = (
            total[SUM_RED] if line[RED] > 0 else 0.0,
            total[SUM_GREEN] if line[GREEN] > 0 else 0.0,
            total[SUM_BLUE] if line[BLUE] > 0 else 0.0,
        )
        toward, nearness = direction(means, g, center)
        d_toward = color_gradient(
            degree, sh, g * np.uint64(sh_stride), d_rgb, toward, functions, d_functions, d_sh, g * coefficients, accumulate
        )
        along = dot(toward, d_toward)
        d_view = combined(nearness, d_toward, -nearness * along, toward)  # of mean - center

        mean = np.float64(means[g, 0]), np.float64(means[g, 1]), np.float64(means[g, 2])
        d_mean = d_view
        for j in range(3):
            # center = -R^T t, so R and t receive -t d_center and -R d_center, and d_center = -d_view.
            add_row(to_camera, j, combined(d_p[j], mean, camera[j, 3], d_view))
            to_camera[j, 3] += d_p[j] + dot(row(camera, j), d_view)
            d_mean = combined(1.0, d_mean, d_p[j], row(camera, j))
        set_or_add(d_means, g, d_mean, accumulate)
        set_or_add(d_quats, g, quaternion_gradient(q, shrink, d_axes), accumulate)
        set_or_add(d_scales, g, combined(1.0, times(d_h0, e0), 1.0, times(d_h1, e1)), accumulate)
        d_opacity = -total[SUM_V] / opacities[g]
        d_opacities[g] = d_opacities[g] + d_opacity if accumulate else d_opacity
