"""Triangles drawn into a picture's depth: what a mesh looks like from a camera, to hold it against splats."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from recon3d.core.jit import kernel, run

NEAR = 1e-6  # world units: triangles that reach before it are left out
EDGE = 1e-9  # of a triangle, by which it is larger: no pixel on an edge falls between its two triangles


@kernel
def draw(begin, end, points, faces, lens, depth, which):
    """z-depth and number of the nearest triangle at pixel centres, all triangles in order: [begin, end) is all or nothing."""
    height, width = depth.shape
    for f in range(len(faces)):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        if min(points[a, 2], min(points[b, 2], points[c, 2])) < NEAR:
            continue
        ax, ay = lens[0] * points[a, 0] / points[a, 2] + lens[2], lens[1] * points[a, 1] / points[a, 2] + lens[3]
        bx, by = lens[0] * points[b, 0] / points[b, 2] + lens[2], lens[1] * points[b, 1] / points[b, 2] + lens[3]
        cx, cy = lens[0] * points[c, 0] / points[c, 2] + lens[2], lens[1] * points[c, 1] / points[c, 2] + lens[3]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0:
            continue
        first, last = max(0, int(np.ceil(min(ax, bx, cx) - 0.5))), min(width - 1, int(np.floor(max(ax, bx, cx) - 0.5)))
        top, bottom = max(0, int(np.ceil(min(ay, by, cy) - 0.5))), min(height - 1, int(np.floor(max(ay, by, cy) - 0.5)))
        for row in range(top, bottom + 1):
            for column in range(first, last + 1):
                x, y = column + 0.5, row + 0.5
                u = ((bx - x) * (cy - y) - (by - y) * (cx - x)) / area
                v = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) / area
                w = 1 - u - v
                if u < -EDGE or v < -EDGE or w < -EDGE:
                    continue
                z = 1 / (u / points[a, 2] + v / points[b, 2] + w / points[c, 2])  # 1 / z is linear in a picture
                if depth[row, column] == 0 or z < depth[row, column]:
                    depth[row, column] = z
                    which[row, column] = f


def draw_triangles(
    vertices: Annotated[np.ndarray, "V 3"],
    faces: Annotated[np.ndarray, "F 3"],
    camera_from_world: Annotated[np.ndarray, "4 4"],
    lens: Annotated[np.ndarray, "4"],
    size: tuple[int, int],
) -> tuple[Annotated[np.ndarray, "H W"], Annotated[np.ndarray, "H W"]]:
    """z-depth (float32, 0 where no triangle is) and the number of the triangle (int32, -1) at each pixel of a picture of
    (height, width) `size`, through a pinhole `lens` (focal lengths, principal point, pixels). Both sides are drawn.
    """
    depth, which = np.zeros(size, np.float32), np.full(size, -1, np.int32)
    points = vertices @ camera_from_world[:3, :3].T + camera_from_world[:3, 3]
    run(draw, 1, points.astype(np.float64), np.asarray(faces, np.int32), lens, depth, which)
    return depth, which
