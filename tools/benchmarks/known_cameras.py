"""How near the truth a prediction comes that is moved to known cameras, and how well GPS tags tell metres.

    python -m tools.benchmarks.known_cameras --scenes 8 --views 4

Procedural scenes with their true cameras and depth. The prediction stands in a world of another unit; its cameras are turned
by 2 degrees and moved by 5 % of their spread, its maps scaled by 10 % (standard deviations), some shifted by up to 10 % of
the median depth; in one case all depth is three times too far. Errors are medians over pixels, of the true depth. Tags: 20
photos on a half circle of 30 metres.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from recon3d.core.cameras import Cameras
from recon3d.core.geometry import Geometry
from recon3d.core.rotations import rotation_from_vector
from recon3d.core.similarity import Similarity
from recon3d.core.views import Views
from recon3d.data.batch import rendered
from recon3d.data.shots import drawn
from recon3d.reconstruction.depth_of_known import solved_again
from recon3d.reconstruction.known_cameras import moved_to_known
from recon3d.reconstruction.metric_scale import fit_places

UNIT = 0.37  # of the predicted world


@dataclass(frozen=True)
class Errors:
    """Of a prediction: standard deviations, but for the shift."""

    degrees: float = 0.0  # of rotations
    centres: float = 0.0  # of their spread
    scales: float = 0.0  # of the logarithm of each map's
    shifts: float = 0.0  # each map's is up to this share of the median depth
    times: float = 1.0  # all depth, in the unit of the cameras


CASES = {
    "two views, both known": (2, (0, 1), Errors(2.0, 0.05, 0.1)),
    "all known": (None, None, Errors(2.0, 0.05, 0.1)),
    "all known, depth shifted too": (None, None, Errors(2.0, 0.05, 0.1, 0.1)),
    "all known, depth three times too far": (None, None, Errors(2.0, 0.05, 0.1, 0.0, 3.0)),
    "all but one known": (None, -1, Errors(0.3, 0.005, 0.1)),
}


def true_scene(seed: int, count: int, size: tuple[int, int] = (96, 128)) -> tuple[Views, Geometry]:
    """Pictures of a procedural scene, and its cameras and depth."""
    batch = rendered(drawn(seed, count, size))
    one = torch.zeros(count, dtype=torch.int64)
    cameras = Cameras(batch.camera_from_world[0].double(), batch.K[0].double(), torch.tensor([size] * count), one)
    nothing = torch.zeros(0, 3, dtype=torch.float64)
    depth = tuple(batch.depth[0])
    confidence = tuple((d > 0).float() for d in depth)
    known = Geometry(cameras, nothing, nothing.to(torch.uint8), nothing[:, 0], depth=depth, confidence=confidence)
    views = Views(
        names=tuple(f"{i:03d}.png" for i in range(count)),
        images=tuple((p.clamp(0, 1) * 255).round().to(torch.uint8) for p in batch.images[0]), masks=None,
        pixel_from_photo=torch.eye(3, dtype=torch.float64).repeat(count, 1, 1), photo_sizes=cameras.sizes, camera_index=one,
        held_out=torch.zeros(count, dtype=torch.bool), sources=tuple(range(count)), lenses=(None,) * count,
        focal_priors=(None,) * count,
    )  # fmt: skip
    return views, known


def predicted(truth: Geometry, seed: int, errors: Errors) -> Geometry:
    """What a network with such errors would say of the truth, in a world of its own."""
    generator = torch.Generator().manual_seed(seed)
    count, at = len(truth), truth.cameras.centers_in_world

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    spread = (at - at.mean(0)).norm(dim=1).max()
    turns = rotation_from_vector(math.radians(errors.degrees) * normal(count, 3) / 3**0.5)
    poses = truth.cameras.camera_from_world.clone()
    poses[:, :3, :3] = turns @ poses[:, :3, :3]
    poses[:, :3, 3] = -(poses[:, :3, :3] @ (at + errors.centres * spread * normal(count, 3) / 3**0.5)[..., None])[..., 0]
    assert truth.depth is not None
    median = torch.cat([d[d > 0] for d in truth.depth]).median()
    scales = errors.times * torch.exp(errors.scales * normal(count))
    shifts = errors.shifts * median * torch.rand(count, generator=generator)
    depth = tuple(torch.where(d > 0, d * s + b, 0).float() for d, s, b in zip(truth.depth, scales, shifts, strict=True))
    moved = replace(truth, cameras=replace(truth.cameras, camera_from_world=poses), depth=depth)
    return moved.transformed(Similarity.of(UNIT, rotation_from_vector(normal(3)), torch.tensor([3.0, 1, -2])))


def off(found: Geometry, truth: Geometry) -> list[float]:
    """Of every view, the median distance of its points from the true ones, as a share of their depth."""
    assert found.depth is not None and truth.depth is not None
    shares = []
    for i in range(len(truth)):
        points, known = found.cameras.unproject(i, found.depth[i])
        true_points, true = truth.cameras.unproject(i, truth.depth[i])
        both = known & true
        shares.append(float(((points - true_points).norm(dim=-1)[both] / truth.depth[i][both]).median()))
    return shares


def row(name: str, scenes: int, views: int) -> str:
    count, rows, errors = CASES[name]
    before, after, ways = [], [], []
    for seed in range(scenes):
        pictures, truth = true_scene(seed, count or views)
        is_known = torch.ones(len(truth), dtype=torch.bool)
        if rows == -1:
            is_known[len(truth) // 2] = False
        given = torch.where(is_known[:, None, None], truth.cameras.camera_from_world, torch.nan)
        moved, _ = moved_to_known(predicted(truth, seed, errors), given, is_known)
        solved, fits = solved_again(pictures, moved, is_known)
        before += off(moved, truth)
        after += off(solved, truth)
        ways += [fit.way for fit in fits]
    a, b = torch.tensor(before), torch.tensor(after)
    told = ", ".join(f"{ways.count(way)} {way}" for way in dict.fromkeys(ways))
    within = f"{int((b < 0.02).sum())} of {len(b)}"
    return f"| {name} | {a.median():.1%} ({a.max():.1%}) | {b.median():.1%} ({b.max():.1%}) | {within} | {told} |"


def tags(noise: float, photos: int, seeds: int) -> str:
    """Errors of the scale by tags with so many metres of noise by axis."""
    errors, said = [], []
    for seed in range(seeds):
        generator = torch.Generator().manual_seed(seed)
        angles = torch.linspace(0, math.pi, photos, dtype=torch.float64)
        heights = 2 * torch.rand(photos, generator=generator, dtype=torch.float64)
        metres = torch.stack([15 * angles.cos(), 15 * angles.sin(), heights], 1)
        turn = rotation_from_vector(torch.randn(3, generator=generator, dtype=torch.float64))
        world = Similarity.of(UNIT, turn).apply(metres)
        fit = fit_places(world, metres + noise * torch.randn(photos, 3, generator=generator, dtype=torch.float64))
        errors.append(abs(float(fit.metres_from_world.scale) * UNIT - 1))
        said.append(fit.deviation)
    found = torch.tensor(errors)
    return f"| {photos} | {noise:g} m | {found.median():.1%} ({found.max():.1%}) | {sum(said) / seeds:.1%} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=8)
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=20, help="of GPS tags")
    options = parser.parse_args()
    print("| case | aligned: median (worst view) | depth solved again | within 2 % | told by |")
    print("| --- | --- | --- | --- | --- |")
    for name in CASES:
        print(row(name, options.scenes, options.views), flush=True)
    print("\n| tags | noise by axis | error of the scale: median (worst) | deviation told |\n| --- | --- | --- | --- |")
    for photos in (8, 20):
        for noise in (1.0, 3.0):
            print(tags(noise, photos, options.seeds), flush=True)


if __name__ == "__main__":
    main()
