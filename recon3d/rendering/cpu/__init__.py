"""The rasterizer on a CPU, in numba."""
