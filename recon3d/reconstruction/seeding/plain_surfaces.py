"""Depth of plain walls, floors and table tops, on which stereo finds nothing to match: of the planes that what is matched
around them lies on. After piecewise planar stereo (Sinha et al. 2009, Gallup et al. 2010), without their global labelling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np

from recon3d.reconstruction.seeding.plane_sweep import AGREEMENT, Small, seen_at, unprojected

WINDOW, FULL = 7, 30  # pixels across whose matched ones tell which way a surface faces, and how many of them are needed
SAMPLES = 150  # matched pixels of a picture that planes are looked for in
TRIES = 200  # of them that are tried for each plane
OFF, FACING = 0.01, float(np.cos(np.radians(25)))  # of a sample on a plane: distance over depth, cosine between the normals
FEWEST, MOST = 0.02, 24  # of all samples on a plane that is believed, and planes
ON = 0.02  # relative difference between the depths of a plane and of a matched pixel that lies on it
# Of the eight ways from a pixel, so many meet the plane before anything else, and so large a share of those that meet anything.
# On six procedural scenes 83 to 99.9 % of what is filled is right to 3 % (tools/benchmarks/plain_surfaces.py). With planes
# spread to the picture's edges instead, 21 to 89 % were right to 2 %.
ENCLOSING, SHARE = 5, 0.75
ROUNDS = 2  # what was filled encloses more
AGREEING = 2  # other pictures that must have a filled pixel, matched or filled, in the same grey
GREY = 0.06  # difference of grey values (0 to 1), blurred by a pixel
UNKNOWN, OTHER = -1, -2  # labels of pixels without depth, and of those on no plane


@dataclass(frozen=True)
class Plane:
    """normal · X = offset, in the world."""

    normal: Annotated[np.ndarray, "3"]
    offset: float


@dataclass(frozen=True)
class Oriented:
    """Samples of matched surfaces."""

    points: Annotated[np.ndarray, "P 3"]  # world
    normals: Annotated[np.ndarray, "P 3"]  # unit, of either sign
    depths: Annotated[np.ndarray, "P"]  # in the picture that each comes from

    def __getitem__(self, which: np.ndarray) -> Oriented:
        return Oriented(self.points[which], self.normals[which], self.depths[which])


Depths = dict[int, Annotated[np.ndarray, "H W"]]  # z-depth of pictures by their index, 0 where unknown


def filled(matched: Depths, small: list[Small]) -> Depths:
    """The matched depths, and those of planes where they enclose a pixel and other pictures agree.

    Something plain behind a hole in a plane (sky through an arch) counts as the plane where nothing is matched in it: seen
    pictures tell no difference.
    """
    rng = np.random.default_rng(0)
    of_each = [oriented(depth, small[i], rng) for i, depth in matched.items()]
    if not of_each:
        return matched
    names = ("points", "normals", "depths")
    found = planes(Oriented(*(np.concatenate([getattr(o, name) for o in of_each]) for name in names)), rng)
    if not found:
        return matched
    grey = {i: cv2.GaussianBlur(small[i].grey, (0, 0), 1.0) for i in matched}
    depths = matched
    for _ in range(ROUNDS):
        wanted = {i: enclosed(depth, small[i], found) for i, depth in depths.items()}
        both = {i: np.where(depth > 0, depth, wanted[i]) for i, depth in depths.items()}
        sure = {i: confirmed(i, wanted[i], both, matched, small, grey) for i in depths}
        depths = {i: np.where((depth > 0) | sure[i], both[i], 0) for i, depth in depths.items()}
    return depths


def oriented(depth: Annotated[np.ndarray, "H W"], picture: Small, rng: np.random.Generator) -> Oriented:
    """Some matched pixels with the normals of their surroundings.

    Inverse depth is linear in pixels on a plane, so that sums over a window give its least squares fit.
    """
    known = (depth > 0).astype(np.float64)
    inverse = known / np.where(depth > 0, depth, 1)
    height, width = depth.shape
    y, x = np.mgrid[:height, :width] + 0.5
    count, terms = boxed(known), (x, y, np.ones_like(x))
    row, column = np.nonzero((depth > 0) & (count >= FULL))
    some = rng.permutation(len(row))[:SAMPLES]
    row, column = row[some], column[some]
    normal_matrix = np.stack([np.stack([boxed(known * a * b)[row, column] for b in terms], -1) for a in terms], 1)
    right = np.stack([boxed(inverse * a)[row, column] for a in terms], -1)
    linear = np.linalg.solve(normal_matrix + 1e-9 * np.eye(3), right[..., None])[..., 0]  # inverse depth = linear · (x, y, 1)
    normals = linear @ picture.K @ picture.camera_from_world[:3, :3]
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
    return Oriented(unprojected(depth, picture)[row, column], normals, depth[row, column])


def boxed(values: Annotated[np.ndarray, "H W"]) -> Annotated[np.ndarray, "H W"]:
    """Sums over windows."""
    return cv2.boxFilter(values, -1, (WINDOW, WINDOW), normalize=False, borderType=cv2.BORDER_CONSTANT)


def planes(samples: Oriented, rng: np.random.Generator) -> list[Plane]:
    """The planes that most samples lie on and face, one after the other (RANSAC, Fischler and Bolles 1981)."""
    found: list[Plane] = []
    fewest = max(FEWEST * len(samples.depths), 3)
    while len(found) < MOST and len(samples.depths) >= fewest:
        tried = samples[rng.permutation(len(samples.depths))[:TRIES]]
        offsets = (tried.points * tried.normals).sum(1)
        near = np.abs(samples.points @ tried.normals.T - offsets) < OFF * samples.depths[:, None]
        on = near & (np.abs(samples.normals @ tried.normals.T) > FACING)
        best = int(on.sum(0).argmax())
        plane, chosen = Plane(tried.normals[best], float(offsets[best])), on[:, best]
        for _ in range(3):
            if chosen.sum() >= fewest:
                plane = fitted(samples[chosen])
                chosen = lying_on(plane, samples)
        if chosen.sum() < fewest:
            break
        found.append(plane)
        samples = samples[~chosen]
    return found


def lying_on(plane: Plane, samples: Oriented) -> Annotated[np.ndarray, "P"]:
    near = np.abs(samples.points @ plane.normal - plane.offset) < OFF * samples.depths
    return near & (np.abs(samples.normals @ plane.normal) > FACING)


def fitted(samples: Oriented) -> Plane:
    """Least squares; distances count in shares of depth, as errors of stereo grow."""
    weights = 1 / samples.depths[:, None]
    middle = (samples.points * weights**2).sum(0) / (weights**2).sum()
    normal = np.linalg.svd((samples.points - middle) * weights, full_matrices=False)[2][2]
    return Plane(normal, float(normal @ middle))


def inverse_depth(plane: Plane, picture: Small) -> Annotated[np.ndarray, "H W"]:
    """Of the plane at each pixel; not positive where the pixel's ray does not meet it."""
    height, width = picture.grey.shape
    y, x = np.mgrid[:height, :width] + 0.5
    normal = picture.camera_from_world[:3, :3] @ plane.normal
    offset = plane.offset + normal @ picture.camera_from_world[:3, 3]
    return np.stack([x, y, np.ones_like(x)], -1) @ (np.linalg.inv(picture.K).T @ normal) / (offset if offset else np.inf)


