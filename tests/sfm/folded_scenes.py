"""Synthetic captures of two like places, as they are and folded into one: a corridor with two equal doors, a house with equal
fronts, two equal rooms. What is alike at both places is seen as the same points in the folded model; what stands around it is
not alike, and each half of the photos shows its own."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from recon3d.core.cameras import Cameras
from recon3d.core.geometry import Geometry, Tracks
from recon3d.core.synthetic import look_at

SIZE, FOCAL = (480, 640), 500.0
SEEN_AGAIN = 0.6  # of the points in a photo are found in it
NOISE = 0.5  # pixels

Points = np.ndarray  # [n, 3]


@dataclass(frozen=True)
class Place:
    """What stands at a place, in its own frame: the like part, what is around it here and at the other place, and where photos
    are taken from [n, 3] and look to."""

    alike: Points
    around: tuple[Points, Points]
    centers: tuple[Points, Points]
    target: np.ndarray
    other: np.ndarray  # world_from_place of the other place, 4x4; this one's is the identity


def wall(chance: np.random.Generator, count: int, x: tuple[float, float], y: tuple[float, float], relief: float) -> Points:
    """Points of a wall across z, as far as `relief` before it."""
    return np.stack([chance.uniform(*x, count), chance.uniform(*y, count), -relief * chance.random(count)], 1)


def beside(chance: np.random.Generator, count: int, half: float, width: float, relief: float) -> Points:
    """Points of a wall to the left and right of what is `half` wide on each side."""
    found = wall(chance, count, (half, width), (-1.2, 1.2), relief)
    found[:, 0] *= chance.choice([-1, 1], count)
    return found


def corridor(chance: np.random.Generator, own: int) -> Place:
    """A door in a long wall, and the same door 8 units on; photos by someone who walks past, first one door, then the other."""
    x = np.linspace(-0.8, 0.8, 7)
    stand = [np.stack([x, chance.normal(0, 0.05, 7), -2.5 + chance.normal(0, 0.1, 7)], 1) for _ in "ab"]
    other = np.eye(4)
    other[0, 3] = 8
    around = [beside(chance, own, 0.6, 2.0, 0.1) for _ in "ab"]
    door = wall(chance, 300, (-0.6, 0.6), (-1.1, 1.1), 0.1)
    return Place(door, (around[0], around[1]), (stand[0], stand[1]), np.zeros(3), other)


def fronts(chance: np.random.Generator, own: int) -> Place:
    """The front of a house and the same one on its back, which is half a turn about the house's middle; a garden before each."""
    angles = [np.radians(np.linspace(-25, 25, 6) + chance.normal(0, 1, 6)) for _ in "ab"]
    stand = [np.stack([5 * np.sin(a), chance.normal(0, 0.1, 6), -5 * np.cos(a)], 1) for a in angles]
    gardens = [wall(chance, own, (-3, 3), (0.8, 1.4), 2.0) for _ in "ab"]
    other = np.diag([-1.0, 1, -1, 1])
    other[2, 3] = 4  # the house is 4 deep
    return Place(wall(chance, 400, (-2, 2), (-1.5, 0.8), 0.3), (gardens[0], gardens[1]), (stand[0], stand[1]), np.zeros(3), other)


def rooms(chance: np.random.Generator, own: int) -> Place:
    """Two rooms of the same furniture on other floors; what hangs on their back walls is their own."""
    stand = [np.stack([chance.uniform(-1, 1, 8), chance.normal(0, 0.2, 8), -2 + chance.normal(0, 0.2, 8)], 1) for _ in "ab"]
    furniture = chance.uniform([-2, 0, -0.5], [2, 1, 1.5], (350, 3))
    pictures = [wall(chance, own, (-2, 2), (-1.2, -0.2), 0.05) + [0, 0, 1.5] for _ in "ab"]
    return Place(furniture, (pictures[0], pictures[1]), (stand[0], stand[1]), np.array([0, 0, 0.5]), above())


