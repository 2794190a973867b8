"""The largest of each row of a table and the next one: three passes through a row in cache, where a sort is ten times slower."""

from numba import uint64

from recon3d.core.jit import kernel


@kernel
def two_largest(begin, end, values, columns, largest, at, following):
    """Of rows [begin, end) of values [rows columns, flat]: the largest, the first place where it is, and what is the
    largest without that place. Two columns or more."""
    for row in range(uint64(begin), uint64(end)):
        start = row * uint64(columns)
        stop = start + uint64(columns)
        best = values[start]
        for i in range(start, stop):
            if values[i] > best:
                best = values[i]
        here = start
        while values[here] != best:
            here += uint64(1)
        other = values[start] if here != start else values[start + uint64(1)]
        for i in range(start, here):
            if values[i] > other:
                other = values[i]
        for i in range(here + uint64(1), stop):
            if values[i] > other:
                other = values[i]
        largest[row], at[row], following[row] = best, here - start, other
