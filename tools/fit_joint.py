"""The joint network fitted to one scene: whether the whole chain learns, and whether more views make it worse.

    python tools/fit_joint.py --steps 500

The scene is the still life of datasets/sample, photographed anew along a third of its arc, with its true depth. The network
is measured on views that lie between the inputs and are none of them. The first fit sees all inputs in every step; the
second a number of them that changes, so that it can be asked about any.
"""

from __future__ import annotations

import argparse
import random
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from recon3d.core.synthetic import look_at
from recon3d.metrics.image import psnr
from recon3d.models.ilrm.network import HeadGaussians
from recon3d.models.joint.config import JointConfig
from recon3d.models.joint.network import Joint, JointViews
from recon3d.training import joint_losses
from tools.make_sample import ARC, DISTANCE, LIGHT, SOLIDS, TARGET
from tools.raycaster import first_hits, photograph

SMALL = JointConfig(dim=128, image_patch=8, scene_patch=8, step=1, encoder_blocks=1, zpressor_layers=2, blocks=6)
RATE = 2e-3
ARC_OF_FIT = ARC / 3  # degrees


@dataclass(frozen=True)
class Posed:
    """Views of a scene along an arc; even ones are inputs, odd ones lie between them."""

    views: JointViews  # one scene, all views

    def inputs(self, count: int) -> JointViews:
        """`count` of the inputs, evenly spread over the arc, the first and the last among them."""
        every = len(range(0, self.views.images.shape[1], 2))
        chosen = torch.linspace(0, every - 1, count).round().long() * 2
        return self.views.chosen(chosen[None])

    def between(self) -> JointViews:
        return self.views.chosen(torch.arange(1, self.views.images.shape[1], 2)[None])


def posed_scene(size: int, inputs: int, arc: float = ARC_OF_FIT) -> Posed:
    """2 · inputs - 1 square views of the still life with their true depth, in units of its median."""
    angles = np.radians(np.linspace(-arc / 2, arc / 2, 2 * inputs - 1))
    K = np.array([[0.9 * size, 0, size / 2], [0, 0.9 * size, size / 2], [0, 0, 1]])
    pictures, depths, cameras = [], [], []
    for angle in angles:
        center = torch.tensor([DISTANCE * np.sin(angle), -0.55, -DISTANCE * np.cos(angle)])
        camera_from_world = look_at(center, torch.tensor(TARGET, dtype=torch.float64)).numpy()
        pictures.append(photograph(SOLIDS, LIGHT, camera_from_world, K, size, size, samples=3))
        depths.append(depth_of(camera_from_world, K, size))
        cameras.append(camera_from_world)
    depth = torch.from_numpy(np.stack(depths)).float()
    world_from_camera = torch.from_numpy(np.linalg.inv(np.stack(cameras))).float()
    world_from_camera[:, :3, 3] /= depth.median()
    images = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
    Ks = torch.from_numpy(K).float().repeat(len(angles), 1, 1)
    parts = (images, Ks, world_from_camera, depth / depth.median(), torch.ones_like(depth))
    return Posed(JointViews(*(x[None] for x in parts)))


def depth_of(camera_from_world: np.ndarray, K: np.ndarray, size: int) -> np.ndarray:
    """z-depth through the middle of every pixel."""
    y, x = np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5, indexing="ij")
    rays = np.stack([x, y, np.ones_like(x)], -1).reshape(-1, 3) @ np.linalg.inv(K).T @ camera_from_world[:3, :3]
    origin = -camera_from_world[:3, :3].T @ camera_from_world[:3, 3]
    return first_hits(SOLIDS, np.broadcast_to(origin, rays.shape), rays)[0].reshape(size, size)


def drawn(gaussians: HeadGaussians, views: JointViews) -> Tensor:
    """Pictures of the only scene by the cameras of `views`."""
    return joint_losses.drawn(gaussians, 0, torch.linalg.inv(views.world_from_camera[0]), views.K[0], views.images)


def fitted(scene: Posed, counts: tuple[int, ...], steps: int, anchors: int, seed: int, config=SMALL) -> Joint:
    """Each step takes one of `counts` of the inputs and is judged on three of the views between."""
    torch.manual_seed(seed)
    chance = random.Random(seed)
    network = Joint(config).to(scene.views.K.device)
    optimiser = torch.optim.AdamW(network.parameters(), RATE, betas=(0.9, 0.95), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, max(steps, 1), pct_start=0.1)
    between = scene.between()
    for _ in range(steps):
        gaussians, _ = network(scene.inputs(chance.choice(counts)), anchors)
        targets = between.chosen(torch.tensor([chance.sample(range(between.images.shape[1]), 3)]))
        loss = F.mse_loss(drawn(gaussians, targets), targets.images[0])
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return network


@torch.no_grad()
def measured(network: Joint, scene: Posed, count: int, anchors: int) -> float:
    """PSNR of the views between, from `count` inputs."""
    between = scene.between()
    return psnr(drawn(network(scene.inputs(count), anchors)[0], between).clamp(0, 1), between.images[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--size", type=int, default=64, help="pixels")
    parser.add_argument("--inputs", type=int, default=16)
    parser.add_argument("--anchors", type=int, default=4)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    scene = posed_scene(options.size, options.inputs)
    counts = tuple(n for n in (2, 4, 8, 16) if n <= options.inputs)
    print("| fit | seed |" + "".join(f" {n} views |" for n in counts) + "\n|" + " --- |" * (len(counts) + 2))
    for seed in options.seeds:
        for name, steps, seen in (
            ("none", 0, counts), ("all inputs", options.steps, counts[-1:]), ("2 inputs to all", options.steps, counts)
        ):  # fmt: skip
            network = fitted(scene, seen, steps, options.anchors, seed)
            found = (measured(network, scene, n, options.anchors) for n in counts)
            print(f"| {name} | {seed} |" + "".join(f" {value:.2f} |" for value in found), flush=True)


if __name__ == "__main__":
    main()
