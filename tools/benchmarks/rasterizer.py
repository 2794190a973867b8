"""How fast the CPU rasterizer is, as ratios in one run: python tools/benchmarks/rasterizer.py [--repeats 15] [--cases medium]

Contenders take turns within each repeat, at equal numbers of threads and in an order that moves on, so that whatever else
the machine does meets all of them. A figure is the median of the repeats with its quartiles in brackets; a ratio is the
median of the ratios of each repeat. Forward and backward together. On a machine with other work `--clock processor` counts
this process alone: its figures on two threads are what both of them spent. The prototype's columns need
`../shared/prototypes`, and are left out without it.
"""

from __future__ import annotations

import argparse
import importlib
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Before numba is imported: OMP_NUM_THREADS=1 in the environment would otherwise hide the second thread.
os.environ.setdefault("NUMBA_NUM_THREADS", str(max(2, os.cpu_count() or 1)))
# Threads of one contender that wait by spinning would take the processor of the next.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numba
import numpy as np
import torch
from cases import CASES, Case
from rasterizer_kernels import sum_rows
from torch_tiles import composite as torch_composite

from recon3d.core.jit import run, use_threads
from recon3d.metrics.image import ssim
from recon3d.rendering import reference
from recon3d.rendering.constants import ALPHA_MIN, TILE
from recon3d.rendering.cpu import layout, rasterizer
from recon3d.rendering.cpu.autograd import splats_of
from recon3d.rendering.render import rasterize

PROTOTYPES = Path(__file__).resolve().parents[2] / ".." / "shared" / "prototypes"
THREADS = (1, 2)
TORCH_EVERY = 5  # repeats: it takes a hundred times as long as the others, and does not vary more
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
Pictures = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def prototype() -> Any:
    """The development prototype's module, or None where it is not at hand."""
    if not (PROTOTYPES / "rasterizer.py").exists():
        return None
    own = sys.modules.pop("rasterizer", None)
    sys.path.insert(0, str(PROTOTYPES))
    try:
        return importlib.import_module("rasterizer")
    finally:
        sys.path.remove(str(PROTOTYPES))
        if own is not None:
            sys.modules["rasterizer"] = own


@dataclass
class Scene:
    """A case with what its contenders share, none of it timed."""

    case: Case
    splats: rasterizer.Splats
    view: rasterizer.View
    projected: rasterizer.Projected
    reference: tuple[torch.Tensor, ...]  # what the reference projects to: means2d, conics, depths, colors, opacities, radii
    weights: Pictures  # gradients of rgb, depth and alpha

    @classmethod
    def of(cls, case: Case) -> Scene:
        splats = splats_of(case.means, case.quats, case.scales, case.opacities, case.sh)
        k, camera = case.K[0].double().numpy(), case.camera_from_world[0, :3].double().numpy()
        lens = np.array([k[0, 0], k[1, 1], k[0, 2], k[1, 2], case.width, case.height])
        view = rasterizer.View(np.ascontiguousarray(camera), lens)
        with torch.no_grad():
            splat = (case.means, case.quats, case.scales, case.opacities, case.sh)
            flat = reference.project(*splat, case.camera_from_world[0], case.K[0], case.width, case.height)
        size = (case.height, case.width)
        weights = torch.ones(3, *size), torch.full(size, 0.1), torch.ones(size)
        return cls(case, splats, view, rasterizer.project(splats, view), flat, weights)

    def leaves(self) -> list[torch.Tensor]:
        """Fresh copies of the projected Gaussians: means2d, conics, depths, colors, opacities."""
        return [x.detach().clone().requires_grad_() for x in self.reference[:5]]


def ours(scene: Scene) -> Pictures:
    """Lists, blending, its gradient, summed for each Gaussian: all between projection and its gradient."""
    lists = rasterizer.bin_into_tiles(scene.projected, scene.view)
    drawn = rasterizer.composite(scene.projected, lists, scene.view)
    rgb, depth, alpha = (w.numpy() for w in scene.weights)
    sums = rasterizer.composite_backward(scene.projected, lists, scene.view, drawn, rgb, depth, alpha)
    count = len(scene.splats.means)
    run(sum_rows, count, sums, lists.first_slot, lists.count, np.empty((count, layout.ROW), np.float32), grain=1024)
    return torch.from_numpy(drawn.rgb), torch.from_numpy(drawn.depth), torch.from_numpy(drawn.alpha)


