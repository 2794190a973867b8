"""What lifted depth is worth: held-out PSNR before refinement and after it, with errors of depth that are dialled in.

    python -m tools.benchmarks.lifts --out out/after.json
    python -m tools.benchmarks.lifts --out out/before.json --plain    # in an older checkout, and then in this one:
    python -m tools.benchmarks.lifts --out out/after.json --against out/before.json

Procedural scenes (recon3d.data) of one exposure with true cameras, 8 views of 128 px and two held out between them. Depth errors
are smooth over a picture and different in each view, as a network's. Outliers: depth blurred over edges, and 3 % of the
pixels in patches 30 % off. Confidence goes with the error, but weakly. Prints a table in markdown: means over the scenes, each
of which is a seed of its own for noise and refinement.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from recon3d.core.cameras import Cameras
from recon3d.core.geometry import Geometry
from recon3d.core.scene import Scene
from recon3d.core.views import Views
from recon3d.data.batch import rendered
from recon3d.data.shots import drawn
from recon3d.pipeline.holdout import measure
from recon3d.reconstruction.budget import CELL, joined
from recon3d.reconstruction.lift import lift
from recon3d.reconstruction.pruning import brought_near
from recon3d.reconstruction.refinement.refine import Refinement, refine, warm_up
from tools.ablation_joint import noise
from tools.benchmarks.more_views import views_of

PICTURE, VIEWS, HELD_OUT = 128, 10, (3, 6)
DIFFICULTY = 0.7
MOST = 40_000  # Gaussians: all versions take every second pixel, so that none has more than another
ERRORS = {"none": (0.0, False), "2 %": (0.02, False), "2 %, outliers": (0.02, True), "5 %, outliers": (0.05, True)}
FAR_OFF = 0.03  # of the depth: Gaussians farther from the surface count as off it


def made(seed: int, level: float, outliers: bool) -> tuple[Views, Geometry, Geometry]:
    """A scene with held-out views marked; its geometry with depth as a network would give it, and with the true one."""
    one = drawn([seed, 77], VIEWS, (PICTURE, PICTURE), DIFFICULTY)
    gains = np.broadcast_to(one.shots.gains.mean(1, keepdims=True), one.shots.gains.shape).copy()
    batch = rendered(replace(one, shots=one.shots._replace(gains=gains)), 2)
    depth = batch.depth[0]
    true = torch.where(depth > 0, depth, depth.max())
    sizes = torch.tensor([[PICTURE, PICTURE]]).repeat(VIEWS, 1)
    one_lens = torch.zeros(VIEWS, dtype=torch.int64)
    cameras = Cameras(batch.camera_from_world[0].double(), batch.K[0].double(), sizes, one_lens)
    found, confidence = as_of_a_network(true, seed, level, outliers)
    none = torch.zeros(0, 3)
    known = Geometry(
        cameras, none.double(), none.to(torch.uint8), none[:, 0].double(), depth=tuple(found), confidence=tuple(confidence)
    )
    held_out = torch.zeros(VIEWS, dtype=torch.bool)
    held_out[list(HELD_OUT)] = True
    return replace(views_of(batch.images[0], sizes), held_out=held_out), known, replace(known, depth=tuple(true))


def as_of_a_network(true: Tensor, seed: int, level: float, outliers: bool) -> tuple[Tensor, Tensor]:
    """Depth [N,H,W] with errors, and confidence as ranks."""
    random = torch.Generator().manual_seed(1000 + seed)

    def coarse(cells: int, mode: str) -> Tensor:
        return F.interpolate(torch.randn(len(true), 1, cells, cells, generator=random), true.shape[1:], mode=mode)[:, 0]

    depth = true * noise(true, seed, level)
    if outliers:
        blurred = F.avg_pool2d(F.pad(depth.log()[:, None], (2,) * 4, mode="replicate"), 5, 1)[:, 0].exp()
        depth = torch.where((blurred / depth).log().abs() > 0.02, blurred, depth)
        where, amount = coarse(24, "bicubic"), coarse(12, "nearest")
        depth = torch.where(where > torch.quantile(where.flatten(), 0.97), depth * (0.3 * amount).exp(), depth)
    error = (depth / true).log().abs() + 0.005
    raw = -(error.log() + coarse(48, "bilinear"))
    return depth, (raw.flatten().argsort().argsort().float() / raw.numel()).view_as(raw)


def off_surface(gaussians: Tensor, true: Geometry) -> float:
    """Share of means [G,3] that at least one view sees, and that are far off what every view that has them in its picture
    shows there."""
    xy, z = true.cameras.project(gaussians.double())
    inside = true.cameras.inside(xy, z)
    least = torch.full((len(gaussians),), torch.inf, dtype=torch.float64)
    for i in range(len(true)):
        column, row = xy[i, inside[i]].long().unbind(-1)
        assert true.depth is not None
        off = (z[i, inside[i]] / true.depth[i][row, column]).log().abs()
        least[inside[i]] = torch.minimum(least[inside[i]], off)
    seen = least.isfinite()
    return float((least[seen] > FAR_OFF).double().mean())


def rows_of(seeds: Sequence[int], steps: Sequence[int], chosen: Sequence[str], plain: bool) -> list[dict]:
    rows = []
    for seed in seeds:
        for errors in chosen:
            views, known, true = made(seed, *ERRORS[errors])
            seen = ~views.held_out
            for some in steps:
                start = lift(views[seen], known[seen], MOST, one_layer=some == 0)
                if some and not plain:
                    start = joined(start, start.opacities, CELL)[0]  # as pipeline.splats does
                refined = start
                if some:
                    refined = refine(views, known, start, Refinement(steps=some, max_gaussians=MOST, seed=seed)).gaussians
                value = measure(Scene(brought_near(refined, known.cameras), known, views))["mean"]["psnr"]
                rows.append({
                    "scene": seed, "errors": errors, "steps": some, "psnr": value, "gaussians": len(start),
                    "off_surface": round(off_surface(start.means, true), 4),
                })  # fmt: skip
                print(rows[-1], file=sys.stderr, flush=True)
    return rows


def table(rows: Sequence[dict], before: Sequence[dict]) -> str:
    """Means over the scenes that both have; the least gain of a scene."""
    lines = ["| steps | depth errors | before | after | least gain of a scene | off the surface, % |", "|" + " --- |" * 6]
    old = {(r["scene"], r["errors"], r["steps"]): r for r in before}
    for steps in sorted({r["steps"] for r in rows}):
        for errors in ERRORS:
            mine = [r for r in rows if (r["steps"], r["errors"]) == (steps, errors)]
            pairs = [(old.get((r["scene"], errors, steps), r), r) for r in mine]
            if pairs:
                psnr = [statistics.mean(p[k]["psnr"] for p in pairs) for k in (0, 1)]
                off = [100 * statistics.mean(p[k]["off_surface"] for p in pairs) for k in (0, 1)]
                least = min(b["psnr"] - a["psnr"] for a, b in pairs)
                figures = f"{psnr[0]:.2f} | {psnr[1]:.2f} | {least:+.2f} | {off[0]:.1f} → {off[1]:.1f}"
                lines.append(f"| {steps} | {errors} ({len(pairs)} scenes) | {figures} |")
    return "\n".join(lines)


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--out", type=Path, required=True)
    ask.add_argument("--against", type=Path, help="what an older version wrote")
    ask.add_argument("--seeds", nargs="*", type=int, default=list(range(6)), help="of scenes, of their noise, of refinement")
    ask.add_argument("--steps", nargs="*", type=int, default=[0, 300])
    ask.add_argument("--errors", nargs="*", choices=ERRORS, default=list(ERRORS))
    ask.add_argument("--plain", action="store_true", help="what lies together is not joined before refinement")
    options = ask.parse_args()
    warm_up()
    rows = rows_of(options.seeds, options.steps, options.errors, options.plain)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(rows, indent=1) + "\n")
    print(table(rows, [] if options.against is None else json.loads(options.against.read_text())))


if __name__ == "__main__":
    main()
