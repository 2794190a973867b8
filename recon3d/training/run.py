"""A training from its flags to its weights: the device, what it starts from, and the files that it leaves."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from recon3d.atomic import atomic_file
from recon3d.errors import InputError
from recon3d.models.checkpoints import SIZES, STANDS, WRITTEN, checkpoint
from recon3d.models.config import values_of
from recon3d.models.joint.config import JointConfig
from recon3d.models.loading import accounted, tensors_of
from recon3d.models.meta import on_meta
from recon3d.models.weights import table
from recon3d.progress import Progress
from recon3d.training.checkpoint import origin_of
from recon3d.training.config import Training
from recon3d.training.joint_losses import perceptual_of
from recon3d.training.logs import Log
from recon3d.training.loop import process, train
from recon3d.training.posed_scenes import sources
from recon3d.training.tasks import task_of


def trained(config: Training, folder: Path, device: str, start: str | None, tell: Log = print) -> None:
    """Train, and write the running mean's weights into `folder`, in half precision. Raises InputError."""
    check(config)
    place = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    if place.startswith("cuda") and not torch.cuda.is_available():
        raise InputError("--device", "there is no CUDA device here", "Use --device cpu")
    begin = None if start is None or (folder / STANDS).exists() else beginning(start, config)
    state = train(config, folder, place, begin, tell, None if start is None else origin_of(start))
    if process()[0] == 0:
        write_weights(state.ema, folder / WRITTEN)
        (folder / SIZES).write_text(json.dumps(values_of(config.network), indent=1) + "\n")


def check(config: Training) -> None:
    """Raises InputError for what no training can be."""
    for name in ("steps", "rate", "validation_scenes", "validate_steps"):
        if not getattr(config, name) > 0:
            raise InputError(f"--{name.replace('_', '-')}", f"{getattr(config, name)} is not above 0", "Give a number above it")
    if [p.until for p in config.phases] != sorted(p.until for p in config.phases) or config.phases[-1].until != 1:
        raise InputError("--phases", "their ends do not grow to 1", "Let each end after the one before, the last at 1")
    if config.procedural < 0 or (config.procedural == 0 and not config.data):
        raise InputError("--procedural", f"{config.procedural} leaves nothing to learn from", "Give a weight above 0, or --data")
    if config.gap[0] > config.gap[1] or config.gap[0] < 0:
        raise InputError("--gap", f"{config.gap[0]} to {config.gap[1]} is no range of frames", "Give the least, then the most")
    if config.perceptual and not isinstance(config.network, JointConfig):
        raise InputError("--perceptual", "only the joint network draws pictures that it could judge", "Use --recipe joint-cpu")
    perceptual_of(config.perceptual, "cpu")
    sources(config.data)
    smallest = config.network.multiple * 2
    if min(p.size for p in config.phases) < smallest or min(p.views[0] for p in config.phases) < 2:
        what = f"a phase has pictures below {smallest} px or scenes of one view"
        raise InputError("--phases", what, "Use larger pictures, and two views or more")


def beginning(start: str, config: Training) -> dict[str, Tensor]:
    """The tensors of a file, or of published weights by their name. Raises InputError where they are of another network."""
    task, rows = task_of(config), table()
    key = start if start in rows else task.shipped
    row = rows[key]
    path = checkpoint(key, row, None if start == key else start, Progress()).path
    if path is None:
        raise InputError("--from", f"{start} weights are none to begin from", "Leave --from out")
    tensors = tensors_of(path)
    source = accounted(on_meta(lambda: task.build(config.network)), tensors, row.layout, str(path)).source
    return {name: tensors[stored].float() for name, stored in source.items()}


def write_weights(tensors: dict[str, Tensor], path: Path) -> None:
    with atomic_file(path) as temporary:
        save_file({name: x.half().contiguous().cpu() for name, x in tensors.items()}, temporary)
