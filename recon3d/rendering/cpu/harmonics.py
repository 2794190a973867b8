"""Colours from spherical harmonics and their gradients, one Gaussian at a time; the basis of `recon3d.core.harmonics`."""

import numpy as np
from numba import float32

from recon3d.core.jit import part

C0 = float32(0.28209479177387814)
C1 = float32(0.48860251190292)
C20, C21, C22 = float32(1.092548430592079), float32(0.31539156525252), float32(0.5462742152960395)
C30, C31, C32 = float32(0.5900435899266435), float32(2.890611442640554), float32(0.4570457994644657)
C33, C34 = float32(0.3731763325901154), float32(1.445305721320277)
TWO, THREE, FOUR, SIX, EIGHT = float32(2), float32(3), float32(4), float32(6), float32(8)


@part
def basis(x, y, z, degree, out):
    """Fill out [16] with the (degree + 1)^2 functions at the unit direction (x, y, z)."""
    out[0] = C0
    if degree > 0:
        out[1], out[2], out[3] = -C1 * y, C1 * z, -C1 * x
    if degree > 1:
        xx, yy, zz = x * x, y * y, z * z
        out[4], out[5], out[6] = C20 * x * y, -C20 * y * z, C21 * (TWO * zz - xx - yy)
        out[7], out[8] = -C20 * x * z, C22 * (xx - yy)
        if degree > 2:
            out[9], out[10] = -C30 * y * (THREE * xx - yy), C31 * x * y * z
            out[11], out[12] = -C32 * y * (FOUR * zz - xx - yy), C33 * z * (TWO * zz - THREE * xx - THREE * yy)
            out[13], out[14] = -C32 * x * (FOUR * zz - xx - yy), C34 * z * (xx - yy)
            out[15] = -C30 * x * (xx - THREE * yy)


@part
def basis_gradient(x, y, z, degree, d):
    """d [16], the gradients of the functions -> the gradient of (x, y, z), not yet made tangent to the sphere."""
    gx = gy = gz = float32(0)
    if degree > 0:
        gx, gy, gz = -C1 * d[3], -C1 * d[1], C1 * d[2]
    if degree > 1:
        gx += C20 * (y * d[4] - z * d[7]) + TWO * x * (C22 * d[8] - C21 * d[6])
        gy += C20 * (x * d[4] - z * d[5]) - TWO * y * (C22 * d[8] + C21 * d[6])
        gz += FOUR * C21 * z * d[6] - C20 * (y * d[5] + x * d[7])
    if degree > 2:
        xx, yy, zz, xy, yz, xz = x * x, y * y, z * z, x * y, y * z, x * z
        gx += -SIX * C30 * xy * d[9] + C31 * yz * d[10] + TWO * C32 * xy * d[11] - SIX * C33 * xz * d[12]
        gx += -C32 * (FOUR * zz - THREE * xx - yy) * d[13] + TWO * C34 * xz * d[14] - THREE * C30 * (xx - yy) * d[15]
        gy += -THREE * C30 * (xx - yy) * d[9] + C31 * xz * d[10] - C32 * (FOUR * zz - xx - THREE * yy) * d[11]
        gy += -SIX * C33 * yz * d[12] + TWO * C32 * xy * d[13] - TWO * C34 * yz * d[14] + SIX * C30 * xy * d[15]
        gz += C31 * xy * d[10] - EIGHT * C32 * yz * d[11] + C33 * (SIX * zz - THREE * xx - THREE * yy) * d[12]
        gz += -EIGHT * C32 * xz * d[13] + C34 * (xx - yy) * d[14]
    return gx, gy, gz


@part
def color(functions, count, sh, at):
    """0.5 + sum over k of functions[k] sh[at + 3 k + channel], not yet clamped at 0."""
    red = green = blue = float32(0.5)
    for k in range(count):
        p = at + np.uint64(3 * k)
        red += functions[k] * sh[p]
        green += functions[k] * sh[p + np.uint64(1)]
        blue += functions[k] * sh[p + np.uint64(2)]
    return red, green, blue
