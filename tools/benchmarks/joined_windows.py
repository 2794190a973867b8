"""Windows of a long input joined, against truth: relative scale, trajectory, and loops closed.

    python -m tools.benchmarks.joined_windows ../shared/data

No good weights are needed: an invented network tells the truth of a known world from known cameras, window by window, each in
a similarity of its own that is drawn at random, with errors as networks make them (`Noise`). The cameras are the first 60 of
`street` (published, a drive), and those of a lap around a hall that ends where it began. Prints a table in markdown over
several seeds: by how much the scale between two windows is off, root mean square and worst (with drift a window has no one
scale: that of its first view is meant), and ATE after one similarity, the median, each without and with loops; loops closed
and refused.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from recon3d.core.cameras import Cameras
from recon3d.core.rotations import rotation_from_vector
from recon3d.core.similarity import Similarity
from recon3d.io.cameras_json import read_cameras
from recon3d.metrics.trajectory import trajectory_figures
from recon3d.models.pictures import Answer, geometry_in_network
from recon3d.reconstruction.windows.answer import Joined, answer_in_windows
from recon3d.reconstruction.windows.looks import look
from recon3d.reconstruction.windows.loops import Matches

FRAMES, SIZE, OVERLAP = 60, 16, 4
HEIGHT, WIDTH = 12, 36  # pixels of the pictures: 432 depths a view
SEEDS = 5


@dataclass(frozen=True)
class Plane:
    """Points x with normal · x = offset."""

    normal: tuple[float, float, float]
    offset: float


@dataclass(frozen=True)
class Noise:
    """What an invented network gets wrong."""

    depth: float = 0.02  # of each pixel, in shares
    scale: float = 0.01  # of a depth map as a whole, in shares
    center: float = 0.005  # of a camera centre, in median depths
    degrees: float = 0.2  # of a camera's rotation
    outliers: float = 0.05  # of pixels, whose depth is anything
    drift_scale: float = 0.0  # a frame, in shares: depth and steps grow along a window
    drift_degrees: float = 0.0  # a frame, about the vertical


EXACT = Noise(0, 0, 0, 0, 0)
DRIFTING = Noise(drift_scale=0.004, drift_degrees=0.2)


@dataclass(frozen=True)
class World:
    """Cameras, and the flat surfaces that they see."""

    cameras: Cameras
    planes: tuple[Plane, ...]

    def depth(self, i: int) -> Annotated[Tensor, "H W"]:
        """z-depth of view i, in closed form; 0 where it sees no surface."""
        rays = self.cameras.rays(i)
        center = self.cameras.centers_in_world[i]
        directions = self.cameras.in_world(i, rays) - center
        nearest = torch.full(rays.shape[:2], torch.inf, dtype=torch.float64)
        for plane in self.planes:
            normal = torch.tensor(plane.normal, dtype=torch.float64)
            along = (plane.offset - normal @ center) / (directions @ normal)
            nearest = torch.where((along > 0) & (along < nearest), along, nearest)
        return torch.where(nearest < 1e3, nearest, 0)


def street(folder: Path) -> World:
    """The published cameras of the drive between a road, two rows of houses and what closes the view at its end."""
    known = read_cameras(folder / "street" / "cameras.json")[:FRAMES]
    poses = torch.from_numpy(np.stack([camera.camera_from_world for camera in known if camera.camera_from_world is not None]))
    lenses = [camera.lens for camera in known if camera.lens is not None]
    K = torch.from_numpy(np.stack([lens.K for lens in lenses]))
    width, height = lenses[0].width, lenses[0].height
    K = torch.diag(torch.tensor([WIDTH / width, HEIGHT / height, 1.0], dtype=torch.float64)) @ K
    planes = (Plane((0, 1, 0), 1.65), Plane((1, 0, 0), -7.0), Plane((1, 0, 0), 9.0), Plane((0, 0, 1), 90.0))
    return World(cameras_from(poses[:, :3], K), planes)


def lap(frames: int = FRAMES, radius: float = 6.0, again: int = 8) -> World:
    """Once around a hall of 24 × 20, looking ahead and a little outwards; the last `again` frames stand near the first."""
    angles = torch.arange(frames, dtype=torch.float64) * 2 * math.pi / (frames - again)
    up = torch.zeros(frames, dtype=torch.float64)
    centers = torch.stack((radius * angles.sin(), 0.3 * (3 * angles).sin(), -radius * angles.cos()), 1)
    ahead = torch.stack(((angles + 0.3).cos(), up, (angles + 0.3).sin()), 1)
    down = torch.tensor([0.0, 1, 0], dtype=torch.float64).expand(frames, 3)
    rotation = torch.stack((torch.linalg.cross(down, ahead), down, ahead), 1)
    poses = torch.cat((rotation, -(rotation @ centers[:, :, None])), 2)
    K = torch.tensor([[30.0, 0, WIDTH / 2], [0, 30, HEIGHT / 2], [0, 0, 1]], dtype=torch.float64).repeat(frames, 1, 1)
    walls = (Plane((1, 0, 0), -12.0), Plane((1, 0, 0), 12.0), Plane((0, 0, 1), -10.0), Plane((0, 0, 1), 10.0))
    return World(cameras_from(poses, K), (*walls, Plane((0, 1, 0), 1.6), Plane((0, 1, 0), -4.0)))


def cameras_from(poses: Annotated[Tensor, "N 3 4"], K: Annotated[Tensor, "N 3 3"]) -> Cameras:
    square = torch.eye(4, dtype=torch.float64).repeat(len(poses), 1, 1)
    square[:, :3] = poses
    return Cameras(square, K, torch.tensor([[HEIGHT, WIDTH]]).repeat(len(poses), 1), torch.arange(len(poses)))


class InventedNetwork:
    """Truth in a similarity that is drawn anew for each pass, with the errors of `noise`. Remembers what it drew."""

    def __init__(self, world: World, noise: Noise, seed: int) -> None:
        self.world, self.noise = world, noise
        self.random = torch.Generator().manual_seed(seed)
        self.scales: list[float] = []  # of each pass, of its world over the true one

    def __call__(self, views: Sequence[int]) -> Answer:
        noise, count = self.noise, len(views)
        scale = math.exp(float(self.drawn(1)) * 0.7)
        moved = Similarity.of(scale, rotation_from_vector(self.drawn(3)), 5 * self.drawn(3))
        self.scales.append(scale)
        depths = torch.stack([self.world.depth(view) for view in views])
        median = float(depths[depths > 0].median())
        cameras = self.drifted(self.world.cameras[list(views)])
        turned = rotation_from_vector(math.radians(noise.degrees) * self.drawn(count, 3)) @ cameras.camera_from_world[:, :3, :3]
        centers = cameras.centers_in_world + noise.center * median * self.drawn(count, 3)
        poses = torch.cat((turned, -(turned @ centers[:, :, None])), 2)
        grown = (1 + noise.drift_scale) ** torch.arange(count, dtype=torch.float64)
        of_views = grown * (1 + noise.scale * self.drawn(count))
        seen = depths * of_views[:, None, None] * (1 + noise.depth * self.drawn(*depths.shape)).clamp_min(0.1)
        wrong = torch.rand(depths.shape, generator=self.random) < noise.outliers
        seen = torch.where(wrong & (depths > 0), median * torch.rand(depths.shape, generator=self.random) * 3 + 0.01, seen)
        confidence = torch.rand(depths.shape, generator=self.random) + 0.5 * (depths > 0)
        found = cameras_from(poses, cameras.K).transformed(moved)
        geometry = geometry_in_network(
            found.camera_from_world[:, :3], found.K, (scale * seen).float(), confidence.float(), source="invented"
        )
        eye = torch.eye(3, dtype=torch.float64).repeat(count, 1, 1)
        rects = torch.tensor([[0.0, 0, WIDTH, HEIGHT]], dtype=torch.float64).repeat(count, 1)
        return Answer(geometry, eye, rects)

    def drawn(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.random, dtype=torch.float64)

    def drifted(self, cameras: Cameras) -> Cameras:
        """Steps that grow and turn more and more along the window, as a network's that looks back at its first view."""
        centers, rotations = cameras.centers_in_world, cameras.camera_from_world[:, :3, :3]
        bent, turned = [centers[0]], [rotations[0]]
        for i in range(1, len(cameras)):
            yaw = rotation_from_vector(torch.tensor([0, math.radians(self.noise.drift_degrees) * i, 0], dtype=torch.float64))
            step = (1 + self.noise.drift_scale) ** i * yaw @ (centers[i] - centers[i - 1])
            bent.append(bent[-1] + step)
            turned.append(rotations[i] @ yaw.T)
        rotation, center = torch.stack(turned), torch.stack(bent)
        return cameras_from(torch.cat((rotation, -(rotation @ center[:, :, None])), 2), cameras.K)

    def features(self, views: Sequence[int]) -> Annotated[Tensor, "N C 2 3"]:
        """Waves of where a camera stands and looks, alike for cameras that do alike; with noise."""
        cameras = self.world.cameras[list(views)]
        where = torch.cat((cameras.centers_in_world, 4 * cameras.camera_from_world[:, 2, :3]), 1)
        fixed = torch.Generator().manual_seed(0)
        waves = torch.randn(6, 64, generator=fixed, dtype=torch.float64)
        looks = (0.4 * where @ waves + 6 * torch.rand(64, generator=fixed, dtype=torch.float64)).cos()
        return (looks[:, :, None, None] + 0.3 * self.drawn(len(views), 64, 2, 3)).float()


