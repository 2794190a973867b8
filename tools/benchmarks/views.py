"""What the joint network takes as views grow: seconds, peak memory and Gaussians, with ZPressor and without.

    python tools/benchmarks/views.py --plot views.png
    python tools/benchmarks/views.py --device cuda --views 2 8 32 128 512

256 x 256 pixels, the default sizes, random weights. Without ZPressor every view is an anchor. Each figure is of a process of
its own; memory is what it takes beside torch and the network: resident memory, or on a GPU what torch allocated.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch

from recon3d.models.joint.config import JointConfig
from recon3d.models.joint.network import Joint, JointViews

SIZE, ANCHORS = 256, 8
VIEWS = (2, 4, 8, 16, 32, 64, 128)


def random_views(count: int, size: int, device: str) -> JointViews:
    """Cameras on a circle that look at its middle."""
    torch.manual_seed(0)
    angles = torch.arange(count) / count * 6.28
    cos, sin, zero, one = angles.cos(), angles.sin(), torch.zeros(count), torch.ones(count)
    rows = ((cos, zero, -sin, sin), (zero, one, zero, zero), (sin, zero, cos, -cos), (zero, zero, zero, one))
    world_from_camera = torch.stack([torch.stack(row, -1) for row in rows], -2)
    K = torch.tensor([[0.9 * size, 0, size / 2], [0, 0.9 * size, size / 2], [0, 0, 1]]).repeat(count, 1, 1)
    maps = (torch.rand(count, 3, size, size), K, world_from_camera, torch.full((count, size, size), 1.0))
    return JointViews(*(x[None].to(device) for x in (*maps, torch.ones(count, size, size))))


def peak(device: str) -> float:
    """MB so far."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


@torch.inference_mode()
def one(count: int, anchors: int, size: int, device: str, repeats: int) -> dict:
    network = Joint(JointConfig()).to(device).eval()
    network(random_views(2, 64, device), 2)  # what is loaded and allocated once
    before = peak(device)
    views = random_views(count, size, device)
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        gaussians, _ = network(views, anchors)
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    found = {"seconds": min(seconds), "mb": peak(device) - before, "gaussians": gaussians.means.shape[1]}
    return {"views": count, "anchors": anchors} | found


def in_process(count: int, anchors: int, options: argparse.Namespace) -> dict:
    words = ["--one", str(count), str(anchors), "--size", str(options.size), "--device", options.device]
    done = subprocess.run([sys.executable, __file__, *words], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def plot(rows: list[dict], path: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    for axis, key, label in zip(axes, ("seconds", "mb"), ("seconds", "peak memory, MB"), strict=True):
        for fused, name in ((True, f"ZPressor, {ANCHORS} anchors"), (False, "every view an anchor")):
            some = [r for r in rows if (r["anchors"] == min(ANCHORS, r["views"])) == fused or r["views"] <= ANCHORS]
            axis.plot([r["views"] for r in some], [r[key] for r in some], "o-", label=name)
        axis.set(xlabel="views", ylabel=label, xscale="log", yscale="log")
    axes[0].legend()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--views", type=int, nargs="+", default=VIEWS)
    parser.add_argument("--size", type=int, default=SIZE)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--one", type=int, nargs=2, metavar=("VIEWS", "ANCHORS"), help="one figure, as JSON")
    options = parser.parse_args()
    if options.one is not None:
        count, anchors = options.one
        print(json.dumps(one(count, anchors, options.size, options.device, repeats=2)))
        return
    print("| views | anchors | seconds | peak MB | Gaussians |\n| --- | --- | --- | --- | --- |")
    rows = []
    for count in options.views:
        for anchors in sorted({min(ANCHORS, count), count}):
            rows.append(in_process(count, anchors, options))
            print("| {views} | {anchors} | {seconds:.2f} | {mb:.0f} | {gaussians} |".format(**rows[-1]), flush=True)
    if options.plot is not None:
        plot(rows, options.plot)


if __name__ == "__main__":
    main()
