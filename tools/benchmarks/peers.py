"""gsplat's own trainer beside ours: its two strategies on our cameras and points, held-out PSNR every 1000 steps.

    python -m tools.benchmarks.peers ../shared/data --out out/peers

Needs gsplat 1.5.3 and, but for `--device cpu`, an NVIDIA GPU. Settings are those that gsplat's example trainer publishes for
one GPU (degree 3, one band more every 1000 steps; learning rates, start and regularisers below), its schedule that of 30 000
steps, of which the first 7000 are run. Cameras and sparse points are COLMAP's from all photos, photos 4, 12, ... held out,
384 px. Ours runs beside it on the same device at standard and high quality. Prints a table in markdown; the folder gets
`peers.json`.

On a CPU gsplat's strategies, as they are, decide about Gaussians that our kernels draw (`rasterization_of_ours`); the two
kernels that they call themselves are torch's operations there. Put gsplat's wheel into a folder of its own:

    pip install --no-deps --target FOLDER gsplat==1.5.3
    PYTHONPATH=FOLDER python -m tools.benchmarks.peers ../shared/data --out out/peers --device cpu --steps 4000
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from recon3d.atomic import atomic_file
from recon3d.core.geometry import Geometry
from recon3d.core.harmonics import C0
from recon3d.core.scene import Scene
from recon3d.core.views import Views
from recon3d.metrics.image import psnr, ssim
from recon3d.pipeline.choices import QUALITY
from recon3d.pipeline.holdout import measure
from recon3d.progress import Progress
from recon3d.reconstruction.refinement.densification import MOST_COPIES, shared_out
from recon3d.reconstruction.refinement.refine import Refinement, refine, scene_extent
from recon3d.reconstruction.seeding.seed import gaps
from recon3d.reconstruction.seeding.seed import seed as seeded
from recon3d.rendering.render import backend_for, rasterize
from recon3d.rendering.screen import Screen
from tools.benchmarks.refinement import cameras_of, held_out_scene

SCENES = ("fountain-P11", "herz-jesu-P8", "flower", "banana", "kitchen", "street")
RATES = {"means": 1.6e-4, "scales": 5e-3, "quats": 1e-3, "opacities": 5e-2, "sh0": 2.5e-3, "shN": 2.5e-3 / 20}
START = {"default": (1.0, 0.1), "mcmc": (0.1, 0.5)}  # of sizes in gaps between points, and opacity
REGULARISER = {"default": 0.0, "mcmc": 0.01}  # of opacities and of scales
CONTENDERS = ("default", "mcmc", "standard", "high")
SCHEDULE, EVERY, DEGREE = 30_000, 1000, 3


def parameters_of(geometry: Geometry, strategy: str, device: str, seed: int) -> torch.nn.ParameterDict:
    """Gaussians at the sparse points, as the example trainer starts."""
    size, opacity = START[strategy]
    count = len(geometry.points)
    sh = torch.zeros(count, (DEGREE + 1) ** 2, 3)
    sh[:, 0] = (geometry.colors.float() / 255 - 0.5) / C0
    values = {
        "means": geometry.points.float(),
        "scales": (size * gaps(geometry.points)).clamp_min(1e-9).log().float()[:, None].repeat(1, 3),
        "quats": torch.rand(count, 4, generator=torch.Generator().manual_seed(seed)),
        "opacities": torch.logit(torch.full((count,), opacity)),
        "sh0": sh[:, :1],
        "shN": sh[:, 1:],
    }
    return torch.nn.ParameterDict({name: torch.nn.Parameter(x.to(device)) for name, x in values.items()})


def drawn(rasterization: Callable, p: torch.nn.ParameterDict, pose: Tensor, K: Tensor, size: tuple[int, int], degree: int):
    """gsplat's picture [3, H, W] of one camera, and what its strategies ask for."""
    height, width = size
    colors = torch.cat((p["sh0"], p["shN"]), 1)
    rgb, _, info = rasterization(
        p["means"], p["quats"], p["scales"].exp(), torch.sigmoid(p["opacities"]), colors, pose[None], K[None], width, height,
        near_plane=0.01, far_plane=1e10, sh_degree=degree, packed=False,
    )  # fmt: skip
    return rgb[0, ..., :3].permute(2, 0, 1), info


