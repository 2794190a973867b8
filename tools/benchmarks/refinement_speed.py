"""Milliseconds of a refinement step, and peak memory of a GPU, on scenes of several sizes.

    python -m tools.benchmarks.refinement_speed --device cuda

Photos of random Gaussians, which are refined from a disturbed start at full picture size and do not grow: every step costs
what the last steps of a run cost. The clock runs over steps 21 to 120 and ends when the device has done them. The peer to
compare with, on an H200: gsplat's rasterization, torch's fused Adam and SSIM by convolutions, all on the card, take 4.27 ms
a step at 34 000 splats and 384 px, 4.09 at 200 000 and 768 px, 6.24 at 1 000 000 and 1280×720.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace

import torch

from recon3d.core.gaussians import Gaussians
from recon3d.core.geometry import Geometry
from recon3d.core.synthetic import Synthetic, arc_of_cameras, synthetic_gaussians
from recon3d.reconstruction.refinement.refine import Refinement, Session, one_torch_thread, warm_up
from recon3d.rendering.render import backend_for, render_each
from tools.benchmarks.more_views import views_of

WARM, TIMED = 20, 100  # steps
PIXELS = 1.5  # standard deviation of most Gaussians


@dataclass(frozen=True)
class Case:
    gaussians: int
    width: int
    height: int


CASES = (Case(34_406, 384, 256), Case(137_625, 768, 512), Case(1_000_000, 1280, 720))


def session_of(case: Case, device: str) -> Session:
    """Ready to step: eight photos of a ball that fills the picture, and Gaussians a little away from where they were."""
    cameras = arc_of_cameras(Synthetic(views=8, height=case.height, width=case.width, field_of_view=30))
    truth = synthetic_gaussians(case.gaussians, size=PIXELS * 2 / case.width)
    pictures = torch.stack([r.rgb[0].cpu() for r in render_each(truth, cameras, device=device)])
    moved = truth.means + 0.5 / case.width * torch.randn(truth.means.shape, generator=torch.Generator().manual_seed(0))
    start = replace(truth, means=moved, sh=0.8 * truth.sh)
    none = torch.zeros(0, 3, dtype=torch.float64)
    geometry = Geometry(cameras, none, none.to(torch.uint8), none[:, 0])
    options = Refinement(steps=WARM + TIMED, max_gaussians=1, half_until=0.0, backend=backend_for(device))
    return Session(views_of(pictures, cameras.sizes), geometry, Gaussians(**vars(start)), options)


def milliseconds(session: Session) -> float:
    def wait() -> None:
        if session.device == "cuda":
            torch.cuda.synchronize()

    # As in the second half of a run: harmonics are learned, and nothing is moved or added but the random drift.
    with one_torch_thread():
        for _ in range(WARM):
            session.step(0.9)
        wait()
        begun = time.perf_counter()
        for i in range(TIMED):
            session.step(0.9)
            if (i + 1) % 10 == 0:
                session.mark(i)
        wait()
    return 1000 * (time.perf_counter() - begun) / TIMED


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    ask.add_argument("--cases", type=int, default=len(CASES), help="how many of them, from the smallest on")
    options = ask.parse_args()
    warm_up(backend_for(options.device))
    print("| Gaussians | picture | ms a step | peak MB of the GPU |\n| --- | --- | --- | --- |")
    for case in CASES[: options.cases]:
        if options.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        session = session_of(case, options.device)
        spent = milliseconds(session)
        del session  # or the next one's peak would have it
        peak = f"{torch.cuda.max_memory_allocated() / 1e6:.0f}" if options.device == "cuda" else "–"
        print(f"| {case.gaussians} | {case.width}×{case.height} | {spent:.2f} | {peak} |", flush=True)


if __name__ == "__main__":
    main()