def clutter(chance: np.random.Generator, own: int) -> Place:
    """The same rooms, where what is their own lies about among the furniture: not to be told apart in one part of a photo."""
    stand = [np.stack([chance.uniform(-1, 1, 8), chance.normal(0, 0.2, 8), -2 + chance.normal(0, 0.2, 8)], 1) for _ in "ab"]
    furniture, *things = (chance.uniform([-2, -1, -0.5], [2, 1, 1.5], (n, 3)) for n in (350, own, own))
    return Place(furniture, (things[0], things[1]), (stand[0], stand[1]), np.array([0, 0, 0.5]), above())


def above() -> np.ndarray:
    other = np.eye(4)
    other[:3, 3] = (0, -3, 0.5)
    return other


LAYOUTS: dict[str, Callable[[np.random.Generator, int], Place]] = {"corridor": corridor, "fronts": fronts, "rooms": rooms}
NOT_FOUND = {"clutter": clutter}


def capture(layout: str, folded: bool, seed: int, own: int = 300) -> tuple[Geometry, tuple[str, ...]]:
    """A model of the photos a0, a1, ... of the first place and b0, ... of the second; `own` points are about each.

    As it is, the second place stands where it does; folded, its photos and points stand about the first one.
    """
    chance = np.random.default_rng([seed, 7])
    place = (LAYOUTS | NOT_FOUND)[layout](chance, own)
    groups = [place.alike, place.around[0], place.alike, place.around[1]]
    where = [np.eye(4), np.eye(4), *(2 * [np.eye(4) if folded else place.other])]
    points = np.concatenate([p @ T[:3, :3].T + T[:3, 3] for p, T in zip(groups, where, strict=True)])
    number = np.arange(len(points))
    if folded:  # what is alike is one and the same
        first, second = len(place.alike), len(place.alike) + own_count(place, 0)
        number[second : second + first] = number[:first]
    poses, rows = [], []
    for half, T in enumerate((np.eye(4), np.eye(4) if folded else place.other)):
        start = 0 if half == 0 else len(place.alike) + own_count(place, 0)
        stop = start + len(place.alike) + own_count(place, half)
        for center in place.centers[half]:
            c, target = (T[:3, :3] @ x + T[:3, 3] for x in (center, place.target + chance.normal(0, 0.05, 3)))
            poses.append(look_at(torch.from_numpy(c), torch.from_numpy(target)).numpy())
            rows.append(np.arange(start, stop))
    return observed(np.stack(poses), points, number, rows, chance), names(place)


def own_count(place: Place, half: int) -> int:
    return len(place.around[half])


def names(place: Place) -> tuple[str, ...]:
    return tuple(f"{letter}{i}" for letter, centers in zip("ab", place.centers, strict=True) for i in range(len(centers)))


def observed(poses: np.ndarray, points: Points, number: np.ndarray, rows: list[np.ndarray], chance) -> Geometry:
    """The model in which view i sees the points rows[i], as far as they are in its picture and found there, under `number`;
    points that fewer than two views see are none."""
    n, K = len(poses), np.array([[FOCAL, 0, SIZE[1] / 2], [0, FOCAL, SIZE[0] / 2], [0, 0, 1]])
    cameras = Cameras(
        torch.from_numpy(poses), torch.from_numpy(K).repeat(n, 1, 1), torch.tensor(SIZE).repeat(n, 1), torch.zeros(n).long()
    )
    pixels, _ = cameras.project(torch.from_numpy(points))
    shown = cameras.shows(torch.from_numpy(points)).numpy()
    view, point = [], []
    for i in range(n):
        mine = rows[i][shown[i, rows[i]] & (chance.random(len(rows[i])) < SEEN_AGAIN)]
        view.append(np.full(len(mine), i))
        point.append(mine)
    views, seen = np.concatenate(view), np.concatenate(point)
    xy = pixels[views, seen] + NOISE * torch.from_numpy(chance.normal(size=(len(seen), 2)))
    tracks = Tracks(torch.from_numpy(views), torch.from_numpy(number[seen]), xy)
    empty = torch.zeros(len(points), 3, dtype=torch.uint8)
    found = Geometry(cameras, torch.from_numpy(points), empty, torch.zeros(len(points)).double(), tracks, source="synthetic")
    count = torch.bincount(tracks.point, minlength=len(points))
    return found.with_points(count >= 2)
