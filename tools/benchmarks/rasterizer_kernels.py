"""What the product does inside of another kernel, as one of its own, so that it can be timed."""

import numpy as np

from recon3d.core.jit import kernel
from recon3d.rendering.cpu.projection_gradient import summed


@kernel
def sum_rows(begin, end, sums, first_slot, count, out):
    """out [G,16]: the rows of each Gaussian's pairs, added."""
    total = np.empty(out.shape[1], np.float64)
    for i in range(begin, end):
        g = np.uint64(i)
        summed(sums, first_slot[g], count[g], total)
        out[g, :] = total
