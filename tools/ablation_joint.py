"""What the joint network should start from, learned on procedural scenes: the table of docs/joint_ablation.md.

    python tools/ablation_joint.py ../shared/prototypes_synth --steps 1200 --seeds 0

Every variant sees the same scenes in the same order for the same number of steps; quality is that of views between the
inputs, of scenes that no variant was trained on. The scenes come from a ray caster that is no part of the repository.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from recon3d.metrics.image import psnr
from recon3d.models.ilrm.network import HeadGaussians
from recon3d.models.joint.config import JointConfig
from recon3d.models.joint.network import CHANNELS, Joint, JointViews, gaussians_on_depth
from recon3d.models.zpressor.anchors import farthest_points
from recon3d.training import joint_losses

SMALL = JointConfig(dim=128, image_patch=8, scene_patch=4, encoder_blocks=1, zpressor_layers=2, blocks=6)
INPUTS, TARGETS, ANCHORS = 6, 5, 3  # views of a scene; targets stand between the inputs
NOISE, NOISE_CELLS = 0.03, 6  # of the depth that is given: log-normal, of so many cells across a picture, and of each pixel
FAR = 500.0  # of iLRM's sigmoid
RATE = 1e-3


@dataclass(frozen=True)
class Scene:
    inputs: JointViews
    targets: Tensor  # T 3 H W
    camera_from_world: Tensor  # T 4 4, of the targets
    K: Tensor  # T 3 3


@dataclass(frozen=True)
class Variant:
    about: str
    config: JointConfig = SMALL
    anchors: int = ANCHORS
    fused: bool = True  # False: the views that are no anchors are left out before the network
    given: Callable[[JointViews], JointViews] = lambda views: views
    gaussians: Callable[..., HeadGaussians] = gaussians_on_depth
    zeros: bool = True  # the decoder starts from zeros


def scenes(folder: Path, seeds: range, size: int, device: str) -> list[Scene]:
    """Procedural scenes with one exposure, in a world whose median depth is 1."""
    sys.path.insert(0, str(folder))
    from scenes import sample  # type: ignore[import-not-found]

    made = []
    for seed in seeds:
        scene, poses, K, gains, *_ = sample(seed, INPUTS + TARGETS, size)
        images, depth, _ = scene.render(poses, K, np.broadcast_to(gains.mean(0), gains.shape).copy(), size)
        parts = [torch.from_numpy(x).float().to(device) for x in (images, depth, poses, K)]
        made.append(split(parts[0], parts[1], parts[2], parts[3], seed))
    return made


def split(images: Tensor, depth: Tensor, camera_from_world: Tensor, K: Tensor, seed: int) -> Scene:
    """Every second view is an input, with noise on its depth; sky is far away, and nothing is known of it."""
    known = depth > 0
    unit = depth[known].median()
    camera_from_world = camera_from_world.clone()
    camera_from_world[:, :3, 3] /= unit
    noisy = torch.where(known, depth / unit, depth[known].max() / unit) * noise(depth, seed)
    inputs, targets = slice(0, None, 2), slice(1, None, 2)
    world_from_camera = torch.linalg.inv(camera_from_world)
    views = JointViews(*(x[inputs][None] for x in (images, K, world_from_camera, noisy, known.float())))
    return Scene(views, images[targets], camera_from_world[targets], K[targets])


def noise(depth: Tensor, seed: int, size: float = NOISE) -> Tensor:
    """What depth is multiplied by: smooth over a picture, as a network's errors are, and a little for each pixel."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(len(depth), 1, NOISE_CELLS, NOISE_CELLS, generator=generator)
    smooth = F.interpolate(coarse, depth.shape[1:], mode="bicubic", align_corners=False)[:, 0]
    fine = torch.randn(depth.shape, generator=generator)
    return torch.exp(size * (smooth + 0.25 * fine)).to(depth)


def on_sigmoid(decoded: Tensor, anchors: JointViews, step: int) -> HeadGaussians:
    """The depth from a sigmoid of 0 to FAR, which starts at the scene's median; all else as in the product."""
    at = CHANNELS["offset"]
    depth = math.log(FAR) + F.logsigmoid(decoded[..., at : at + 1] - math.log(FAR - 1))
    decoded = torch.cat((decoded[..., :at], depth, decoded[..., at + 1 :]), -1)
    return gaussians_on_depth(decoded, replace(anchors, depth=torch.ones_like(anchors.depth)), step)


