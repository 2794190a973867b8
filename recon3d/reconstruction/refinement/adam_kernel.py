"""Adam (Kingma & Ba 2015) over rows of a parameter, in one pass: torch takes five, each through all of memory."""

import numpy as np
from numba import float32, uint64

from recon3d.core.jit import kernel


@kernel
def adam(begin, end, values, gradients, used, width, first, second, rates, decay, second_decay):
    """Rows [begin, end) of values, first and second moments [rows, width], all flat, by gradients [rows, used].

    rates [width]: steps of the columns, with both corrections of the bias in them.
    """
    one, tiny = float32(1), float32(1e-15)
    a, b = float32(decay), float32(second_decay)
    for row in range(uint64(begin), uint64(end)):
        p, q = row * uint64(width), row * uint64(used)
        for c in range(uint64(used)):
            g = gradients[q + c]
            m = a * first[p + c] + (one - a) * g
            v = b * second[p + c] + (one - b) * g * g
            first[p + c], second[p + c] = m, v
            values[p + c] -= rates[c] * m / (np.sqrt(v) + tiny)