def torch_tiles(scene: Scene) -> Pictures:
    means2d, conics, depths, colors, opacities = scene.leaves()
    lists = rasterizer.bin_into_tiles(scene.projected, scene.view)
    pictures = torch_composite(means2d, conics, depths, colors, opacities, lists, scene.view)
    torch.autograd.backward(pictures, scene.weights)
    return pictures


def prototype_compositing(scene: Scene, module: Any) -> Pictures:
    case = scene.case
    pictures = module.Composite.apply(*scene.leaves(), scene.reference[5], case.width, case.height)
    torch.autograd.backward(pictures, scene.weights)
    return pictures


def whole_step(case: Case) -> Callable[[], None]:
    """A step of refinement: projection, blending, L1 and SSIM, back through all of it, torch's fused Adam."""
    means, quats, scales, opacities, sh = parameters = [torch.nn.Parameter(x.clone()) for x in case.inputs[:5]]
    adam = torch.optim.Adam(parameters, lr=1e-5, fused=True)
    target = torch.rand(1, 3, case.height, case.width, generator=torch.Generator().manual_seed(0))

    def step() -> None:
        view = (case.camera_from_world, case.K, case.width, case.height)
        rgb, _, _ = rasterize(means, quats, scales, opacities, sh, *view)
        loss = 0.8 * (rgb - target).abs().mean() + 0.2 * (1 - ssim(rgb, target))
        adam.zero_grad()
        loss.backward()
        adam.step()

    return step


Times = dict[tuple[str, int], dict[int, float]]  # contender and threads -> repeat -> milliseconds


def interleaved(contenders: dict[str, Callable[[], object]], repeats: int, clock: Callable[[], float]) -> Times:
    """Times of each contender and number of threads, each repeat going through all of them."""
    times: Times = {(name, n): {} for name in contenders for n in THREADS}
    names = list(contenders)
    for repeat in range(repeats):
        first = repeat % len(names)
        for n in THREADS:
            torch.set_num_threads(n)
            numba.set_num_threads(n)
            with use_threads(n):
                for name in names[first:] + names[:first]:
                    if name != "torch" or repeat % TORCH_EVERY == 0:
                        start = clock()
                        contenders[name]()
                        times[name, n][repeat] = 1e3 * (clock() - start)
    return times


def spread(values: Iterable[float], digits: int) -> str:
    """Median (lower quartile to upper quartile)."""
    low, middle, high = np.quantile(list(values), (0.25, 0.5, 0.75))
    return f"{middle:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def ratio(slow: dict[int, float], fast: dict[int, float]) -> str:
    return spread([slow[repeat] / fast[repeat] for repeat in slow.keys() & fast.keys()], 2)


def check_agreement(name: str, pictures: dict[str, Pictures]) -> None:
    """Contenders that draw different pictures are not to be compared; single pixels lie within rounding of a threshold."""
    first = pictures["ours"]
    for other, drawn in pictures.items():
        for a, b in zip(drawn, first, strict=True):
            apart = float(((a - b).abs() > 1e-3 * b.abs().clamp_min(1)).float().mean())
            if apart > 1e-3:
                raise SystemExit(f"{name}: {other} differs from ours in {apart:.2%} of the pixels")


def compare(name: str, repeats: int, clock: Callable[[], float], module: Any) -> list[str]:
    """Rows of the table for a case, one for each number of threads."""
    scene = Scene.of(CASES[name]())
    compositing: dict[str, Callable[[], Pictures]] = {"ours": lambda: ours(scene), "torch": lambda: torch_tiles(scene)}
    if module is not None:
        compositing["prototype"] = lambda: prototype_compositing(scene, module)
    check_agreement(name, {key: call() for key, call in compositing.items()})  # compiles as well
    step = whole_step(scene.case)
    step()
    times = interleaved({**compositing, "step": step}, repeats, clock)
    rows = []
    for n in THREADS:
        own, torch_time, step_time = times["ours", n], times["torch", n], times["step", n]
        cells = [name, str(n), spread(own.values(), 1), spread(torch_time.values(), 0), ratio(torch_time, own)]
        cells.append(spread(step_time.values(), 1))
        if module is not None:
            proto = times["prototype", n]
            cells += [spread(proto.values(), 1), ratio(proto, own), ratio(step_time, proto)]
        rows.append("| " + " | ".join(cells) + " |")
    return rows


