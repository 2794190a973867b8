"""How a projected Gaussian and a tile lie in memory: shared by projection, binning and compositing.

A projected Gaussian is one cache line of sixteen float32. Its inverse covariance is kept completed to squares,

    sigma = (k u^2 + m dy^2) / 2    with    u = dx - s dy,    k = yy / det,    s = xy / yy,    m = 1 / yy,

which is never negative and has none of the cancellation of a dx^2 + 2 b dx dy + c dy^2 for thin splats.
"""

import numpy as np

from recon3d.rendering.constants import TILE

ROW = 16
X, Y, K, S, M, OPACITY, RED, GREEN, BLUE, Z = range(10)
# The ellipse k u^2 + m dy^2 <= LEVEL outside of which alpha is below ALPHA_MIN, its half width and height, and the
# dy at which it reaches furthest right.
LEVEL, REACH_X, REACH_Y, RIGHT = range(10, 14)

# Gradients of one Gaussian in one tile, one cache line as well; the sums that compositing makes over pixels.
SUM_U, SUM_Y, SUM_UU, SUM_UY, SUM_YY, SUM_V, SUM_RED, SUM_GREEN, SUM_BLUE, SUM_Z = range(10)

# A tile is 4 x 4 blocks of 4 x 4 pixels; a block is one value of sixteen lanes. Bit 4 row + column of a mask is a block.
BLOCK = 4
BLOCKS = (TILE // BLOCK) ** 2
LANES = BLOCK * BLOCK
LANE_X = np.array([i % BLOCK + 0.5 for i in range(LANES)], np.float32)
LANE_Y = np.array([i // BLOCK + 0.5 for i in range(LANES)], np.float32)
# Planes of a block, sixteen floats each: red, green, blue, sum of w z, transmittance (negative where the pixel stopped).
PLANES = 5
BLOCK_FLOATS = PLANES * LANES
TILE_FLOATS = BLOCKS * BLOCK_FLOATS
