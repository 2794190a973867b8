"""Long captures in windows: what making Gaussians of some views at a time costs against all at once, and without fusing.

    python -m tools.benchmarks.windows ../shared/data

Untrained weights of `joint` (they give what `lift` gives of the anchors), no refinement, held-out photos 4, 12, ...: PSNR
of all views in one pass, of windows of a third of them joined as they are, and fused with cells of several widths. Prints a
table in markdown.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from recon3d.core.gaussians import Gaussians
from recon3d.core.geometry import Geometry
from recon3d.core.scene import Scene
from recon3d.core.views import Views
from recon3d.models.joint.config import JointConfig
from recon3d.models.joint.network import Joint
from recon3d.pipeline.holdout import measure
from recon3d.pipeline.splats import in_windows
from recon3d.progress import Progress
from recon3d.reconstruction.heads import windows
from recon3d.reconstruction.heads.anchors import anchor_count
from recon3d.reconstruction.heads.joint import joint_gaussians
from tools.benchmarks.refinement import cameras_of, held_out_scene

SCENES = ("street", "kitchen", "flower", "fountain-P11")
CELLS = (1.0, 2.0, 4.0, 8.0)


def joined(network: Joint, views: Views, geometry: Geometry, size: int, cell: float | None) -> Gaussians:
    """Windows of `size` views fused in cells of this width; None: joined as they are."""

    def head(some: Views, of_some: Geometry) -> tuple[Gaussians, tuple[str, ...]]:
        return joint_gaussians(network, some, of_some, anchor_count(of_some))[0], ()

    if cell is None:
        parts = [head(views[w], geometry[w])[0] for w in windows.windows(len(views), size)]
        whole = parts[0]
        for part in parts[1:]:
            whole = windows.joined(whole, part)
        return whole
    before, windows.CELL = windows.CELL, cell
    try:
        return in_windows(head, views, geometry, size)[0]
    finally:
        windows.CELL = before


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("folder", type=Path)
    ask.add_argument("--scenes", nargs="*", default=SCENES)
    ask.add_argument("--max-size", type=int, default=384)
    options = ask.parse_args()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Joint(JointConfig()).eval()
    print(f"| scene | one pass | windows, joined | {' | '.join(f'cells of {c:g}' for c in CELLS)} |")
    print("|" + " --- |" * (3 + len(CELLS)))
    for name in options.scenes:
        flat, known = held_out_scene(*cameras_of(options.folder / name, options.max_size, Progress()), "8:4", options.max_size)
        seen = ~flat.held_out
        count = int(seen.sum())
        cells = []
        for size, cell in ((count, None), (-(-count // 3), None), *((-(-count // 3), c) for c in CELLS)):
            gaussians = joined(network, flat[seen], known[seen], size, cell)
            value = measure(Scene(gaussians, known, flat))["mean"]["psnr"]
            cells.append(f"{value:.2f} ({len(gaussians) // 1000}k)")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
