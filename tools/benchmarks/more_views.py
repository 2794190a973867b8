"""Whether more views make a scene worse: held-out PSNR with growing sets of views.

    python -m tools.benchmarks.more_views points ../shared/data --order nearest --out out/more_views
    python -m tools.benchmarks.more_views lift ../shared/prototypes_synth --order spread --out out/more_views

`spread`: so many views evenly along the path. `nearest`: those nearest to the held-out one, so that what is added stands
farther off and sees less of what is judged: the hard order.
`points`: photos of a scene folder, cameras of COLMAP from all of them, as `recon3d run` refines. `lift`: procedural scenes
with their true depth and 2 % noise, before refinement and after it. Prints tables in markdown, and what is lost against the
best smaller set; the folder gets WHAT_ORDER.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from recon3d.core.cameras import Cameras
from recon3d.core.gaussians import Gaussians
from recon3d.core.geometry import Geometry
from recon3d.core.scene import Scene
from recon3d.core.views import Views
from recon3d.pipeline.choices import QUALITY
from recon3d.pipeline.holdout import measure
from recon3d.pipeline.request import parse_holdout
from recon3d.progress import Progress
from recon3d.reconstruction.budget import drawn_evenly, within_budget
from recon3d.reconstruction.lift import lift
from recon3d.reconstruction.pruning import brought_near
from recon3d.reconstruction.refinement.refine import Refinement, refine, warm_up
from recon3d.reconstruction.seeding.seed import seed as seeded
from recon3d.sfm.registration import assembled
from tools.ablation_joint import noise
from tools.benchmarks.refinement import cameras_of

MAX_GAUSSIANS = QUALITY["standard"].max_gaussians
SCENES = ("fountain-P11", "herz-jesu-P8")
PICTURE = 192  # pixels: the side of procedural pictures


def nearest(geometry: Geometry, held_out: int, count: int) -> list[int]:
    """The views whose centres are nearest to that of the held-out one."""
    centers = geometry.cameras.centers_in_world
    order = (centers - centers[held_out]).norm(dim=1).argsort().tolist()
    return [i for i in order if i != held_out][:count]


def spread(geometry: Geometry, held_out: int, count: int) -> list[int]:
    """Views evenly along the path, the first and the last among them."""
    others = [i for i in range(len(geometry)) if i != held_out]
    return [others[i] for i in torch.linspace(0, len(others) - 1, count).round().long().tolist()]


ORDERS = {"spread": spread, "nearest": nearest}
Order = Callable[[Geometry, int, int], list[int]]


def some(views: Views, geometry: Geometry, seen: Sequence[int], held_out: int) -> tuple[Views, Geometry]:
    """The chosen views in their own order, the held-out one among them."""
    chosen = sorted([*seen, held_out])
    marked = torch.zeros(len(views), dtype=torch.bool)
    marked[held_out] = True
    return replace(views, held_out=marked)[chosen], geometry[chosen]


def finished(views: Views, geometry: Geometry, gaussians: Gaussians, steps: int, seed: int) -> tuple[float, int]:
    """PSNR of the held-out view, and Gaussians, after the budget and refinement as a run does them."""
    seen = ~views.held_out
    ways = {"drawn evenly": lambda g, weights, most: drawn_evenly(g, weights, most, seed)}
    kept, _ = within_budget(gaussians, views[seen], geometry[seen], MAX_GAUSSIANS, ways, "cpu")
    refined = refine(views, geometry, kept, Refinement(steps=steps, max_gaussians=MAX_GAUSSIANS, seed=seed))
    near = brought_near(refined.gaussians, geometry.cameras)
    return measure(Scene(near, geometry, views))["mean"]["psnr"], len(near)


def points(
    folder: Path, names: Sequence[str], order: Order, seeds: Sequence[int], max_size: int, steps: int
) -> Iterator[dict]:
    """Photos of scenes: 4 views, 6, and all."""
    for name in names:
        views, found = cameras_of(folder / name, max_size, Progress())
        (held_out,) = parse_holdout("8:4").indices(len(views))[:1]
        flat, known = assembled(views, found, max_size, "colmap")
        held_out = flat.names.index(views.names[held_out])
        for count in sorted({4, 6, len(flat) - 1}):
            of_views, geometry = some(flat, known, order(known, held_out, count), held_out)
            seen = ~of_views.held_out
            start = seeded(of_views[seen], geometry[seen])
            for seed in seeds:
                value, gaussians = finished(of_views, geometry, start, steps, seed)
                yield row(name, "points", count, steps, seed, value, gaussians)


def lifted(
    raycaster: Path, scenes: Sequence[int], order: Order, counts: Sequence[int], steps: Sequence[int], noise_of_depth: float
) -> Iterator[dict]:
    """Procedural scenes; the held-out view stands in the middle of the path."""
    for number in scenes:
        views, geometry = procedural(raycaster, number, max(counts) + 1, PICTURE, noise_of_depth)
        held_out = len(views) // 2
        for count in counts:
            of_views, known = some(views, geometry, order(geometry, held_out, count), held_out)
            seen = ~of_views.held_out
            for some_steps in steps:
                start = lift(of_views[seen], known[seen], MAX_GAUSSIANS, one_layer=some_steps == 0)
                value, gaussians = finished(of_views, known, start, some_steps, 0)
                yield row(f"procedural {number}", "lift", count, some_steps, 0, value, gaussians)


def procedural(raycaster: Path, number: int, count: int, size: int, noise_of_depth: float) -> tuple[Views, Geometry]:
    """A scene of one exposure with its true depth, but for noise that is smooth over a picture, as a network's is; the sky
    stands as far off as the farthest surface."""
    sys.path.insert(0, str(raycaster))
    from scenes import sample  # type: ignore[import-not-found]

    scene, camera_from_world, K, gains, *_ = sample(number, count, size)
    pictures, depths, _ = scene.render(camera_from_world, K, np.broadcast_to(gains.mean(0), gains.shape).copy(), size)
    depth = torch.from_numpy(depths)
    depth = torch.where(depth > 0, depth, depth.max()) * noise(depth, number, noise_of_depth)
    sizes = torch.tensor([[size, size]]).repeat(count, 1)
    one_lens = torch.zeros(count, dtype=torch.int64)
    cameras = Cameras(torch.from_numpy(camera_from_world), torch.from_numpy(K), sizes, one_lens)
    none = torch.zeros(0, 3)
    geometry = Geometry(
        cameras, none.double(), none.to(torch.uint8), none[:, 0].double(), depth=tuple(depth),
        confidence=tuple((depth > 0).float()), source="procedural",
    )  # fmt: skip
    return views_of(torch.from_numpy(pictures), sizes), geometry


def views_of(pictures: Tensor, sizes: Tensor) -> Views:
    count = len(pictures)
    return Views(
        names=tuple(f"{i:03d}.png" for i in range(count)),
        images=tuple((255 * p).round().to(torch.uint8) for p in pictures.clamp(0, 1)),
        masks=None,
        pixel_from_photo=torch.eye(3, dtype=torch.float64).repeat(count, 1, 1),
        photo_sizes=sizes,
        camera_index=torch.zeros(count, dtype=torch.int64),
        held_out=torch.zeros(count, dtype=torch.bool),
        sources=(None,) * count,
        lenses=(None,) * count,
        focal_priors=(None,) * count,
        undistorted=True,
    )


def row(scene: str, splats: str, views: int, steps: int, seed: int, value: float, gaussians: int) -> dict:
    found = {"scene": scene, "splats": splats, "views": views, "steps": steps, "seed": seed, "psnr": value}
    print({**found, "gaussians": gaussians}, file=sys.stderr, flush=True)
    return {**found, "gaussians": gaussians}


def table(rows: Sequence[dict]) -> str:
    """Means over seeds; what the largest step back is against the best smaller set."""
    counts = sorted({r["views"] for r in rows})
    lines = [f"| scene | steps | {' | '.join(f'{n} views' for n in counts)} | lost at most |", "|" + " --- |" * (len(counts) + 3)]
    cases = list(dict.fromkeys((r["scene"], r["steps"]) for r in rows))
    for scene, steps in cases:
        means = {}
        for n in counts:
            values = [r["psnr"] for r in rows if (r["scene"], r["steps"], r["views"]) == (scene, steps, n)]
            if values:
                means[n] = statistics.mean(values)
        cells = " | ".join(f"{means[n]:.2f}" if n in means else "" for n in counts)
        lines.append(f"| {scene} | {steps} | {cells} | {lost(list(means.values())):.2f} |")
    return "\n".join(lines)


def lost(values: Sequence[float]) -> float:
    """dB by which a value stays behind the best before it, at most; negative where each one is better."""
    return max((max(values[:i]) - values[i] for i in range(1, len(values))), default=0.0)


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("what", choices=("points", "lift"))
    ask.add_argument("folder", type=Path, help="of scenes with images/, or of the ray caster of procedural scenes")
    ask.add_argument("--out", type=Path, required=True)
    ask.add_argument("--scenes", nargs="*", help="folders' names, or numbers of procedural scenes")
    ask.add_argument("--seeds", nargs="*", type=int, default=[0, 1])
    ask.add_argument("--steps", nargs="*", type=int, help="without it 1000 of points, 0 and 300 of lift")
    ask.add_argument("--max-size", type=int, default=384, help="of photos")
    ask.add_argument("--noise", type=float, default=0.02, help="of procedural depth")
    ask.add_argument("--order", choices=ORDERS, default="spread")
    options = ask.parse_args()
    order = ORDERS[options.order]
    warm_up()
    if options.what == "points":
        (steps,) = options.steps or [1000]
        found = points(options.folder, options.scenes or SCENES, order, options.seeds, options.max_size, steps)
    else:
        numbers = [int(name) for name in options.scenes or range(12)]
        found = lifted(options.folder, numbers, order, (2, 4, 8, 16), options.steps or [0, 300], options.noise)
    options.out.mkdir(parents=True, exist_ok=True)
    rows = list(found)
    (options.out / f"{options.what}_{options.order}.json").write_text(json.dumps(rows, indent=1) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
