"""How many Gaussians a scene bears: held-out PSNR over Gaussians for each pixel of the seen photos.

    python -m tools.benchmarks.densities ../shared/data --out out/densities

Cameras by COLMAP from all photos, photos 4, 12, ... held out, 384 px, 1000 steps. Beside each scene stands how many seen
photos have a point in their picture, which is what `refinement.density` goes by. Prints a table in markdown; the folder gets
`densities.json` and `densities.png`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from recon3d.core.scene import Scene
from recon3d.pipeline.holdout import measure
from recon3d.progress import Progress
from recon3d.reconstruction.pruning import brought_near
from recon3d.reconstruction.refinement.density import LEAST
from recon3d.reconstruction.refinement.refine import Refinement, refine, warm_up
from recon3d.reconstruction.seeding.seed import seed as seeded
from tools.benchmarks.refinement import cameras_of, held_out_scene

SCENES = ("fountain-P11", "herz-jesu-P8", "flower", "banana", "kitchen", "beach-drone", "street")
DENSITIES = (0.0175, 0.035, 0.07, 0.105)
MOST = 250_000


def rows_of(folder: Path, densities: Sequence[float], seeds: Sequence[int], max_size: int, steps: int) -> list[dict]:
    flat, known = held_out_scene(*cameras_of(folder, max_size, Progress()), "8:4", max_size)
    seen = ~flat.held_out
    start = seeded(flat[seen], known[seen])
    often = float(known[seen].cameras.shows(known[seen].points).sum(0).double().mean())
    rows = []
    for density in densities:
        for seed in seeds:
            options = Refinement(steps=steps, max_gaussians=MOST, density=density, seed=seed)
            refined = refine(flat, known, start, options)
            near = brought_near(refined.gaussians, known.cameras)
            value = measure(Scene(near, known, flat))["mean"]["psnr"]
            rows.append({
                "scene": folder.name, "photos": int(seen.sum()), "shown": round(often, 2), "density": density,
                "seed": seed, "gaussians": len(near), "psnr": value,
            })  # fmt: skip
            print(rows[-1], file=sys.stderr, flush=True)
    return rows


def table(rows: Sequence[dict]) -> str:
    densities = sorted({r["density"] for r in rows})
    heads = " | ".join(f"{d:g}" for d in densities)
    lines = [f"| scene | photos | show a point | {heads} |", "|" + " --- |" * (3 + len(densities))]
    for scene in dict.fromkeys(r["scene"] for r in rows):
        mine = [r for r in rows if r["scene"] == scene]
        cells = []
        for density in densities:
            values = [r["psnr"] for r in mine if r["density"] == density]
            cells.append(f"{statistics.mean(values):.2f}" if values else "")
        lines.append(f"| {scene} | {mine[0]['photos']} | {mine[0]['shown']:.1f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def plot(rows: Sequence[dict], path: Path) -> None:
    """What each density gains over that of few photos, in dB."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(8.5, 4))
    for scene in dict.fromkeys(r["scene"] for r in rows):
        mine = [r for r in rows if r["scene"] == scene]
        densities = sorted({r["density"] for r in mine})
        means = [statistics.mean(r["psnr"] for r in mine if r["density"] == d) for d in densities]
        usual = means[min(range(len(means)), key=lambda k: abs(densities[k] - LEAST))]
        label = f"{scene}, {mine[0]['shown']:.1f} photos show a point"
        axis.plot(densities, [m - usual for m in means], marker="o", label=label)
    axis.set_xlabel("Gaussians for each pixel of the seen photos")
    axis.set_ylabel(f"held-out PSNR, dB over that at {LEAST}")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("folder", type=Path)
    ask.add_argument("--out", type=Path, required=True)
    ask.add_argument("--scenes", nargs="*", default=SCENES)
    ask.add_argument("--densities", nargs="*", type=float, default=DENSITIES)
    ask.add_argument("--seeds", nargs="*", type=int, default=[0])
    ask.add_argument("--max-size", type=int, default=384)
    ask.add_argument("--steps", type=int, default=1000)
    options = ask.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    warm_up()
    rows: list[dict] = []
    for name in options.scenes:
        rows += rows_of(options.folder / name, options.densities, options.seeds, options.max_size, options.steps)
        (options.out / "densities.json").write_text(json.dumps(rows, indent=1) + "\n")
    print(table(rows))
    plot(rows, options.out / "densities.png")


if __name__ == "__main__":
    main()
