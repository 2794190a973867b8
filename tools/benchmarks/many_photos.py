"""Peak memory of a long capture on its way from photos to lifted splats, with depth that is invented.

    python -m tools.benchmarks.many_photos --photos 1000

Photos are made as files of 512 x 384; a process of its own loads them, plans a network's pass, brings an invented answer at
the network's size back to the photos, turns the world upright, and lifts. The network itself does not run: what its pass
takes is what the plan estimates. Prints peak resident memory after each step, in MB.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch

from recon3d.io.detect import detect
from recon3d.io.load import load_views
from recon3d.models.pictures import Answer, geometry_in_network, scaled_and_moved
from recon3d.models.small.answer import SIZE, cost
from recon3d.models.small.config import SmallConfig
from recon3d.pipeline.plan import plans
from recon3d.progress import Progress
from recon3d.reconstruction.lift import lift
from recon3d.reconstruction.network_views import in_photos
from recon3d.reconstruction.world_frame import upright

HEIGHT, WIDTH = 384, 512
PARAMETERS = 3_700_000  # of recon3d-small
MOST = 100_000  # Gaussians
APART = 0.05  # world units from a camera to the next


def make_photos(folder: Path, count: int) -> None:
    """Smooth pictures of random colours."""
    random = np.random.default_rng(0)
    for i in range(count):
        coarse = random.integers(0, 255, (24, 32, 3), np.uint8)
        cv2.imwrite(str(folder / f"{i:05d}.jpg"), cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC))


def invented(count: int) -> Answer:
    """Cameras along a wavy wall, with its depth and random confidences, in pictures of the network's size."""
    height, width = SIZE * HEIGHT // WIDTH, SIZE
    poses = torch.eye(4, dtype=torch.float64)[:3].repeat(count, 1, 1)
    poses[:, 0, 3] = -APART * torch.arange(count)
    K = torch.tensor([[width, 0, width / 2], [0, width, height / 2], [0, 0, 1.0]], dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    across = torch.arange(width) / width
    depth = 2 + 0.2 * torch.sin(3 * (across + APART * torch.arange(count)[:, None]))[:, None].expand(count, height, width)
    confidence = torch.rand(count, height, width, generator=generator)
    known = geometry_in_network(poses, K.repeat(count, 1, 1), depth, confidence, "invented")
    to_network = scaled_and_moved((width / WIDTH, height / HEIGHT), (0, 0)).repeat(count, 1, 1)
    rects = torch.tensor([[0.0, 0, width, height]], dtype=torch.float64).repeat(count, 1)
    return Answer(known, to_network, rects)


def told(step: str, begun: float) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    print(f"| {step} | {peak:.0f} | {time.perf_counter() - begun:.0f} |", flush=True)


def walk(folder: Path, one_layer: bool) -> None:
    """The steps, in this process."""
    begun = time.perf_counter()
    told("imports", begun)
    found = detect((folder,))
    views = load_views(found, max_size=WIDTH, max_images=len(found.files), progress=Progress()).views
    told(f"{len(views)} photos loaded", begun)
    plan = next(plans(cost(SmallConfig(), PARAMETERS), len(views), WIDTH / HEIGHT, "cpu"))
    told(f"planned: {plan.why}", begun)
    answer = invented(len(views))
    told("an answer invented", begun)
    flat, known = in_photos(answer, views, WIDTH)
    del views, answer
    told(f"in photos, {len(known.points)} points", begun)
    known = known.transformed(upright(known))
    told("upright", begun)
    gaussians = lift(flat, known, MOST, one_layer)
    told(f"lifted, {len(gaussians)} Gaussians{' of one layer' if one_layer else ''}", begun)


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--photos", type=int, default=1000)
    ask.add_argument("--one-layer", action="store_true", help="as where no refinement follows")
    ask.add_argument("--folder", type=Path, help="of photos that are there: walk in this process")
    options = ask.parse_args()
    if options.folder is not None:
        walk(options.folder, options.one_layer)
        return
    print("| step | peak MB | s |\n| --- | --- | --- |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        make_photos(Path(folder), options.photos)
        command = [sys.executable, "-m", "tools.benchmarks.many_photos", "--folder", folder]
        subprocess.run(command + ["--one-layer"] * options.one_layer, check=True)


if __name__ == "__main__":
    main()
