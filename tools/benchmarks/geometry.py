"""Networks on this machine: seconds and memory of ours against plain float32, and of the small ones by themselves.

    python tools/benchmarks/geometry.py                 # on a CPU: the 1.26 B network, 2, 4 and 8 views of 518×392
    python tools/benchmarks/geometry.py --small         # on a CPU: da3-small and da3-base, 2 to 16 views of 504×378
    python tools/benchmarks/geometry.py --device cuda   # frames × seconds × peak memory of the whole program

Weights are random, drawn into a checkpoint of the published layout in a temporary folder (5 GB). Each contender runs in a
process of its own, which builds the network on meta and assigns the file's tensors, as the product does. Plain float32
keeps the linear layers in float32, with torch's scaled_dot_product_attention, and takes 8 views at a time in the depth head
as the published code does; ours takes what pipeline.plan says, and lets go of the encoder when the heads begin, as the
product does. Contenders take turns; seconds are medians of one pass
(camera and depth heads), memory is the largest resident size of the process.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import save_file

from recon3d.models.checkpoints import Checkpoint, network
from recon3d.models.da3 import answer as da3
from recon3d.models.da3.network import Da3
from recon3d.models.meta import on_meta
from recon3d.models.pictures import NetworkPictures, Pass
from recon3d.models.vggt.answer import HEADS, predicted
from recon3d.models.vggt.dense_head import VIEWS_AT_A_TIME
from recon3d.models.vggt.network import Vggt
from recon3d.models.weights import table
from recon3d.pipeline.plan import low_precision, network_device, plans
from recon3d.progress import peak_memory

SIZE = (392, 518)  # height, width
SMALL = ("da3-small", "da3-base")
SMALL_SIZE, SMALL_VIEWS = (378, 504), (2, 4, 8, 16)
CUDA_SIZE = (336, 518)
CUDA_FRAMES = (1, 10, 50, 100, 200, 500)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="vggt-1b", help="a name of `recon3d weights list`")
    parser.add_argument("--views", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--small", action="store_true", help="seconds of the networks that suit a CPU")
    parser.add_argument("--child", help=argparse.SUPPRESS)  # a JSON object: what one process is to measure
    arguments = parser.parse_args()
    if arguments.child is not None:
        what = json.loads(arguments.child)
        print(json.dumps(measured_small(**what) if what["key"] in SMALL else measured(**what)))
        return
    if arguments.small:
        small_on_cpu(arguments.repeats)
        return
    with tempfile.TemporaryDirectory(prefix="recon3d-geometry-") as folder:
        file = Path(folder) / "model.safetensors"
        drawn(arguments.network, file)
        if arguments.device == "cuda":
            frames_on_cuda(arguments.network, file)
        else:
            ratios_on_cpu(arguments.network, file, arguments.views, arguments.repeats)


def drawn(key: str, file: Path) -> None:
    """A checkpoint of the published names and shapes with values as training leaves them in size."""
    row = table()[key]
    build = row.resolve("network")
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for name, parameter in on_meta(lambda: build(row.config)).named_parameters():
        scale = parameter.shape[1] ** -0.5 if parameter.dim() > 1 and parameter.shape[1] > 1 else 0.02
        tensors[name] = torch.randn(parameter.shape, generator=generator).mul_(scale)
        if "norm" in name and name.endswith("weight"):
            tensors[name] += 1
    save_file(tensors, file)


def ratios_on_cpu(key: str, file: Path, views: list[int], repeats: int) -> None:
    print(f"{key}, {SIZE[1]}x{SIZE[0]}, {torch.get_num_threads()} threads, linear layers in {low_precision('cpu')}\n")
    print("| views | ours, s | float32, s | time | ours, MB | float32, MB | memory | pose encoding off by |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for count in views:
        runs: dict[bool, list[dict]] = {True: [], False: []}
        for _ in range(repeats):
            for low in (True, False):
                runs[low].append(child(key=key, file=str(file), views=count, low=low, device="cpu", size=SIZE))
        seconds = {low: statistics.median(r["seconds"] for r in found) for low, found in runs.items()}
        memory = {low: statistics.median(r["peak_mb"] for r in found) for low, found in runs.items()}
        ours, exact = (torch.tensor(runs[low][0]["encoding"]) for low in (True, False))
        print(
            f"| {count} | {seconds[True]:.1f} | {seconds[False]:.1f} | **{seconds[True] / seconds[False]:.2f}** "
            f"| {memory[True]:.0f} | {memory[False]:.0f} | **{memory[True] / memory[False]:.2f}** "
            f"| {float((ours - exact).abs().max()):.1e} |",
            flush=True,
        )


def small_on_cpu(repeats: int) -> None:
    print(f"{SMALL_SIZE[1]}x{SMALL_SIZE[0]}, {torch.get_num_threads()} threads, linear layers in {low_precision('cpu')}\n")
    print("| network | views | seconds | MB |\n| --- | --- | --- | --- |")
    for key in SMALL:
        for views in SMALL_VIEWS:
            runs = [child(key=key, views=views) for _ in range(repeats)]
            seconds, peak = (statistics.median(r[name] for r in runs) for name in ("seconds", "peak_mb"))
            print(f"| {key} | {views} | {seconds:.1f} | {peak:.0f} |", flush=True)


def measured_small(key: str, views: int) -> dict:
    """Seconds from pictures to geometry and peak memory of this process, with random weights."""
    row = table()[key]
    with peak_memory(interval=0.02) as peak:
        made = network(Checkpoint(key, row, None, row.config), 0, low_precision("cpu"))
        assert isinstance(made, Da3)
        images = torch.rand(views, 3, *SMALL_SIZE, generator=torch.Generator().manual_seed(1))
        rects = torch.tensor([[0.0, 0, SMALL_SIZE[1], SMALL_SIZE[0]]], dtype=torch.float64).expand(views, -1)
        pictures = NetworkPictures(images, torch.eye(3, dtype=torch.float64).expand(views, -1, -1), rects)
        how = next(plans(row.resolve("cost")(row.config, 0), views, SMALL_SIZE[1] / SMALL_SIZE[0], "cpu")).how
        start = time.perf_counter()
        da3.geometry(made, pictures, how)
        return {"seconds": time.perf_counter() - start, "peak_mb": peak()}


def frames_on_cuda(key: str, file: Path) -> None:
    print(f"{key}, {CUDA_SIZE[1]}x{CUDA_SIZE[0]}, {torch.cuda.get_device_name(0)}\n")
    print("| frames | seconds | peak GPU memory of the whole program, GB |\n| --- | --- | --- |")
    for count in CUDA_FRAMES:
        found = child(key=key, file=str(file), views=count, low=True, device="cuda", size=CUDA_SIZE)
        print(f"| {count} | {found['seconds']:.2f} | {found['peak_mb'] / 1e3:.2f} |", flush=True)


def child(**what) -> dict:
    """One measurement in a process of its own."""
    command = [sys.executable, __file__, "--child", json.dumps(what)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def measured(key: str, file: str, views: int, low: bool, device: str, size: tuple[int, int]) -> dict:
    """Seconds of one pass, peak memory of this process, and the pose encodings."""
    row, device = table()[key], network_device(device)
    with peak_memory(interval=0.02) as peak, torch.inference_mode():
        made = network(Checkpoint(key, row, Path(file), row.config), 0, low_precision(device) if low else None, device)
        images = torch.rand(1, views, 3, *size, generator=torch.Generator().manual_seed(1)).to(device)
        assert isinstance(made, Vggt)
        if device == "cuda":
            made(images[:, :1], heads=HEADS)  # kernels are loaded
            torch.cuda.synchronize()
        cost = row.resolve("cost")(row.config, sum(p.numel() for p in made.parameters()))
        how = next(plans(cost, views, size[1] / size[0], device)).how if low else Pass(chunk=VIEWS_AT_A_TIME, device=device)
        start = time.perf_counter()
        found = predicted(made, images, how)
        if device == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
        peak_mb = gpu_memory() if device == "cuda" else peak()
        assert found.pose_encodings is not None
        return {"seconds": seconds, "peak_mb": peak_mb, "encoding": found.pose_encodings[-1, 0].cpu().tolist()}


def gpu_memory() -> float:
    """MB that the process took at most: what torch reserved, and the context that it runs in."""
    free, total = torch.cuda.mem_get_info()
    context = total - free - torch.cuda.memory_reserved()
    return (torch.cuda.max_memory_reserved() + context) / 1e6


if __name__ == "__main__":
    main()
