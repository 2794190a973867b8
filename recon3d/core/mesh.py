"""A surface of triangles with a colour at each vertex."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np


@dataclass(frozen=True)
class Mesh:
    """Triangles in the world; seen from outside, from where their surface was seen, their vertices run anticlockwise."""

    vertices: Annotated[np.ndarray, "V 3"]  # float32, or float64 far from zero; world units
    faces: Annotated[np.ndarray, "F 3"]  # int32, indices of vertices
    colors: Annotated[np.ndarray, "V 3"]  # uint8, as a display shows them

    def kept(self, faces: Annotated[np.ndarray, "F"]) -> Mesh:
        """Only some faces (bool), and the vertices that they have."""
        left = self.faces[faces]
        used, numbers = np.unique(left, return_inverse=True)
        return Mesh(self.vertices[used], numbers.reshape(-1, 3).astype(np.int32), self.colors[used])

    def closed(self) -> bool:
        """Whether every edge lies between two faces that run along it in opposite directions."""
        start, end = self.faces.ravel(), np.roll(self.faces, -1, 1).ravel()
        count = len(self.vertices)
        along = np.sort(start.astype(np.int64) * count + end)
        against = np.sort(end.astype(np.int64) * count + start)
        return len(along) > 0 and bool((along[1:] != along[:-1]).all() and (along == against).all())