def enclosed(depth: Annotated[np.ndarray, "H W"], picture: Small, found: list[Plane]) -> Annotated[np.ndarray, "H W"]:
    """Depth of the plane that encloses a pixel without depth; 0 elsewhere."""
    inverse = np.stack([inverse_depth(plane, picture) for plane in found])
    off = np.abs(inverse * depth - 1)
    labels = np.where(off.min(0) < ON, off.argmin(0), OTHER)
    labels[depth == 0] = UNKNOWN
    met = first_met(labels)
    votes = np.stack([(met == k).sum(0) for k in range(len(found))])
    most = votes.max(0)
    chosen = np.take_along_axis(inverse, votes.argmax(0)[None], 0)[0]
    wanted = (depth == 0) & (chosen > 0) & (most >= ENCLOSING) & (most >= SHARE * (met != UNKNOWN).sum(0))
    return np.where(wanted, 1 / np.where(wanted, chosen, 1), 0)


def first_met(labels: Annotated[np.ndarray, "H W"]) -> Annotated[np.ndarray, "8 H W"]:
    """What lies first on the eight ways from each pixel: its own label where it has one, UNKNOWN where a way meets none."""
    met = []
    for turns in range(4):
        for slanted in (False, True):
            turned = np.rot90(labels, turns).copy()
            for row in range(1, len(turned)):
                before = turned[row - 1]
                if slanted:
                    before = np.concatenate([[UNKNOWN], before[:-1]])
                turned[row] = np.where(turned[row] == UNKNOWN, before, turned[row])
            met.append(np.rot90(turned, -turns))
    return np.stack(met)


def confirmed(
    i: int, wanted: Annotated[np.ndarray, "H W"], both: Depths, matched: Depths, small: list[Small], grey: Depths
) -> Annotated[np.ndarray, "H W"]:
    """Which wanted pixels of picture i enough others have, at the same depth and in the same grey, and few see through."""
    rows, columns = np.nonzero(wanted > 0)
    points = unprojected(wanted, small[i])[rows, columns]
    agree, through = np.zeros(len(points), int), np.zeros(len(points), int)
    for j in both:
        if j != i:
            row, column, here, shown = seen_at(points, small[j])
            alike = np.abs(grey[j][row, column] - grey[i][rows, columns]) < GREY
            agree += shown & alike & (np.abs(both[j][row, column] - here) < AGREEMENT * here)
            through += shown & (matched[j][row, column] > (1 + 2 * AGREEMENT) * here)
    found = np.zeros(wanted.shape, bool)
    found[rows, columns] = (agree >= AGREEING) & (2 * through < agree)
    return found
