"""Does a higher --quality predict held-out photos better? PSNR of what each makes, over the steps of its refinement.

    python -m tools.benchmarks.qualities ../shared/data --out out/qualities

Cameras by COLMAP from all photos, once for each scene; photos 4, 12, ... held out. Each quality works at its own size with
its own steps and Gaussians, and is compared twice: its pictures, drawn at its size, brought to that of `standard` (drawn
small at once, scenes of finer photos are blurred by the pixel filter: banana then loses 0.6 dB), and pictures drawn at the
size of the largest quality. Cells that the folder holds already are not computed again, so a measurement that was cut off
goes on. Prints a table in markdown.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from torch.nn.functional import interpolate

from recon3d.atomic import atomic_file
from recon3d.core.gaussians import Gaussians
from recon3d.core.geometry import Geometry
from recon3d.core.views import Views
from recon3d.metrics.image import psnr, ssim
from recon3d.pipeline.choices import QUALITY
from recon3d.progress import Event, Progress
from recon3d.reconstruction.pruning import brought_near
from recon3d.reconstruction.refinement.refine import Refinement, refine, warm_up
from recon3d.reconstruction.seeding.seed import seed as seeded
from recon3d.rendering.render import render
from tools.benchmarks.refinement import cameras_of, held_out_scene

SCENES = ("herz-jesu-P8", "fountain-P11", "flower", "banana", "kitchen", "street")
POINTS = 4  # of a curve


def measured(gaussians: Gaussians, known: Geometry, target: Views) -> dict[str, float]:
    """Mean PSNR and SSIM of held-out views, drawn by the cameras of `known` and brought to the size of `target` (areas)."""
    values = []
    for i in target.held_out.nonzero()[:, 0].tolist():
        photo = target.rgb(i)
        drawn = render(gaussians, known.cameras[[i]], device="cpu").rgb.clamp(0, 1)
        picture = interpolate(drawn, photo.shape[1:], mode="area")[0]
        values.append((psnr(picture, photo), float(ssim(picture, photo))))
    of_psnr, of_ssim = (statistics.mean(column) for column in zip(*values, strict=True))
    return {"psnr": round(of_psnr, 3), "ssim": round(of_ssim, 4)}


def cell(flat: Views, known: Geometry, target: Views, largest: tuple[Views, Geometry], quality: str, seed: int) -> dict:
    """One quality on one scene: the held-out PSNR in the middle of its refinement and at its end, and at the largest size."""
    row, seen = QUALITY[quality], ~flat.held_out
    curve: list[list[float]] = []

    def listen(event: Event) -> None:
        if event.kind == "snapshot":
            near = brought_near(event.payload.gaussians, known.cameras)
            curve.append([event.payload.step, measured(near, known, target)["psnr"]])

    steps = row.steps_for(int(seen.sum()))
    options = Refinement(steps=steps, max_gaussians=row.max_gaussians, seed=seed, snapshot_every=steps // POINTS)
    refined = refine(flat, known, seeded(flat[seen], known[seen]), options, Progress(listen))
    near = brought_near(refined.gaussians, known.cameras)
    drawn_large = measured(near, largest[1], largest[0])
    return {"gaussians": len(near), **measured(near, known, target), "largest": drawn_large, "curve": curve}


def table(rows: Sequence[dict]) -> str:
    """PSNR and SSIM of each quality, at the size of `standard`; at the largest size."""
    lines = ["| scene | photos | " + " | ".join(QUALITY) + " |", "|" + " --- |" * (2 + len(QUALITY))]
    for scene in dict.fromkeys(r["scene"] for r in rows):
        mine, cells = [r for r in rows if r["scene"] == scene], []
        for quality in QUALITY:
            of_it = [r for r in mine if r["quality"] == quality]
            cells.append("; ".join(means(values) for values in (of_it, [r["largest"] for r in of_it]) if values))
        lines.append(f"| {scene} | {mine[0]['photos']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def means(values: Sequence[dict]) -> str:
    of_psnr, of_ssim = (statistics.mean(v[key] for v in values) for key in ("psnr", "ssim"))
    return f"{of_psnr:.2f}, {of_ssim:.3f}"


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("folder", type=Path)
    ask.add_argument("--out", type=Path, required=True)
    ask.add_argument("--scenes", nargs="*", default=SCENES)
    ask.add_argument("--qualities", nargs="*", default=list(QUALITY))
    ask.add_argument("--seeds", nargs="*", type=int, default=[0])
    options = ask.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    kept = options.out / "qualities.json"
    rows = json.loads(kept.read_text()) if kept.exists() else []
    warm_up()
    target_size = QUALITY["standard"].max_size
    for name in options.scenes:
        wanted = [(q, s) for s in options.seeds for q in options.qualities]
        done = {(r["quality"], r["seed"]) for r in rows if r["scene"] == name}
        if done.issuperset(wanted):
            continue
        largest_size = max(QUALITY[q].max_size for q in options.qualities)
        loaded, found = cameras_of(options.folder / name, largest_size, Progress())
        target, _ = held_out_scene(loaded, found, "8:4", target_size)
        largest = held_out_scene(loaded, found, "8:4", largest_size)
        for quality, seed in wanted:
            if (quality, seed) not in done:
                flat, known = held_out_scene(loaded, found, "8:4", QUALITY[quality].max_size)
                of_cell = cell(flat, known, target, largest, quality, seed)
                photos = int((~flat.held_out).sum())
                rows.append({"scene": name, "photos": photos, "quality": quality, "seed": seed, **of_cell})
                print(rows[-1], file=sys.stderr, flush=True)
                with atomic_file(kept) as file:
                    file.write_text(json.dumps(rows, indent=1) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