def rasterization_of_ours(means, quats, scales, opacities, colors, poses, Ks, width, height, sh_degree, **unused: Any):
    """gsplat's call, drawn by our kernels. Its strategies read the gradient of `means2d`, which `hand_over` puts there."""
    screen = Screen()
    sh = colors[:, : (sh_degree + 1) ** 2]
    rgb, _, alpha = rasterize(means, quats, scales, opacities, sh, poses, Ks, width, height, screen)
    info: dict[str, Any] = {"width": width, "height": height, "n_cameras": 1, "gaussian_ids": None, "screen": screen}
    info |= {"means2d": torch.zeros(1, len(means), 2, requires_grad=True), "radii": screen.radii}
    return rgb.permute(0, 2, 3, 1), alpha, info


def hand_over(info: dict[str, Any]) -> None:
    if screen := info.get("screen"):
        info["means2d"].grad = screen.gradient


def strategies_on_a_cpu() -> None:
    """MCMC's equation 9 and covariances, which gsplat has on CUDA only, in torch."""
    from gsplat.cuda._torch_impl import _quat_scale_to_covar_preci  # type: ignore[import-not-found]
    from gsplat.strategy import ops  # type: ignore[import-not-found]

    def relocation(opacities: Tensor, scales: Tensor, ratios: Tensor, binoms: Tensor) -> tuple[Tensor, Tensor]:
        each, shrink = shared_out(opacities, ratios.clamp(1, MOST_COPIES))
        return each, scales * shrink[:, None]

    ops.compute_relocation = relocation
    ops.quat_scale_to_covar_preci = _quat_scale_to_covar_preci


