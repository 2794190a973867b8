"""How a network is run in the memory that there is: its precision, the size of its pictures, and views at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

import psutil
import torch

from recon3d.errors import InputError
from recon3d.models.cost import Cost
from recon3d.models.pictures import Pass
from recon3d.pipeline.stage_reports import NetworkReport, WindowsReport
from recon3d.progress import Progress

T = TypeVar("T")

SHARE = 0.8  # of the free memory that a plan may count on
CHUNKS = (8, 2, 1)  # views that dense heads take at a time; a CPU is as fast with one
SIZES = (1.0, 0.75, 0.5)  # of the trained size, when smaller chunks do not suffice
LARGEST_WINDOW = 60  # where not all views fit: the chunk of VGGT-Long (Deng et al. 2025, arXiv 2507.16443)
LEAST_WINDOW = 6  # fewer views see too little of each other, and pictures are made smaller instead
KEPT_OF_A_PIXEL = 8  # bytes: depth and confidence of a window that is done


@dataclass(frozen=True)
class NetworkPlan:
    """A pass with the type of its linear layers, and why it is so."""

    how: Pass
    low: torch.dtype | None
    estimated: int  # bytes
    why: str
    full: bool  # pictures of the size that the network was trained with

    def report(self, windows: WindowsReport | None = None) -> NetworkReport:
        assert self.how.size is not None  # plans() names it
        layers = str(self.low or torch.float32).removeprefix("torch.")
        megabytes = round(self.estimated / 1e6)
        return NetworkReport(self.how.device, self.how.size, self.how.chunk, layers, megabytes, self.why, windows)


def plans(cost: Cost, views: int, aspect: float, device: str, free: int | None = None) -> Iterator[NetworkPlan]:
    """From the best that fits in the free memory down to the smallest; the smallest is tried even if it should not fit."""
    low = low_precision(device)
    number = 4 if low is None else 2
    room = SHARE * (free_memory(device) if free is None else free)
    steps = [(1.0, chunk) for chunk in (CHUNKS[-1:] if device == "cpu" else CHUNKS)]
    steps += [(size, CHUNKS[-1]) for size in SIZES[1:]]
    for i, (share, chunk) in enumerate(steps):
        size = round(cost.size * share / cost.patch) * cost.patch
        estimated = cost.bytes(views, size, aspect, chunk, number)
        fits = estimated <= room
        if fits or i == len(steps) - 1:
            state = f"{estimated / 1e9:.1f} GB of {room / 1e9:.1f} GB that may be used"
            why = f"{views} views at {size} px: {state}" + ("" if fits else ", the least there is")
            yield NetworkPlan(Pass(size=size, chunk=chunk, device=device, once=True), low, estimated, why, share == 1)


def views_of_a_pass(
    cost: Cost, views: int, aspect: float, device: str, trusted: int | None = None, free: int | None = None
) -> tuple[int, str]:
    """How many views go through together, and why not all (empty: all do).

    All, where they are no more than `trusted` and fit at the trained size, and in a stream, which bounds its memory itself.
    Else as many as are and do, LARGEST_WINDOW at most and LEAST_WINDOW at least.
    """
    if cost.cached_layers:
        return views, ""
    number = 4 if low_precision(device) is None else 2
    room = SHARE * (free_memory(device) if free is None else free)

    def fits(count: int) -> bool:
        kept = KEPT_OF_A_PIXEL * (views - count) * cost.size * min(cost.size / aspect, cost.size)
        return cost.bytes(count, cost.size, aspect, CHUNKS[-1], number) + kept <= room

    most = views if trusted is None else min(views, trusted)
    if fits(most):
        return most, "" if most == views else f"more than {most} in one pass come out worse"
    sizes = range(min(most, LARGEST_WINDOW), LEAST_WINDOW, -1)
    size = next((count for count in sizes if fits(count)), min(LEAST_WINDOW, most))
    return size, f"{views} at once do not fit into {room / 1e9:.1f} GB"


def bounded(cost: Cost, cache_frames: int | None) -> Cost:
    """The cost of a stream that keeps so many of the latest frames besides its first ones; None: as it is."""
    if cache_frames is None:
        return cost
    return replace(cost, cached_views=(cost.at_once or 0) + cache_frames)


def stepping_down(plans: Iterator[NetworkPlan], run: Callable[[NetworkPlan], T], progress: Progress) -> tuple[T, NetworkPlan]:
    """The result of the first plan that the memory really bears, and that plan. Raises InputError where none does."""
    tried = None
    for plan in plans:
        if tried is not None or not plan.full:
            progress.note(f"{'out of memory' if tried else 'little memory'}, stepping down: {plan.why}")
        try:
            return run(plan), plan
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            tried = plan
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    assert tried is not None
    what = f"the network needs more memory than there is, at its smallest too ({tried.estimated / 1e9:.1f} GB)"
    raise InputError("--geometry", what, "Give fewer photos with --max-images, or a smaller network")


def out_of_memory(error: Exception) -> bool:
    """Whether torch or Python could not allocate: on a CPU torch says so only in words."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "allocate memory" in str(error)


def low_precision(device: str) -> torch.dtype | None:
    """The type of linear layers that is faster there: decided by what the machine is, so that a run repeats.

    On CPUs with bfloat16 units it takes less than half of the time (tools/benchmarks/geometry.py); others emulate it.
    """
    if device == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    units = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # private in torch: absent means no
    if device == "cpu" and any(getattr(torch.cpu, name, lambda: False)() for name in units):
        return torch.bfloat16
    return None


def free_memory(device: str) -> int:
    """Bytes."""
    return torch.cuda.mem_get_info()[0] if device == "cuda" else psutil.virtual_memory().available


def network_device(asked: str) -> str:
    """Where networks run: as asked; `auto` is CUDA, else Apple's MPS, else the CPU.

    On CUDA memory grows in segments, unless the user said otherwise: 200 views take 9.1 GB so, and 11.7 in fixed blocks.
    """
    if asked == "cuda" or (asked == "auto" and torch.cuda.is_available()):
        os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")  # read at the first allocation
        return "cuda"
    if asked != "auto":
        return asked
    return "mps" if torch.backends.mps.is_available() else "cpu"

