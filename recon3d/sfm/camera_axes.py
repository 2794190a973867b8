"""Mistakes that are made with the axes of cameras: turned, mirrored and inverse matrices, and what each looks like.

Only the camera's side is told apart: matches agree with relative poses, which a turn of the world leaves as they are.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Annotated

import numpy as np

Axes = tuple[str, str, str]  # where the file's x, y and z axis, meant as right, down and forward, point in the photos
DIRECTIONS = {
    "right": (1, 0, 0), "down": (0, 1, 0), "forward": (0, 0, 1), "left": (-1, 0, 0), "up": (0, -1, 0), "back": (0, 0, -1),
}  # fmt: skip
OPPOSITE = {"right": "left", "down": "up", "forward": "back", "left": "right", "up": "down", "back": "forward"}
MEANT: Axes = ("right", "down", "forward")
# Axes -> what a user would call it. The first are the ones made most often.
NAMED: dict[Axes, str] = {
    MEANT: "",
    ("right", "up", "back"): "the y and z axes of the cameras are flipped: half a turn about x, as between OpenGL and OpenCV",
    ("left", "down", "back"): "the cameras look the other way: half a turn about their y axis",
    ("left", "up", "forward"): "the cameras stand on their heads: half a turn about their z axis",
    ("down", "left", "forward"): "the cameras lie on their side: a quarter turn about their z axis",
    ("up", "right", "forward"): "the cameras lie on their other side: a quarter turn about their z axis",
}
MIRRORED = "the cameras are mirrored, as where their world is left-handed (Unity, Unreal, DirectX)"


def matrix(axes: Axes) -> Annotated[np.ndarray, "3 3"]:
    """True camera coordinates from the file's."""
    return np.array([DIRECTIONS[name] for name in axes], np.float64).T


def mirrored(axes: Axes) -> Axes:
    """All three axes reversed: the same epipolar lines, everything behind the cameras."""
    x, y, z = axes
    return OPPOSITE[x], OPPOSITE[y], OPPOSITE[z]


def turns() -> tuple[Axes, ...]:
    """The 24 ways to turn a camera onto its axes, the named ones first."""
    found: list[Axes] = [(x, y, z) for x, y, z in itertools.permutations(DIRECTIONS, 3)]
    proper = [axes for axes in found if np.linalg.det(matrix(axes)) > 0.5]
    return tuple(sorted(proper, key=lambda axes: list(NAMED).index(axes) if axes in NAMED else len(NAMED)))


AXES = turns()


@dataclass(frozen=True)
class Mistake:
    """What a file of cameras did to camera_from_world: its camera axes, and whether it holds the inverse."""

    axes: Axes
    inverted: bool

    @property
    def words(self) -> str:
        """What a user has to know to mend it."""
        if self.axes in NAMED:
            about_axes = NAMED[self.axes]
        else:
            what = MIRRORED if self.axes not in AXES else "the axes of the cameras are turned"
            x, y, z = self.axes
            about_axes = f"{what}: what should be right, down and forward is {x}, {y} and {z} in the photos"
        if not self.inverted:
            return about_axes
        return "; and ".join(["the matrices are inverse: they map cameras into the world", *filter(None, [about_axes])])


def mistakes() -> tuple[Mistake, ...]:
    """All 96, the first being none; those made most often before others, mirrors last."""
    proper = [Mistake(axes, inverted) for axes in AXES for inverted in (False, True)]
    return (*proper, *(Mistake(mirrored(m.axes), m.inverted) for m in proper))


def without(mistake: Mistake, given: Annotated[np.ndarray, "4 4"]) -> Annotated[np.ndarray, "4 4"]:
    """camera_from_world of a given matrix, the mistake undone."""
    turn = np.eye(4)
    turn[:3, :3] = matrix(mistake.axes)
    return turn @ (np.linalg.inv(given) if mistake.inverted else given)
