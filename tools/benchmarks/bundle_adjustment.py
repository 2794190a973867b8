"""Cameras with noise dialled in, adjusted and refined: how much of the held-out PSNR of undisturbed ones comes back.

    python -m tools.benchmarks.bundle_adjustment ../shared/data --out out/adjusted

Procedural scenes of 12 views have true cameras and dense depth (lifted); photos have COLMAP's cameras and sparse points. Both
are disturbed: cameras by half a degree and 1 % of the scene's size, depth by 2 %, 5 % of it put anywhere. Every fourth photo is
held out; features of held-out photos give cameras, as everywhere in the toolkit. Pictures of one scene are refined with
equally many steps. Prints a table in markdown; the folder gets `bundle_adjustment.json`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch

from recon3d.core.geometry import Geometry
from recon3d.core.lens import Lens
from recon3d.core.rotations import rotation_from_vector
from recon3d.core.scene import Scene
from recon3d.core.views import Views
from recon3d.data.batch import rendered
from recon3d.data.shots import drawn
from recon3d.data.written import cameras_of, write_folders
from recon3d.errors import InputError
from recon3d.io.detect import detect
from recon3d.io.load import load_views
from recon3d.io.undistortion import undistorted_views
from recon3d.metrics.poses import pair_errors
from recon3d.models.pictures import ranked
from recon3d.pipeline.bundle_adjustment import Matched, improved
from recon3d.pipeline.choices import QUALITY
from recon3d.pipeline.holdout import measure
from recon3d.progress import Progress
from recon3d.reconstruction.lift import lift
from recon3d.reconstruction.refinement.refine import Refinement, refine
from recon3d.reconstruction.seeding.seed import seed as seeded
from recon3d.sfm.registration import assembled, geometry
from recon3d.sfm.settings import attempts

SCENES = ("fountain-P11", "herz-jesu-P8", "flower", "banana")
MOST = 10_000  # Gaussians
EVERY, FIRST = 4, 2  # held-out views


@dataclass(frozen=True)
class Noise:
    """Standard deviations; lengths in shares."""

    degrees: float = 0.5
    shift: float = 0.01  # of the scene's size: the diagonal of the box that holds all points but a twentieth on each side
    depth: float = 0.02
    outliers: float = 0.05


@dataclass(frozen=True)
class Case:
    """A scene with right cameras; `photos` are its views with what is known of their lenses."""

    name: str
    views: Views
    geometry: Geometry
    photos: Views


def procedural(number: int, folder: Path, max_size: int, views: int = 12, samples: int = 2) -> Case:
    """A procedural scene with true cameras and dense depth, all pixels equally confident; `samples`² rays a pixel."""
    size = (384, 512)
    scene = drawn([77, number], views, size)
    batch = rendered(scene, samples)
    write_folders(iter([(f"procedural {number}", batch)]), folder)
    loaded = load_views(detect((folder / f"procedural {number}" / "images",)), max_size=max_size).views
    true = cameras_of(batch)
    lenses = tuple(Lens.pinhole(K, *size) for K in true.K.numpy())
    flat = undistorted_views(replace(loaded, lenses=lenses), max_size)
    true = true.resized(flat.pixel_from_photo, torch.tensor([image.shape[1:] for image in flat.images]))
    shots = scene.shots._replace(K=true.K.numpy()[None])
    depth = tuple(rendered(replace(scene, shots=shots, size=true.size(0))).depth[0])
    none = torch.zeros(0, 3, dtype=torch.float64)
    known = Geometry(
        true, none, none.to(torch.uint8), none[:, 0], depth=depth, confidence=ranked([torch.ones_like(d) for d in depth])
    )
    return Case(f"procedural {number}", held_out(flat), known, unknown_lenses(flat, loaded))


def photographed(folder: Path, size: int) -> Case:
    """A scene with COLMAP's cameras and sparse points. Raises InputError where it finds none."""
    loaded = load_views(detect((folder / "images",)), max_size=size).views
    found = geometry(
        loaded, settings=attempts(QUALITY["standard"].matching, len(loaded)), device="cpu", seed=0, sequence=False,
        where=folder.name, progress=Progress(),
    )  # fmt: skip
    flat, known = assembled(loaded, found, size, "colmap")
    return Case(folder.name, held_out(flat), known, unknown_lenses(flat, loaded[list(found.registered)]))


def held_out(views: Views) -> Views:
    return replace(views, held_out=torch.arange(len(views)) % EVERY == FIRST)


def unknown_lenses(flat: Views, loaded: Views) -> Views:
    return replace(flat, lenses=(None,) * len(flat), camera_index=loaded.camera_index)


def disturbed(known: Geometry, noise: Noise, seed: int) -> Geometry:
    """Every camera turned and moved, every depth or point too far or too near, some anywhere."""
    chance = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=chance, dtype=torch.float64)

    cameras, each = known.cameras, np.sqrt(3)
    size = size_of(known)
    turn = rotation_from_vector(np.radians(noise.degrees) / each * normal(len(cameras), 3))
    rotation = turn @ cameras.camera_from_world[:, :3, :3]
    centers = cameras.centers_in_world + noise.shift * size / each * normal(len(cameras), 3)
    poses = cameras.camera_from_world.clone()
    poses[:, :3, :3], poses[:, :3, 3] = rotation, -(rotation @ centers[:, :, None])[:, :, 0]

    def factors(*shape: int) -> torch.Tensor:
        wrong = torch.rand(*shape, generator=chance) < noise.outliers
        return torch.where(wrong, (0.5 * normal(*shape)).exp(), (noise.depth * normal(*shape)).exp())

    depth = None if known.depth is None else tuple((d * factors(*d.shape)).float() for d in known.depth)
    middle = cameras.centers_in_world.mean(0)
    points = middle + (known.points - middle) * factors(len(known.points))[:, None]
    return replace(known, cameras=replace(cameras, camera_from_world=poses), depth=depth, points=points)


