"""Depth into blocks of signed distances, a block by itself: no two threads write the same voxel."""

import numpy as np

from recon3d.core.jit import kernel, part

SIDE = 8  # voxels of a block's edge


@kernel
def mark_blocks(begin, end, depth, world_from_camera, lens, low, voxel, reach, blocks):
    """blocks [X,Y,Z] bool: those within `reach` along the rays of the pixels of rows [begin, end), before and behind.

    Threads write only True, so that their order is of no matter.
    """
    width = depth.shape[1]
    size = voxel * SIDE
    steps = int(np.ceil(2 * reach / (0.5 * size)))
    for row in range(begin, end):
        for column in range(width):
            z = depth[row, column]
            if z <= 0:
                continue
            x, y = (column + 0.5 - lens[2]) / lens[0], (row + 0.5 - lens[3]) / lens[1]
            length = np.sqrt(x * x + y * y + 1)
            for step in range(steps + 1):
                t = z + (2 * reach * step / steps - reach) / length
                i = np.floor((world_from_camera[0, 0] * x + world_from_camera[0, 1] * y + world_from_camera[0, 2]) * t / size
                             + (world_from_camera[0, 3] - low[0]) / size)  # fmt: skip
                j = np.floor((world_from_camera[1, 0] * x + world_from_camera[1, 1] * y + world_from_camera[1, 2]) * t / size
                             + (world_from_camera[1, 3] - low[1]) / size)  # fmt: skip
                k = np.floor((world_from_camera[2, 0] * x + world_from_camera[2, 1] * y + world_from_camera[2, 2]) * t / size
                             + (world_from_camera[2, 3] - low[2]) / size)  # fmt: skip
                inside = 0 <= i < blocks.shape[0] and 0 <= j < blocks.shape[1] and 0 <= k < blocks.shape[2]
                if inside:
                    blocks[int(i), int(j), int(k)] = True


@part
def looked_up(depth, u, v, apart):
    """Depth at a place (u, v) in pixels, between the four pixel centres around it; the nearest one's where these differ by
    more than `apart` or one is unknown. The place lies in the picture."""
    height, width = depth.shape
    near = depth[min(int(v), height - 1), min(int(u), width - 1)]
    x, y = u - 0.5, v - 0.5
    column, row = int(np.floor(x)), int(np.floor(y))
    if near <= 0 or column < 0 or row < 0 or column + 1 >= width or row + 1 >= height:
        return near
    a, b = depth[row, column], depth[row, column + 1]
    c, d = depth[row + 1, column], depth[row + 1, column + 1]
    if min(min(a, b), min(c, d)) <= 0 or max(max(a, b), max(c, d)) - min(min(a, b), min(c, d)) > apart:
        return near
    x, y = x - column, y - row
    return (a * (1 - x) + b * x) * (1 - y) + (c * (1 - x) + d * x) * y


@kernel
def integrate(begin, end, depth, weight_of, camera_from_world, lens, low, voxel, reach, places, distances, weights, seen):
    """One view into blocks [begin, end): the weighted mean of its signed distances, in shares of `reach`, at most 1.

    A voxel farther behind the view's surface than `reach` is not touched: nothing is known of it. places [B,3] are blocks
    in the grid; distances, weights and seen (views that have it within `reach`) are [B,8,8,8].
    """
    height, width = depth.shape
    for block in range(begin, end):
        for i in range(SIDE):
            for j in range(SIDE):
                for k in range(SIDE):
                    x = low[0] + (places[block, 0] * SIDE + i) * voxel
                    y = low[1] + (places[block, 1] * SIDE + j) * voxel
                    z = low[2] + (places[block, 2] * SIDE + k) * voxel
                    c = camera_from_world
                    away = c[2, 0] * x + c[2, 1] * y + c[2, 2] * z + c[2, 3]
                    if away <= 1e-6:
                        continue
                    u = lens[0] * (c[0, 0] * x + c[0, 1] * y + c[0, 2] * z + c[0, 3]) / away + lens[2]
                    v = lens[1] * (c[1, 0] * x + c[1, 1] * y + c[1, 2] * z + c[1, 3]) / away + lens[3]
                    if not (0 <= u < width and 0 <= v < height):
                        continue
                    there = looked_up(depth, u, v, reach)
                    if there <= 0 or there - away < -reach:
                        continue
                    weight = weight_of[int(v), int(u)]
                    if weight <= 0:
                        continue
                    total = weights[block, i, j, k] + weight
                    distance = min(1.0, (there - away) / reach)
                    distances[block, i, j, k] += (distance - distances[block, i, j, k]) * weight / total
                    weights[block, i, j, k] = total
                    if there - away < reach:
                        seen[block, i, j, k] += 1
