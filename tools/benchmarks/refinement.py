"""How well held-out photos are predicted, at fixed steps, for every scene of a folder that COLMAP registers.

    python tools/benchmarks/refinement.py ../shared/data --out out/refinement

A scene is a folder with `images/`. Cameras come from all photos, pixels from those that are not held out. Prints a table in
markdown; the folder gets `refinement.json`, and `refinement.png`: PSNR against steps and against seconds. Quality depends
on the steps only; seconds are of this machine, steps for each second of processor time bear other programs better.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from recon3d.core.geometry import Geometry
from recon3d.core.scene import Scene
from recon3d.core.views import Views
from recon3d.errors import InputError
from recon3d.io.detect import detect
from recon3d.io.load import load_views
from recon3d.metrics.image import psnr
from recon3d.pipeline.holdout import measure
from recon3d.pipeline.request import parse_holdout
from recon3d.progress import Event, Progress
from recon3d.reconstruction.pruning import unmasked
from recon3d.reconstruction.refinement.refine import Refinement, refine, warm_up
from recon3d.reconstruction.seeding.seed import seed
from recon3d.rendering.render import backend_for
from recon3d.sfm.mapping import Mapping
from recon3d.sfm.registration import assembled, geometry
from recon3d.sfm.settings import Matching, attempts

POINTS = 8  # of a curve
BEATS = 1.0  # dB by which a reconstruction must beat the nearest photo to be called one


@dataclass(frozen=True)
class Case:
    scene: str
    holdout: str
    steps: int


def cameras_of(folder: Path, max_size: int, progress: Progress) -> tuple[Views, Mapping]:
    """Views of a scene and what COLMAP found for them, with seed 0."""
    found = detect((folder / "images",))
    loaded = load_views(found, max_size=max_size, progress=progress)
    with progress.stage("geometry"):
        return loaded.views, geometry(
            loaded.views, settings=attempts(Matching(), len(loaded.views)), device="cpu", seed=0,
            sequence=loaded.sequence, where=folder.name, progress=progress,
        )  # fmt: skip


def held_out_scene(views: Views, found: Mapping, holdout: str, max_size: int) -> tuple[Views, Geometry]:
    """The registered views at working size with their geometry, some of them held out."""
    held_out = torch.zeros(len(views), dtype=torch.bool)
    held_out[parse_holdout(holdout).indices(len(views))] = True
    return assembled(replace(views, held_out=held_out), found, max_size, "colmap")


def run_case(case: Case, views: Views, found: Mapping, max_size: int, max_gaussians: int, device: str) -> dict[str, Any]:
    """Refine without the held-out photos; the row of the table, with its curve."""
    flat, known = held_out_scene(views, found, case.holdout, max_size)
    if not flat.held_out.any():
        raise InputError(case.scene, f"no held-out photo ({case.holdout}) is among the {len(flat)} registered", "Hold others out")
    seen = ~flat.held_out
    curve: list[dict[str, float]] = []
    measuring = 0.0

    def listen(event: Event) -> None:
        nonlocal measuring
        if event.kind == "snapshot":
            begun = time.process_time()
            quality = measure(Scene(event.payload.gaussians, known, flat))["mean"]
            curve.append({"step": event.payload.step, "seconds": round(event.payload.seconds, 1), **quality})
            measuring += time.process_time() - begun

    progress = Progress(listen)
    with progress.stage("splats"):
        seeds = seed(flat[seen], known[seen], device=device)
    options = Refinement(
        steps=case.steps, max_gaussians=max_gaussians, snapshot_every=max(1, case.steps // POINTS),
        backend=backend_for(device),
    )  # fmt: skip
    begun = time.process_time()
    with progress.stage("refinement"):
        refined = refine(flat, known, seeds, options, progress)
    spent = time.process_time() - begun - measuring
    quality = measure(Scene(unmasked(flat, refined.geometry, refined.gaussians), refined.geometry, flat))
    return {
        "scene": case.scene,
        "holdout": case.holdout,
        "steps": case.steps,
        "photos": f"{len(found.registered)}/{len(views)}",
        "gaussians": len(refined.gaussians),
        **quality["mean"],
        "views": {name: view["psnr"] for name, view in quality["views"].items()},
        "nearest": round(nearest_photo(flat, known), 2),
        "seed_seconds": round(progress.stages[0].seconds, 1),
        "seconds": round(refined.seconds, 1),
        "steps_per_cpu_second": round(case.steps / spent, 1),
        "peak_mb": round(max(stage.peak_mb for stage in progress.stages)),
        "curve": curve,
    }


def nearest_photo(views: Views, known: Geometry) -> float:
    """Mean PSNR of the seen photo with the nearest camera, taken for each held-out one."""
    centers = known.cameras.centers_in_world
    seen = (~views.held_out).nonzero()[:, 0]
    values = []
    for i in views.held_out.nonzero()[:, 0].tolist():
        j = int(seen[(centers[seen] - centers[i]).norm(dim=1).argmin()])
        other = torch.nn.functional.interpolate(views.rgb(j)[None], views.images[i].shape[1:], mode="bilinear", antialias=True)
        values.append(psnr(other[0], views.rgb(i), views.mask(i)))
    return sum(values) / len(values)


COLUMNS = (
    "| scene | registered | held out | steps | Gaussians | PSNR, dB (views) | SSIM | nearest photo, dB | steps / CPU s "
    "| cameras, s | seeds, s | refinement, s | peak MB |\n|" + "---|" * 13
)


def row_of(row: dict[str, Any]) -> str:
    each = ", ".join(f"{value:.1f}" for value in row["views"].values())
    verdict = "" if row["psnr"] >= row["nearest"] + BEATS else " (none)"
    return (
        f"| {row['scene']} | {row['photos']} | {row['holdout']} | {row['steps']} | {row['gaussians']} "
        f"| {row['psnr']:.2f} ({each}){verdict} | {row['ssim']:.3f} | {row['nearest']:.2f} | {row['steps_per_cpu_second']} "
        f"| {row['camera_seconds']:.0f} | {row['seed_seconds']:.0f} | {row['seconds']:.0f} | {row['peak_mb']} |"
    )


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """PSNR of the held-out photos against steps and against seconds, a line for each row."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4.2), sharey=True)
    for axis, key in zip(axes, ("step", "seconds"), strict=True):
        for row in rows:
            label = f"{row['scene']} {row['holdout']}, {row['steps']} steps"
            axis.plot([p[key] for p in row["curve"]], [p["psnr"] for p in row["curve"]], marker=".", label=label)
        axis.set_xlabel({"step": "steps", "seconds": "seconds of refinement"}[key])
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter("{x:.0f}")
        axis.xaxis.set_minor_formatter("")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("held-out PSNR, dB")
    axes[1].legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("folder", type=Path)
    ask.add_argument("--out", type=Path, required=True)
    ask.add_argument("--scenes", nargs="*", help="folders' names; without it all with images/")
    ask.add_argument("--holdouts", nargs="*", default=["8:4"])
    ask.add_argument("--steps", nargs="*", type=int, default=[1000])
    ask.add_argument("--max-size", type=int, default=384)
    ask.add_argument("--max-gaussians", type=int, default=50_000)
    ask.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where splats are refined")
    options = ask.parse_args()
    scenes = options.scenes or sorted(folder.parent.name for folder in options.folder.glob("*/images"))
    options.out.mkdir(parents=True, exist_ok=True)
    warm_up()
    print(COLUMNS)
    rows: list[dict[str, Any]] = []
    for scene in scenes:
        progress = Progress()
        try:
            views, found = cameras_of(options.folder / scene, options.max_size, progress)
        except InputError as error:
            print(f"| {scene} | {error.what.replace('|', '/')} |" + " |" * 11, flush=True)
            continue
        for steps in options.steps:
            for holdout in options.holdouts:
                try:
                    case = Case(scene, holdout, steps)
                    row = run_case(case, views, found, options.max_size, options.max_gaussians, options.device)
                except InputError as error:
                    print(f"| {scene} | {error.what} |" + " |" * 11, flush=True)
                    continue
                row["camera_seconds"] = round(progress.stages[0].seconds, 1)
                row["peak_mb"] = max(row["peak_mb"], round(progress.stages[0].peak_mb))
                rows.append(row)
                print(row_of(row), flush=True)
                (options.out / "refinement.json").write_text(json.dumps(rows, indent=1) + "\n")
    if rows:
        plot(rows, options.out / "refinement.png")


if __name__ == "__main__":
    main()
