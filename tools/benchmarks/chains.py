"""Long synthetic captures of which each photo overlaps its neighbours alone, by COLMAP's two mappers on the same matches.

    python -m tools.benchmarks.chains

Photos along a wall, forward through a corridor, and round a block looking out; one unknown lens, half a pixel of noise, a
quarter of the observations missed and 2 % put anywhere, matches verified by COLMAP. Prints photos joined in models that are
believed, median errors of rotation and translation over all pairs, and processor seconds.
"""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import torch

from recon3d.core.cameras import Cameras
from recon3d.core.geometry import Geometry, Tracks
from recon3d.metrics.poses import pair_errors
from recon3d.sfm.matching import verify
from recon3d.sfm.models import Model
from recon3d.sfm.pycolmap import colmap
from recon3d.sfm.settings import DEFAULT, GLOBAL
from tests.sfm.synthetic_matches import synthetic_views, write_database
from tools.benchmarks.mappers import Errors, cell

HEIGHT, WIDTH, FOCAL = 960, 1280, 0.9  # pixels; of the width
NEAREST, NOISE, MISSED, WRONG = 0.8, 0.5, 0.25, 0.02
Drawn = tuple[Annotated[np.ndarray, "P 3"], Annotated[np.ndarray, "N 3"], Annotated[np.ndarray, "N"], float]


def wall(count: int, chance: np.random.Generator) -> Drawn:
    """Points, centers, degrees to the right of +z, and how far is seen: sideways, 4 to 8 from a wall of two units' depth."""
    length, points = 0.6 * count, 60 * count
    x = chance.uniform(-4, length + 4, points)
    return np.c_[x, chance.uniform(-3, 3, points), chance.uniform(4, 8, points)], steps(0.6, count, chance), np.zeros(count), 12.0


def corridor(count: int, chance: np.random.Generator) -> Drawn:
    """Forward between two walls, a floor and a ceiling."""
    length, points = 0.5 * count, 80 * count
    side, y, z = chance.integers(0, 4, points), chance.uniform(-2, 2, points), chance.uniform(-1.5, 1.5, points)
    y, z = np.where(side < 2, 4.0 * side - 2, y), np.where(side >= 2, 3.0 * side - 7.5, z)
    return np.c_[chance.uniform(-2, length + 10, points), y, z], steps(0.5, count, chance), np.full(count, 90.0), 10.0


def block(count: int, chance: np.random.Generator) -> Drawn:
    """Round a block, looking out."""
    radius, points = 0.6 * count / (2 * np.pi), 80 * count
    turn, angle = np.linspace(0, 2 * np.pi, count, endpoint=False), chance.uniform(0, 2 * np.pi, points)
    away = radius + chance.uniform(4, 8, points)
    in_world = np.c_[away * np.sin(angle), chance.uniform(-3, 3, points), away * np.cos(angle)]
    centers = np.c_[radius * np.sin(turn), chance.normal(0, 0.1, count), radius * np.cos(turn)]
    return in_world, centers, np.degrees(turn), 12.0


CAPTURES = {"wall": wall, "corridor": corridor, "block": block}


def steps(length: float, count: int, chance: np.random.Generator) -> Annotated[np.ndarray, "N 3"]:
    """Centers along x."""
    return np.c_[length * np.arange(count), chance.normal(0, 0.1, (count, 2))]


def looking(
    centers: Annotated[np.ndarray, "N 3"], yaw: Annotated[np.ndarray, "N"], chance: np.random.Generator
) -> Annotated[np.ndarray, "N 4 4"]:
    """camera_from_world, each some degrees from where it should look."""
    count = len(centers)
    yaw, pitch = np.radians(yaw + chance.normal(0, 4, count)), np.radians(chance.normal(0, 3, count))
    z = np.stack([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)], 1)
    x = np.cross([0, 1, 0], z)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    found = np.tile(np.eye(4), (count, 1, 1))
    found[:, :3, :3] = np.stack([x, np.cross(z, x), z], 1)
    found[:, :3, 3] = -np.einsum("nij,nj->ni", found[:, :3, :3], centers)
    return found


def captured(kind: str, count: int, seed: int) -> Geometry:
    chance = np.random.default_rng([seed, 60])
    in_world, centers, yaw, farthest = CAPTURES[kind](count, chance)
    camera_from_world = looking(centers, yaw, chance)
    K = np.array([[FOCAL * WIDTH, 0, WIDTH / 2], [0, FOCAL * WIDTH, HEIGHT / 2], [0, 0, 1]])
    view, point, xy = [], [], []
    for i, camera in enumerate(camera_from_world):
        in_camera = in_world @ camera[:3, :3].T + camera[:3, 3]
        depth = in_camera[:, 2]
        pixels = (in_camera @ K.T)[:, :2] / depth[:, None]
        inside = (pixels > 0).all(1) & (pixels < [WIDTH, HEIGHT]).all(1) & (depth > NEAREST) & (depth < farthest)
        seen = np.flatnonzero(inside & (chance.random(len(depth)) > MISSED))
        wrong = chance.random((len(seen), 1)) < WRONG
        anywhere = chance.uniform(0, 1, (len(seen), 2)) * [WIDTH, HEIGHT]
        view.append(np.full(len(seen), i))
        point.append(seen)
        xy.append(np.where(wrong, anywhere, pixels[seen] + NOISE * chance.normal(size=(len(seen), 2))))
    cameras = Cameras(
        torch.from_numpy(camera_from_world), torch.from_numpy(K).repeat(count, 1, 1),
        torch.tensor([[HEIGHT, WIDTH]]).repeat(count, 1), torch.zeros(count, dtype=torch.long),
    )  # fmt: skip
    tracks = Tracks(*(torch.from_numpy(np.concatenate(part)) for part in (view, point, xy)))
    none = torch.zeros(len(in_world), dtype=torch.float64)
    colors = torch.zeros(len(in_world), 3, dtype=torch.uint8)
    return Geometry(cameras, torch.from_numpy(in_world), colors, none, tracks, source="synthetic")


def errors_of(truth: Geometry, model: Model) -> Errors:
    errors = pair_errors(torch.from_numpy(model.camera_from_world), truth.cameras.camera_from_world[list(model.views)])
    return float(errors.rotation.median()), float(errors.translation.median())


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--photos", type=int, nargs="+", default=[20, 60, 120, 200])
    ask.add_argument("--seed", type=int, default=0)
    asked = ask.parse_args()
    print("| capture | photos | default | global |\n| --- | --- | --- | --- |")
    for kind in CAPTURES:
        for count in asked.photos:
            truth = captured(kind, count, asked.seed)
            views = synthetic_views(truth, lens_known=False)
            with tempfile.TemporaryDirectory(prefix="recon3d-chains-") as folder:
                database = Path(folder) / "matches.db"
                write_database(database, views, truth)
                file = colmap.Database.open(database)
                file.clear_two_view_geometries()
                file.close()
                verify(database, 1, 0)
                cells = [cell(partial(errors_of, truth), views, database, settings, 0) for settings in (DEFAULT, GLOBAL)]
            print(f"| {kind} | {count} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
