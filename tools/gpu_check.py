"""The first thing to run where a GPU is at hand: python tools/gpu_check.py

Builds gsplat, probes its alpha clamp, draws the three benchmark cases with gsplat and with our CPU kernels, forward and
backward, in both modes, and prints how far apart they are and how long each takes. Exit code 0: they agree. 1: they do
not. 2: no GPU here.
"""

from __future__ import annotations

import sys
import time

import torch
from benchmarks.cases import CASES, Case

from recon3d.rendering import cuda
from recon3d.rendering.constants import ALPHA_MAX
from recon3d.rendering.render import rasterize, warm_up

NAMES = ("means", "quats", "scales", "opacities", "sh", "camera_from_world")
APART = 1e-3  # of a pixel's colour or alpha: more is a threshold that was decided differently
APART_RATE = 1e-2  # of the pixels
GRADIENT = 1e-2  # relative L2
REPEATS = 7


def both_ways(case: Case, backend: str, device: str, antialiased: bool) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Pictures and gradients of their weighted sum, on the CPU."""
    means, quats, scales, opacities, sh, poses = leaves = [x.clone().to(device).requires_grad_() for x in case.inputs]
    view = (poses, case.K.to(device), case.width, case.height)
    pictures = rasterize(means, quats, scales, opacities, sh, *view, antialiased=antialiased, backend=backend)
    generator = torch.Generator().manual_seed(1)
    weights = [torch.randn(x.shape, generator=generator).to(device) for x in pictures]
    gradients = torch.autograd.grad(pictures, leaves, weights)
    return [x.detach().cpu() for x in pictures], [x.cpu() for x in gradients]


def milliseconds(case: Case, backend: str, device: str, antialiased: bool) -> float:
    """Median of forward and backward, tensors already on the device."""
    case = Case(*(x.to(device) for x in (*case.inputs, case.K)), case.width, case.height)  # type: ignore[arg-type]
    means, quats, scales, opacities, sh, poses = leaves = [x.clone().requires_grad_() for x in case.inputs]
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        view = (poses, case.K, case.width, case.height)
        pictures = rasterize(means, quats, scales, opacities, sh, *view, antialiased=antialiased, backend=backend)
        torch.autograd.grad(pictures, leaves, [torch.ones_like(x) for x in pictures])
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(1e3 * (time.perf_counter() - start))
    return sorted(times)[REPEATS // 2]


def check(name: str, case: Case, antialiased: bool) -> bool:
    """Print a case's lines; whether gsplat agrees with our kernels."""
    pictures, gradients = both_ways(case, "gsplat", "cuda", antialiased)
    ours, our_gradients = both_ways(case, "cpu", "cpu", antialiased)
    apart = max(float(((a - b).abs() > APART).float().mean()) for a, b in zip(pictures[::2], ours[::2], strict=True))
    pairs = zip(NAMES, gradients, our_gradients, strict=True)
    relative = {name: float((a - b).norm() / b.norm()) for name, a, b in pairs}
    good = apart <= APART_RATE and max(relative.values()) <= GRADIENT
    theirs_took, ours_took = (milliseconds(case, *where, antialiased) for where in (("gsplat", "cuda"), ("cpu", "cpu")))
    verdict, mode = "agrees" if good else "DIFFERS", "antialiased" if antialiased else "classic"
    print(f"{name}, {mode}: {verdict}: {apart:.3%} of the pixels are more than {APART} apart")
    print("  gradients, relative L2: " + ", ".join(f"{n} {value:.1e}" for n, value in relative.items()))
    print(f"  forward and backward: gsplat {theirs_took:.2f} ms, ours {ours_took:.1f} ms")
    return good


def main() -> int:
    if reason := cuda.why_not():
        print(f"gsplat cannot be checked here: {reason}.")
        return 2
    print(f"torch {torch.__version__}, {torch.cuda.get_device_name()}; building gsplat at first use may take minutes ...")
    start = time.perf_counter()
    clamp = cuda.alpha_max()
    print(f"gsplat drew its first picture after {time.perf_counter() - start:.0f} s")
    print(f"it clamps alpha at {clamp}, ours at {ALPHA_MAX}")
    warm_up()
    agree = [check(name, make(), antialiased) for name, make in CASES.items() for antialiased in (False, True)]
    print("Now run: python -m pytest -m gpu tests")
    return 0 if all(agree) else 1


if __name__ == "__main__":
    sys.exit(main())