def size_of(known: Geometry) -> float:
    """World units: the diagonal of the box that holds all points but a twentieth on each side."""
    points = known.points
    if known.depth is not None:
        found = [known.cameras.unproject(i, d) for i, d in enumerate(known.depth)]
        points = torch.cat([p[::8, ::8][k[::8, ::8]] for p, k in found])
    low, high = (torch.quantile(points, q, dim=0) for q in (0.05, 0.95))
    return float((high - low).norm())


def refined_from(case: Case, known: Geometry, steps: int, refine_cameras: bool) -> tuple[Geometry, float]:
    """The geometry after refinement, and dB of the held-out views."""
    seen = ~case.views.held_out
    if known.depth is None:
        start = seeded(case.views[seen], known[seen])
    else:
        start = lift(case.views[seen], known[seen], MOST)
    options = Refinement(steps=steps, max_gaussians=MOST, refine_cameras=refine_cameras)
    done = refine(case.views, known, start, options)
    return done.geometry, measure(Scene(done.gaussians, done.geometry, case.views))["mean"]["psnr"]


def rows_of(case: Case, noise: Noise, seed: int, steps: int) -> Iterator[dict[str, Any]]:
    """A row of each way to go on from disturbed cameras."""
    wrong = disturbed(case.geometry, noise, seed)
    how = Matched(QUALITY["standard"].matching, seed=0)
    fixed = torch.zeros(len(case.views), dtype=torch.bool)
    start = time.perf_counter()
    right, report = improved(case.views, wrong, case.photos, fixed, how, Progress())
    seconds = time.perf_counter() - start
    adjustment = {"seconds": seconds, "kept": report.kept, "why": report.why, "px": [report.px_before, report.px_after]}
    if case.geometry.depth is not None:
        true_cameras = replace(wrong, cameras=case.geometry.cameras)
        yield row_of("undisturbed, disturbed depth", case, case, true_cameras, steps) | {"seed": seed}
    yield row_of("disturbed", case, case, wrong, steps) | {"seed": seed}
    yield row_of("adjusted", case, case, right, steps) | {"seed": seed} | adjustment


def row_of(cameras: str, true: Case, case: Case, known: Geometry, steps: int) -> dict[str, Any]:
    """Refined with its cameras held, and free; errors are medians over pairs of views, degrees."""
    which = [true.views.names.index(name) for name in case.views.names]
    reference = true.geometry.cameras.camera_from_world[which]
    ways = {}
    for way, free in (("held", False), ("free", True)):
        done, psnr = refined_from(case, known, steps, free)
        errors = pair_errors(done.cameras.camera_from_world, reference)
        ways[way] = {"psnr": psnr, "rotation": float(errors.rotation.median()), "direction": float(errors.translation.median())}
    return {"scene": true.name, "seed": "", "cameras": cameras, "views": len(which), **ways}


def table(rows: Sequence[dict[str, Any]]) -> str:
    lines = ["| scene | seed | cameras | rotation ° | direction ° | dB | refined too: rotation ° | direction ° | dB |"]
    lines += ["|" + " --- |" * 9]
    for row in rows:
        name = row["cameras"] + ("" if row.get("kept", True) else f" (as they were: {row['why']})")
        ways = " | ".join(
            f"{way['rotation']:.2f} | {way['direction']:.2f} | {way['psnr']:.2f}" for way in (row["held"], row["free"])
        )
        lines.append(f"| {row['scene']} | {row['seed']} | {name} | {ways} |")
    return "\n".join(lines)


def cases_of(options: argparse.Namespace) -> Iterator[tuple[Case, Case | None]]:
    """Each with what COLMAP finds, where the case has true cameras and COLMAP finds some."""
    for name in options.scenes:
        yield photographed(options.folder / name, options.size), None
    for i in range(options.procedural):
        with tempfile.TemporaryDirectory() as made:
            case, colmaps = procedural(i, Path(made), options.size), None
            try:
                colmaps = photographed(Path(made) / case.name, options.size)
            except InputError as error:
                print(f"{case.name}: {error}", file=sys.stderr)
            yield case, colmaps


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("folder", type=Path)
    ask.add_argument("--out", type=Path, required=True)
    ask.add_argument("--scenes", nargs="*", default=SCENES)
    ask.add_argument("--procedural", type=int, default=2, help="how many")
    ask.add_argument("--seeds", type=int, nargs="*", default=(0, 1))
    ask.add_argument("--size", type=int, default=256)
    ask.add_argument("--steps", type=int, default=400)
    options = ask.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for case, colmaps in cases_of(options):
        undisturbed = [("undisturbed", case)] + ([] if colmaps is None else [("COLMAP's, with its points", colmaps)])
        plain = (row_of(name, case, found, found.geometry, options.steps) for name, found in undisturbed)
        noisy = (row for seed in options.seeds for row in rows_of(case, Noise(), seed, options.steps))
        for row in chain(plain, noisy):
            rows.append(row)
            print(row, file=sys.stderr, flush=True)
            (options.out / "bundle_adjustment.json").write_text(json.dumps(rows, indent=1) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