def from_nothing(decoded: Tensor, anchors: JointViews, step: int) -> HeadGaussians:
    """The geometry's depth, and iLRM's published activations for all else: colours, sizes and opacities from nothing."""
    start = gaussians_on_depth(decoded, anchors, step)
    scales, quats, opacities, colors = decoded.split(tuple(CHANNELS.values()), -1)[2:]
    return replace(
        start, scales=(scales - 6.9).clamp(max=-1.2).exp().flatten(1, 3), quats=F.normalize(quats, dim=-1).flatten(1, 3),
        opacities=(opacities[..., 0] - 2).sigmoid().flatten(1), sh=colors.flatten(1, 3)[:, :, None],
    )  # fmt: skip


def without_depth(views: JointViews) -> JointViews:
    return replace(views, depth=torch.ones_like(views.depth), confidence=torch.zeros_like(views.confidence))


VARIANTS = {
    "chosen": Variant("depth from geometry, ZPressor, half resolution, starts as lift"),
    "sigmoid": Variant("depth from a sigmoid, though tokens see the geometry's", gaussians=on_sigmoid),
    "sigmoid, no depth": Variant("depth from a sigmoid, and none is given", gaussians=on_sigmoid, given=without_depth),
    "nothing": Variant("depth from geometry, all else from nothing", gaussians=from_nothing, zeros=False),
    "lift, not zeros": Variant("starts as lift, but for a decoder of small random values", zeros=False),
    "anchors only": Variant("no ZPressor: the other views are not looked at", fused=False),
    "all views": Variant("no ZPressor: Gaussians of every view", anchors=INPUTS),
    "full resolution": Variant("a scene token sees every pixel", config=replace(SMALL, step=1, scene_patch=8)),
}


def run(network: Joint, variant: Variant, views: JointViews) -> HeadGaussians:
    """Forward, with what the variant does otherwise."""
    views = variant.given(views)
    if not variant.fused:
        views = views.chosen(farthest_points(views.world_from_camera[..., :3, 3], variant.anchors))
    decoded, chosen = network.decoded(views, variant.anchors)
    return variant.gaussians(decoded, views.chosen(chosen), network.config.step)


def drawn(gaussians: HeadGaussians, scene: Scene) -> Tensor:
    return joint_losses.drawn(gaussians, 0, scene.camera_from_world, scene.K, scene.targets)


def learned(variant: Variant, train: list[Scene], steps: int, seed: int) -> tuple[Joint, float]:
    """The network after `steps` scenes, and seconds a step."""
    torch.manual_seed(seed)
    network = Joint(variant.config).to(train[0].K.device)
    if not variant.zeros:
        torch.nn.init.normal_(network.decoder.linear.weight, std=0.02)
    optimiser = torch.optim.AdamW(network.parameters(), RATE, betas=(0.9, 0.95), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, max(steps, 1), pct_start=0.05)
    order = np.random.default_rng(seed).integers(len(train), size=steps)
    start = time.perf_counter()
    for i in order:
        loss = F.mse_loss(drawn(run(network, variant, train[i].inputs), train[i]), train[i].targets)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return network, (time.perf_counter() - start) / max(steps, 1)


@torch.no_grad()
def scored(network: Joint, variant: Variant, scenes: list[Scene]) -> tuple[float, int]:
    """Mean PSNR of the target views, and Gaussians of a scene."""
    found = [run(network, variant, scene.inputs) for scene in scenes]
    pictures = [drawn(g, scene).clamp(0, 1) for g, scene in zip(found, scenes, strict=True)]
    values = [psnr(p, scene.targets) for p, scene in zip(pictures, scenes, strict=True)]
    return sum(values) / len(values), found[0].means.shape[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("raycaster", type=Path, help="the folder of the ray caster of procedural scenes")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--scenes", type=int, default=400, help="to learn from")
    parser.add_argument("--unseen", type=int, default=24, help="to measure on")
    parser.add_argument("--size", type=int, default=64, help="pixels of the square pictures")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    unseen = scenes(options.raycaster, range(options.unseen), options.size, options.device)
    train = scenes(options.raycaster, range(1000, 1000 + options.scenes), options.size, options.device)
    print("| variant | PSNR untrained | PSNR | Gaussians | ms a step |\n| --- | --- | --- | --- | --- |")
    rows = []
    for name in options.variants:
        for seed in options.seeds:
            before, _ = scored(learned(VARIANTS[name], train, 0, seed)[0], VARIANTS[name], unseen)
            network, seconds = learned(VARIANTS[name], train, options.steps, seed)
            after, count = scored(network, VARIANTS[name], unseen)
            rows.append({"variant": name, "seed": seed, "before": before, "psnr": after, "gaussians": count, "s": seconds})
            print(f"| {name}: {VARIANTS[name].about} | {before:.2f} | {after:.2f} | {count} | {1000 * seconds:.0f} |", flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
