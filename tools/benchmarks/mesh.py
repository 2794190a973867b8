"""How near a mesh is to the truth: procedural scenes, whose surfaces are known, by the whole path from pictures to the mesh.

    python -m tools.benchmarks.mesh --out out/mesh --what points lift

`points`: pictures and their true cameras, as `recon3d run --cameras` makes splats of them (sparse points, stereo, a backdrop,
refinement). `lift`: the true depth lifted and refined; `noisy-lift`: the same with 2 % noise that is smooth over a picture, as
a network's is. All are exported by what `recon3d export` calls, at its own resolution.

The scene's size is the longest side of the box that holds
what is seen from the 2nd to the 98th percentile of each axis. Accuracy: the share of the mesh's vertices within 1 % of that
size of a point that a view truly sees. Coverage: the share of all points that views truly see, evenly over pixels, that have a
vertex within 1 % of it; nothing is left out of it for being far, plain or seen by one view. Prints a table in markdown; the
folder keeps runs, meshes and mesh.json, and a run that lies there is not made again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from scipy.spatial import KDTree

from recon3d.core.geometry import Geometry
from recon3d.data.batch import Batch, rendered
from recon3d.data.shots import drawn
from recon3d.data.written import cameras_of, write_folders
from recon3d.io.cameras_json import write_cameras
from recon3d.io.ply import write_ply
from recon3d.pipeline.edits import Edits
from recon3d.pipeline.export import Coding
from recon3d.pipeline.mesh import Meshing, export_mesh
from recon3d.pipeline.request import Request
from recon3d.pipeline.run import Output, run
from recon3d.progress import Progress
from recon3d.reconstruction.lift import lift
from recon3d.reconstruction.refinement.refine import Refinement, refine
from tools.ablation_joint import noise
from tools.benchmarks.more_views import views_of

NEAR = 0.01  # of the scene's size
SAMPLE = 20_000  # vertices, and seen points, that are looked at
NOISE = 0.02  # of lifted depth
POINTS, LIFTED = (600, 60_000), (300, 60_000)  # steps of refinement, Gaussians


def splats_of_points(batch: Batch, scene: Path, folder: Path, seed: int) -> None:
    """A run with the scene's cameras, given."""
    steps, most = POINTS
    request = Request(
        cameras=scene / "cameras.json", refine=str(steps), max_size=max(batch.size), max_gaussians=most, seed=seed,
        quality="preview",
    )  # fmt: skip
    run((scene / "images",), request, Output(folder, False, False), Progress())


def splats_of_noisy_depth(batch: Batch, scene: Path, folder: Path, seed: int) -> None:
    splats_of_depth(batch, scene, folder, seed, NOISE)


def splats_of_depth(batch: Batch, scene: Path, folder: Path, seed: int, noise_of_depth: float = 0.0) -> None:
    """Lifted from depth and refined; the folder gets what an export looks for."""
    steps, most = LIFTED
    cameras, none = cameras_of(batch), torch.zeros(0, 3)
    depth = batch.depth[0] * noise(batch.depth[0], seed, noise_of_depth)
    geometry = Geometry(
        cameras, none.double(), none.to(torch.uint8), none[:, 0].double(), depth=tuple(depth),
        confidence=tuple((depth > 0).float()), source="procedural",
    )  # fmt: skip
    views = views_of(batch.images[0], cameras.sizes)
    gaussians = lift(views, geometry, most)
    refined = refine(views, geometry, gaussians, Refinement(steps=steps, max_gaussians=most, seed=seed)).gaussians
    folder.mkdir(parents=True)
    write_ply(folder / "scene.ply", refined.splats())
    write_cameras(folder / "cameras.json", list(views.names), cameras, source="procedural")


SPLATS = {"points": splats_of_points, "lift": splats_of_depth, "noisy-lift": splats_of_noisy_depth}