def stages(case: Case, repeats: int) -> dict[str, float]:
    """Median milliseconds of processor time of each stage of a step, on one thread."""
    scene = Scene.of(case)
    lists = rasterizer.bin_into_tiles(scene.projected, scene.view)
    entries = lists.entries.copy()
    drawn = rasterizer.composite(scene.projected, lists, scene.view)
    weights = [w.numpy() for w in scene.weights]
    sums = rasterizer.composite_backward(scene.projected, lists, scene.view, drawn, *weights)
    gradients = rasterizer.Gradients.like(scene.splats)
    picture = torch.rand(1, 3, case.height, case.width, requires_grad=True)

    def forward() -> None:
        lists.entries[:] = entries  # blending cuts the masks down
        rasterizer.composite(scene.projected, lists, scene.view)

    calls: dict[str, Callable[[], object]] = {
        "project": lambda: rasterizer.project(scene.splats, scene.view),
        "lists": lambda: rasterizer.bin_into_tiles(scene.projected, scene.view),
        "blend": forward,
        "blend back": lambda: rasterizer.composite_backward(scene.projected, lists, scene.view, drawn, *weights),
        "project back": lambda: rasterizer.project_backward(
            scene.splats, scene.view, scene.projected, lists, sums, gradients, accumulate=False
        ),
        "SSIM, both ways": lambda: ssim(picture, torch.zeros_like(picture)).backward(),
    }
    spent: dict[str, list[float]] = {name: [] for name in calls}
    torch.set_num_threads(1)
    with use_threads(1):
        for _ in range(repeats):
            for name, call in calls.items():
                start = time.process_time()
                call()
                spent[name].append(1e3 * (time.process_time() - start))
    return {name: statistics.median(values) for name, values in spent.items()}


def useful_lanes(case: Case) -> float:
    """Share of the pixels in visited blocks that a Gaussian draws on (alpha of 1/255 or more), before any pixel stops."""
    scene = Scene.of(case)
    entries, starts = (lists := rasterizer.bin_into_tiles(scene.projected, scene.view)).entries, lists.starts
    tile = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    drawn = visited = 0
    for block in range(layout.BLOCKS):
        here = (entries[:, 2] >> block) & 1 == 1
        rows = scene.projected.packed[entries[here, 0]]
        left = (tile[here] % scene.view.tiles[0]) * TILE + block % layout.BLOCK * layout.BLOCK
        top = (tile[here] // scene.view.tiles[0]) * TILE + block // layout.BLOCK * layout.BLOCK
        dx = rows[:, layout.X, None] - left[:, None] - layout.LANE_X
        dy = rows[:, layout.Y, None] - top[:, None] - layout.LANE_Y
        u = dx - rows[:, layout.S, None] * dy
        sigma = 0.5 * (rows[:, layout.K, None] * u * u + rows[:, layout.M, None] * dy * dy)
        drawn += int((rows[:, layout.OPACITY, None] * np.exp(-sigma) >= ALPHA_MIN).sum())
        visited += dx.size
    return drawn / visited


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--repeats", type=int, default=15)
    ask.add_argument("--clock", choices=list(CLOCKS), default="wall")
    ask.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    options = ask.parse_args()
    module, clock = prototype(), CLOCKS[options.clock]
    load = f"{os.getloadavg()[0]:.1f} before" if hasattr(os, "getloadavg") else "unknown"
    print(f"{options.clock} clock, {options.repeats} repeats, {os.cpu_count()} cores, load average {load}\n")
    heads = ["case", "threads", "compositing, ms", "torch tiles, ms", "torch / ours", "whole step, ms"]
    heads += [] if module is None else ["prototype, ms", "prototype / ours", "step / prototype"]
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for name in options.cases:
        for row in compare(name, options.repeats, clock, module):
            print(row, flush=True)
    print()
    parts = {name: stages(CASES[name](), options.repeats) for name in options.cases}
    names = list(next(iter(parts.values())))
    print("| processor ms, 1 thread | " + " | ".join(names) + " | lanes that draw |\n|" + "---|" * (len(names) + 2))
    for name, spent in parts.items():
        cells = [name, *(f"{spent[n]:.1f}" for n in names), f"{useful_lanes(CASES[name]()):.0%}"]
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