def trained(
    views: Views, geometry: Geometry, strategy: str, rasterization: Callable, device: str, steps: int, every: int, seed: int
) -> list[dict[str, Any]]:
    """The curve of held-out PSNR."""
    from gsplat import DefaultStrategy, MCMCStrategy  # type: ignore[import-not-found]

    extent = scene_extent(geometry.cameras)
    torch.manual_seed(seed)  # gsplat's strategies draw from torch's own generator
    p = parameters_of(geometry, strategy, device, seed)
    rates = {**RATES, "means": RATES["means"] * extent}
    optimizers = {
        name: torch.optim.Adam([{"params": x, "lr": rates[name], "name": name}], eps=1e-15, fused=True) for name, x in p.items()
    }
    decay = torch.optim.lr_scheduler.ExponentialLR(optimizers["means"], gamma=0.01 ** (1 / SCHEDULE))
    rule = DefaultStrategy() if strategy == "default" else MCMCStrategy()
    rule.check_sanity(p, optimizers)
    state = rule.initialize_state(scene_scale=extent) if strategy == "default" else rule.initialize_state()
    seen = (~views.held_out).nonzero()[:, 0].tolist()
    photos = {i: views.rgb(i).to(device) for i in range(len(views))}
    poses, Ks = (x.float().to(device) for x in (geometry.cameras.camera_from_world, geometry.cameras.K))
    chance, curve = random.Random(seed), []
    for step in range(steps):
        i = chance.choice(seen)
        degree = min(step // 1000, DEGREE)
        rgb, info = drawn(rasterization, p, poses[i], Ks[i], geometry.cameras.size(i), degree)
        rule.step_pre_backward(p, optimizers, state, step, info)
        loss = 0.8 * (rgb - photos[i]).abs().mean() + 0.2 * (1 - ssim(rgb, photos[i]))
        loss = loss + REGULARISER[strategy] * (torch.sigmoid(p["opacities"]).mean() + p["scales"].exp().mean())
        loss.backward()
        hand_over(info)
        for optimizer in optimizers.values():
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        decay.step()
        if strategy == "default":
            rule.step_post_backward(p, optimizers, state, step, info, packed=False)
        else:
            rule.step_post_backward(p, optimizers, state, step, info, lr=decay.get_last_lr()[0])
        if (step + 1) % every == 0:
            with torch.no_grad():
                values = []
                for j in views.held_out.nonzero()[:, 0].tolist():
                    picture, _ = drawn(rasterization, p, poses[j], Ks[j], geometry.cameras.size(j), degree)
                    values.append(psnr(picture.clamp(0, 1), photos[j]))
            curve.append({"step": step + 1, "psnr": sum(values) / len(values), "gaussians": len(p["means"])})
            print(strategy, curve[-1], file=sys.stderr, flush=True)
    return curve


def ours(views: Views, geometry: Geometry, quality: str, device: str, seed: int) -> list[dict[str, Any]]:
    """A curve of one point: what a run of that quality ends with."""
    chosen, seen = QUALITY[quality], ~views.held_out
    start = seeded(views[seen], geometry[seen], device=device)
    steps, most = chosen.steps_for(int(seen.sum())), chosen.max_on_a_gpu if device == "cuda" else chosen.max_gaussians
    options = Refinement(steps=steps, max_gaussians=most, backend=backend_for(device), seed=seed)
    refined = refine(views, geometry, start, options)
    value = measure(Scene(refined.gaussians, geometry, views), device)["mean"]["psnr"]
    return [{"step": steps, "psnr": value, "gaussians": len(refined.gaussians)}]


def cell(curves: list[list[dict[str, Any]]]) -> str:
    """PSNR at each seed's best step, and after the last: means of the seeds."""
    best = statistics.mean(max(mark["psnr"] for mark in curve) for curve in curves)
    last = statistics.mean(curve[-1]["psnr"] for curve in curves)
    return f"{best:.2f}" + (f" · {last:.2f} ({curves[0][-1]['step']})" if len(curves[0]) > 1 else "")


def table(rows: list[dict[str, Any]]) -> str:
    lines = ["| scene | seeds | default: best · last | MCMC: best · last | ours, standard | ours, high |", "|" + " --- |" * 6]
    for scene in dict.fromkeys(row["scene"] for row in rows):
        mine = [row for row in rows if row["scene"] == scene]
        curves = [[row["curve"] for row in mine if row["contender"] == contender] for contender in CONTENDERS]
        counts = ", ".join(str(len(found)) for found in curves)
        lines.append(f"| {scene} | {counts} | {' | '.join(cell(found) if found else '' for found in curves)} |")
    return "\n".join(lines)


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("folder", type=Path)
    ask.add_argument("--out", type=Path, required=True)
    ask.add_argument("--scenes", nargs="*", default=SCENES)
    ask.add_argument("--contenders", nargs="*", default=CONTENDERS)
    ask.add_argument("--max-size", type=int, default=384)
    ask.add_argument("--steps", type=int, default=7000)
    ask.add_argument("--seeds", nargs="*", type=int, default=[0])
    ask.add_argument("--device", default="cuda")
    options = ask.parse_args()
    if options.device == "cpu":
        strategies_on_a_cpu()
        rasterization: Callable = rasterization_of_ours
    else:
        from gsplat import rasterization  # type: ignore[import-not-found]
    options.out.mkdir(parents=True, exist_ok=True)
    kept = options.out / "peers.json"
    rows = json.loads(kept.read_text()) if kept.exists() else []
    print(f"{torch.cuda.get_device_name() if options.device == 'cuda' else 'CPU'}\n")
    for name in options.scenes:
        there = {(row["scene"], row["contender"], row["seed"]) for row in rows}
        wanted = [(c, s) for s in options.seeds for c in options.contenders if (name, c, s) not in there]
        if not wanted:
            continue
        loaded = cameras_of(options.folder / name, options.max_size, Progress())
        flat, known = held_out_scene(*loaded, "8:4", options.max_size)
        for contender, seed in wanted:
            if contender in START:
                curve = trained(flat, known, contender, rasterization, options.device, options.steps, EVERY, seed)
            else:
                curve = ours(flat, known, contender, options.device, seed)
            rows.append({"scene": name, "contender": contender, "seed": seed, "curve": curve})
            print(rows[-1], file=sys.stderr, flush=True)
            with atomic_file(kept) as file:
                file.write_text(json.dumps(rows, indent=1) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