def seen_points(batch: Batch) -> Annotated[np.ndarray, "P 3"]:
    """World points of every pixel that shows a surface."""
    cameras = cameras_of(batch)
    found = [cameras.unproject(i, batch.depth[0, i]) for i in range(len(cameras))]
    return np.concatenate([points[known].numpy() for points, known in found])


def measured(vertices: Annotated[np.ndarray, "V 3"], truth: Annotated[np.ndarray, "P 3"]) -> dict[str, float]:
    """Accuracy and coverage at NEAR, and the scene's size."""
    size = float(np.ptp(np.percentile(truth, (2, 98), axis=0), axis=0).max())
    rng = np.random.default_rng(0)
    some_vertices, some_truth = (x[rng.permutation(len(x))[:SAMPLE]] for x in (vertices, truth))
    to_truth, to_mesh = KDTree(truth).query(some_vertices)[0], KDTree(vertices).query(some_truth)[0]
    return {
        "size": size, "accuracy": float((to_truth <= NEAR * size).mean()),
        "coverage": float((to_mesh <= NEAR * size).mean()), "median": float(np.median(to_truth)) / size,
    }  # fmt: skip


def one(what: str, seed: int, number: int, views: int, size: tuple[int, int], difficulty: float, out: Path) -> dict:
    batch = rendered(drawn([seed, number], views, size, difficulty), 2)
    name = f"{seed}_{number}_{difficulty:g}"
    scene, folder = out / "scenes" / name, out / f"{what}_{name}"
    if not scene.exists():
        write_folders(iter([(name, batch)]), out / "scenes")
    if not (folder / "scene.ply").exists():
        SPLATS[what](batch, scene, folder, seed)
    meshing = Meshing(mesh=True)
    report = export_mesh(folder, out / f"{what}_{name}.ply", Edits(), Coding(), meshing, True, True, Progress())
    from recon3d.io.mesh_files import read_by_trimesh

    mesh = read_by_trimesh(out / f"{what}_{name}.ply")
    found = measured(mesh.vertices, seen_points(batch))
    row = {"splats": what, "seed": seed, "scene": number, "difficulty": difficulty, "faces": report["faces"], **found,
           "of_splats": report["check"]["within_two_voxels"]}  # fmt: skip
    print(row, file=sys.stderr, flush=True)
    return row


def table(rows: Sequence[dict]) -> str:
    lines = ["| splats | seed | scene | triangles | accurate | covered |", "|" + " --- |" * 6]
    for r in rows:
        cells = (r["splats"], r["seed"], r["scene"], r["faces"], f"{r['accuracy']:.3f}", f"{r['coverage']:.3f}")
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    for what in dict.fromkeys(r["splats"] for r in rows):
        mine = [r for r in rows if r["splats"] == what]
        means = (statistics.mean(r[key] for r in mine) for key in ("accuracy", "coverage"))
        lines.append(f"| {what} | | mean of {len(mine)} | | " + " | ".join(f"{m:.3f}" for m in means) + " |")
    return "\n".join(lines)


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--out", type=Path, required=True)
    ask.add_argument("--what", nargs="*", choices=SPLATS, default=["points", "lift"])
    ask.add_argument("--seeds", nargs="*", type=int, default=[7, 8])
    ask.add_argument("--scenes", type=int, default=3, help="of each seed")
    ask.add_argument("--views", type=int, default=20)
    ask.add_argument("--size", nargs=2, type=int, default=[240, 320], help="height and width of the pictures")
    ask.add_argument("--difficulty", type=float, default=1.0, help="of the scenes, 0 to 1; recon3d synth has 1")
    options = ask.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    size = (options.size[0], options.size[1])
    rows = [
        one(what, seed, number, options.views, size, options.difficulty, options.out)
        for what in options.what for seed in options.seeds for number in range(options.scenes)
    ]  # fmt: skip
    (options.out / "mesh.json").write_text(json.dumps(rows, indent=1) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
