"""What VGGT's tracks add to a pass on a CPU: time and peak memory of its track head, beside those of its depth head.

    python -m tools.benchmarks.vggt_tracks --views 8

Both heads of the published sizes with random weights, on random tokens of pictures of 518 x 392: the encoder before them, which
is the most of a pass, is left out. Each runs in a process of its own; prints a table in markdown.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import time

import torch

from recon3d.models.pictures import NetworkPictures
from recon3d.models.vggt.config import VGGT_1B
from recon3d.models.vggt.dense_head import DenseHead
from recon3d.models.vggt.track_head import TrackHead
from recon3d.models.vggt.tracks import CORNERS, starts, tracked

SIZE, PATCH = (392, 518), 14
HEADS = ("depth", "tracks")


@torch.inference_mode()
def measured(head: str, views: int) -> tuple[float, float]:
    """Seconds of all cores together, and megabytes that the peak rises by."""
    torch.manual_seed(0)
    width, grid = 2 * VGGT_1B.transformer.embed_dim, (SIZE[0] // PATCH, SIZE[1] // PATCH)
    layers = [torch.randn(1, views, grid[0] * grid[1], width) for _ in range(4)]
    eye = torch.eye(3, dtype=torch.float64).repeat(views, 1, 1)
    rects = torch.tensor([[0.0, 0, SIZE[1], SIZE[0]]], dtype=torch.float64).repeat(views, 1)
    pictures = NetworkPictures(torch.rand(views, 3, *SIZE), eye, rects)
    assert VGGT_1B.track_head is not None and VGGT_1B.depth_head is not None
    if head == "tracks":
        network = TrackHead(width, PATCH, VGGT_1B.track_head)
    else:
        network = DenseHead(width, PATCH, VGGT_1B.depth_head)
    before, start = peak(), time.process_time()
    if isinstance(network, TrackHead):
        tracked(network, layers, grid, pictures, 1)
    else:
        network(layers, grid, 1)
    return time.process_time() - start, peak() - before


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--views", type=int, default=8)
    views = parser.parse_args(arguments).views
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        found = {head: pool.apply(measured, (head, views)) for head in HEADS}
    points = CORNERS * len(starts(views))
    print(f"{views} views, {points} points followed, {torch.get_num_threads()} threads\n")
    print("| head | seconds of a core | MB at its peak |\n| --- | --- | --- |")
    for head, (seconds, megabytes) in found.items():
        print(f"| {head} | {seconds:.1f} | {megabytes:.0f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
