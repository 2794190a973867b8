"""What each kind of network takes to be trained: how it is built, what it is judged by, and its figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn

from recon3d.data.batch import Batch
from recon3d.metrics.image import psnr
from recon3d.models.da3.config import Da3Config
from recon3d.models.joint.config import JointConfig
from recon3d.models.joint.network import Joint
from recon3d.models.small.config import SmallConfig
from recon3d.models.small.network import SmallNetwork
from recon3d.models.vggt.config import VggtConfig
from recon3d.training import joint_losses, published_losses, small_losses
from recon3d.training.config import LossWeights, Training
from recon3d.training.logs import depth_rows, write_picture
from recon3d.training.scenes import validation
from recon3d.training.validation import measured

SIZE = 224  # of what is measured of recon3d-small
VIEWS = (2, 4)
JOINT_SIZE, JOINT_VIEWS = 128, (5, 7)  # of the joint network: views that are inputs, and those between them
PICTURED = 6  # scenes of the preview


@dataclass(frozen=True)
class Task:
    """Of one kind of network."""

    shipped: str  # weights of it in models.weights.table: their layout is that of all others
    build: Callable[[Any], nn.Module]
    as_photos: bool  # exposures differ and a camera does to pictures what cameras do; not where pictures are the aim
    losses: Callable[[nn.Module, Batch, Training, Sequence[Generator]], Any]  # a dataclass of unweighted means over scenes
    figures: Callable[[nn.Module, Training], dict[str, float]]
    score: Callable[[dict[str, float]], float]  # of figures: what versions are compared by, the more the better
    preview: Callable[[nn.Module, Training, Path], None]
    unused: tuple[str, ...] = ()  # beginnings of the names of parameters that training does not reach


def task_of(config: Training) -> Task:
    return TASKS[type(config.network)]


def total(found: Any, weights: LossWeights) -> Tensor:
    """The loss of a step."""
    return torch.stack([getattr(weights, name) * value for name, value in vars(found).items()]).sum()


def small_loss(
    network: nn.Module, batch: Batch, config: Training, generators: Sequence[Generator]
) -> small_losses.Losses:
    with torch.autocast(batch.depth.device.type, torch.bfloat16, enabled=config.bf16):
        said = network(batch.images)
    return small_losses.losses(said, batch, config.network.multiple)


def small_figures(network: nn.Module, config: Training) -> dict[str, float]:
    found = {views: measured(network, validation(config.validation_scenes, views, (SIZE, SIZE))) for views in VIEWS}
    return {f"{name}_{views}": value for views, f in found.items() for name, value in asdict(f).items()}


def small_score(found: dict[str, float]) -> float:
    return sum(found[f"auc30_{views}"] - found[f"abs_rel_{views}"] for views in VIEWS)


def small_preview(network: nn.Module, config: Training, path: Path) -> None:
    scenes = validation(min(PICTURED, config.validation_scenes), VIEWS[0], (SIZE, SIZE))
    write_picture(depth_rows(network, scenes), path)


def joint_loss(
    network: nn.Module, batch: Batch, config: Training, generators: Sequence[Generator]
) -> joint_losses.Losses:
    assert isinstance(config.network, JointConfig)
    given = joint_losses.given_of(batch, generators)
    perceptual = joint_losses.perceptual_of(config.perceptual, str(batch.depth.device))
    step, seed = config.network.step, generators[0].initial_seed()
    return joint_losses.losses(network, given, step, config.refined_steps, seed, perceptual)


def joint_pictures(network: nn.Module, config: Training, views: int, count: int) -> list[tuple[Tensor, Tensor]]:
    """Of held-out scenes the views between the inputs, as drawn and as they are [T, 3, H, W]."""
    device = next(network.parameters()).device
    pairs = []
    for i, batch in enumerate(validation(count, views, (JOINT_SIZE, JOINT_SIZE), as_photos=False, device=device)):
        given = joint_losses.given_of(batch, [Generator(device).manual_seed(i)])
        found, _ = network(given.inputs, joint_losses.anchors_of(given))
        drawn = joint_losses.drawn(found, 0, given.camera_from_world[0], given.K[0], given.images)
        pairs.append((drawn.clamp(0, 1).cpu(), given.images[0].cpu()))
    return pairs


def joint_figures(network: nn.Module, config: Training) -> dict[str, float]:
    found = {views: joint_pictures(network, config, views, config.validation_scenes) for views in JOINT_VIEWS}
    return {f"psnr_{views}": round(sum(psnr(*p) for p in pairs) / len(pairs), 3) for views, pairs in found.items()}


def joint_score(found: dict[str, float]) -> float:
    return sum(found[f"psnr_{views}"] for views in JOINT_VIEWS)


def joint_preview(network: nn.Module, config: Training, path: Path) -> None:
    pairs = joint_pictures(network, config, JOINT_VIEWS[0], min(PICTURED, config.validation_scenes))
    write_picture([torch.cat([*drawn, *truth], -1) for drawn, truth in pairs], path)


def da3_loss(
    network: nn.Module, batch: Batch, config: Training, generators: Sequence[Generator]
) -> published_losses.Da3Losses:
    return published_losses.da3_losses(network, batch, config.bf16)


def vggt_loss(
    network: nn.Module, batch: Batch, config: Training, generators: Sequence[Generator]
) -> published_losses.VggtLosses:
    return published_losses.vggt_losses(network, batch, config.bf16)


def published_figures(network: nn.Module, config: Training) -> dict[str, float]:
    return small_figures(published_losses.AsSmall(network), config)


def published_preview(network: nn.Module, config: Training, path: Path) -> None:
    small_preview(published_losses.AsSmall(network), config, path)


TASKS = {
    SmallConfig: Task("recon3d-small", SmallNetwork, True, small_loss, small_figures, small_score, small_preview),
    JointConfig: Task("recon3d-joint", Joint, False, joint_loss, joint_figures, joint_score, joint_preview),
    Da3Config: Task(
        "da3-small", published_losses.da3, True, da3_loss, published_figures, small_score, published_preview,
        unused=("cam_enc.", "gs_head."),
    ),
    VggtConfig: Task(
        "vggt-1b", published_losses.vggt, True, vggt_loss, published_figures, small_score, published_preview,
        unused=("track_head.",),
    ),
}  # fmt: skip