def true_matches(world: World, first: int, second: int, random: torch.Generator) -> Matches:
    """Points of one view that the other sees too, half a pixel off; a tenth of them anywhere."""
    depth = world.depth(first)
    points, known = world.cameras.unproject(first, depth)
    pixels, z = world.cameras[[second]].project(points.reshape(-1, 3))
    inside = world.cameras[[second]].inside(pixels, z)[0] & known.flatten()
    row, column = pixels[0, :, 1].long().clamp(0, HEIGHT - 1), pixels[0, :, 0].long().clamp(0, WIDTH - 1)
    visible = inside & ((world.depth(second)[row, column] - z[0]).abs() < 0.05 * z[0])
    chosen = visible.nonzero()[:, 0]
    here = torch.stack((chosen % WIDTH + 0.5, chosen // WIDTH + 0.5), 1).double()
    noise = 0.2 * torch.randn(len(chosen), 2, generator=random, dtype=torch.float64)
    there = pixels[0][chosen] + noise
    wrong = torch.rand(len(chosen), generator=random) < 0.1
    anywhere = torch.rand(len(chosen), 2, generator=random, dtype=torch.float64) * torch.tensor([WIDTH, HEIGHT])
    return here, torch.where(wrong[:, None], anywhere, there)


def no_matches(first: int, second: int) -> Matches:
    return torch.zeros(0, 2), torch.zeros(0, 2)


def joined(world: World, noise: Noise, seed: int, loops: bool) -> tuple[Joined, list[float]]:
    """Windows of an invented network over the world, and the true scale of each."""
    network = InventedNetwork(world, noise, seed)
    random = torch.Generator().manual_seed(seed)
    matches = (lambda i, j: true_matches(world, i, j, random)) if loops else no_matches
    order = range(len(world.cameras))
    looks = torch.stack([look(x) for x in network.features(order)])
    found = answer_in_windows(network, order, SIZE, OVERLAP, looks, matches)
    return found, network.scales


def scale_errors(found: Joined, scales: Sequence[float]) -> list[float]:
    """Of every two windows that share views: by what share the scale between them in the whole is off the true one."""
    return [
        float(found.worlds[edge.second].scale / found.worlds[edge.first].scale) * scales[edge.second] / scales[edge.first] - 1
        for edge in found.joins
    ]


def ate(found: Joined, world: World) -> float:
    """Root mean square error of centres after one similarity, in shares of the path's length."""
    centers = world.cameras.centers_in_world
    length = float((centers[1:] - centers[:-1]).norm(dim=1).sum())
    figures = trajectory_figures(found.answer.geometry.cameras.camera_from_world, world.cameras.camera_from_world)
    return figures.ate / length


def row(world: World, noise: Noise, seeds: int) -> str:
    """Scale errors without and with loops, root mean square (worst); ATE of the median seed; counts over the seeds."""
    errors: dict[bool, list[float]] = {False: [], True: []}
    ates: dict[bool, list[float]] = {False: [], True: []}
    closed, refused = [], []
    for seed in range(seeds):
        for loops in (False, True):
            found, scales = joined(world, noise, seed, loops)
            errors[loops] += scale_errors(found, scales)
            ates[loops].append(ate(found, world))
        closed.append(len(found.closed))
        refused.append(len(found.loops) - len(found.closed))
    cells = [f"{100 * np.sqrt(np.mean(np.square(x))):.2f} ({100 * np.abs(x).max():.2f}) %" for x in errors.values()]
    cells += [f"{100 * np.median(x):.2f} %" for x in ates.values()]
    return " | ".join([*cells, *(f"{min(x)} to {max(x)}" for x in (closed, refused))])


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("folder", type=Path)
    ask.add_argument("--seeds", type=int, default=SEEDS)
    options = ask.parse_args()
    worlds = {"street": street(options.folder), "lap": lap()}
    noisier = replace(DRIFTING, depth=0.04, scale=0.02)
    noises = {"none": EXACT, "noise": Noise(), "noise and drift": DRIFTING, "twice the noise, and drift": noisier}
    print("| cameras | errors | scale between windows off | with loops | ATE / path | with loops | closed | refused |")
    print("|" + " --- |" * 8)
    for name, world in worlds.items():
        for errors, noise in noises.items():
            print(f"| {name} | {errors} | {row(world, noise, options.seeds)} |", flush=True)


if __name__ == "__main__":
    main()
