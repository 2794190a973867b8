"""How many procedural scenes a second: 4 views of 224 × 224, drawn, judged by their thumbnails and photographed.

    python -m tools.benchmarks.procedural [--device cuda] [--sheet out/scenes.png]

On a CPU one scene follows the other. On a device they are drawn by as many processes as there are cores, and photographed in
batches. `--sheet` writes twelve of them as a picture: four views, and the inverse depth of the first.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from recon3d.data.batch import Batch, rendered
from recon3d.data.shots import Drawn, drawn, stacked
from recon3d.training.scenes import on_one_thread

VIEWS, SIZE = 4, (224, 224)


def one(seed: int) -> Drawn:
    return drawn(seed, VIEWS, SIZE)


def on_a_cpu(scenes: int) -> dict:
    rendered(one(0))  # compiled
    begin, drawing = time.perf_counter(), 0.0
    for seed in range(scenes):
        started = time.perf_counter()
        scene = one(seed)
        drawing += time.perf_counter() - started
        rendered(scene)
    seconds = time.perf_counter() - begin
    return {"scenes_per_second": round(scenes / seconds, 2), "drawn_ms": round(1000 * drawing / scenes, 1),
            "photographed_ms": round(1000 * (seconds - drawing) / scenes, 1)}  # fmt: skip


def on_a_device(scenes: int, batch: int, device: str) -> dict:
    rendered(one(0), device=device)
    # As in training: not forked from a process that has a device, and each on one core.
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn"), initializer=on_one_thread) as processes:
        list(processes.map(one, range(64), chunksize=4))  # every process has compiled or loaded its kernels
        begin = time.perf_counter()
        found = list(processes.map(one, range(scenes), chunksize=16))
        drawing = time.perf_counter() - begin
    torch.cuda.synchronize()
    begin = time.perf_counter()
    for start in range(0, scenes, batch):
        rendered(stacked(found[start : start + batch]), device=device)
    torch.cuda.synchronize()
    seconds = time.perf_counter() - begin
    return {"drawn_per_second": round(scenes / drawing, 1), "photographed_per_second": round(scenes / seconds, 1)}


def sheet(path: Path) -> None:
    """Two columns of scenes."""
    def row(batch: Batch) -> np.ndarray:
        depth = batch.depth[0, 0]
        near = torch.where(depth > 0, 1 / depth.clamp_min(1e-3), 0)
        pictures = [*batch.images[0], (near / near.max()).expand(3, -1, -1)]
        return (255 * torch.cat(pictures, -1).permute(1, 2, 0)).byte().numpy()

    rows = [row(rendered(one(seed), samples=2)) for seed in range(12)]
    halves = [np.concatenate(rows[:6]), np.concatenate(rows[6:])]
    Image.fromarray(np.concatenate(halves, 1)).resize((1120, 672), Image.Resampling.LANCZOS).save(path)


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--device", default="cpu")
    ask.add_argument("--scenes", type=int, default=100)
    ask.add_argument("--batch", type=int, default=64)
    ask.add_argument("--sheet", type=Path)
    options = ask.parse_args()
    if options.sheet is not None:
        sheet(options.sheet)
    cpu = options.device == "cpu"
    print(json.dumps(on_a_cpu(options.scenes) if cpu else on_a_device(options.scenes, options.batch, options.device)))


if __name__ == "__main__":
    main()
