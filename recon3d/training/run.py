"""A training from its flags to its weights: the device, what it starts from, and the files that it leaves."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from recon3d.atomic import atomic_file
from recon3d.errors import InputError
from recon3d.models.checkpoints import checkpoint
from recon3d.models.loading import accounted, tensors_of
from recon3d.models.meta import on_meta
from recon3d.models.small.config import SmallConfig
from recon3d.models.small.network import SmallNetwork
from recon3d.models.weights import table
from recon3d.progress import Progress
from recon3d.training.config import Training
from recon3d.training.logs import Log
from recon3d.training.loop import process, train

WEIGHTS = "model.safetensors"
SHIPPED = "recon3d-small"


def trained(config: Training, folder: Path, device: str, start: str | None, tell: Log = print) -> None:
    """Train, and write the running mean's weights into `folder`, in half precision. Raises InputError."""
    check(config)
    place = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    if place.startswith("cuda") and not torch.cuda.is_available():
        raise InputError("--device", "there is no CUDA device here", "Use --device cpu")
    begin = None if start is None else beginning(start, config.network)
    state = train(config, folder, place, begin, tell)
    if process()[0] == 0:
        write_weights(state.ema, folder / WEIGHTS)


def check(config: Training) -> None:
    """Raises InputError for what no training can be."""
    for name in ("steps", "rate", "validation_scenes", "validate_steps"):
        if not getattr(config, name) > 0:
            raise InputError(f"--{name.replace('_', '-')}", f"{getattr(config, name)} is not above 0", "Give a number above it")
    if [p.until for p in config.phases] != sorted(p.until for p in config.phases) or config.phases[-1].until != 1:
        raise InputError("--phases", "their ends do not grow to 1", "Let each end after the one before, the last at 1")
    smallest = config.network.patch * 2
    if min(p.size for p in config.phases) < smallest or min(p.views[0] for p in config.phases) < 2:
        what = f"a phase has pictures below {smallest} px or scenes of one view"
        raise InputError("--phases", what, "Use larger pictures, and two views or more")


def beginning(start: str, config: SmallConfig) -> dict[str, Tensor]:
    """The tensors of a file, or of the weights that are shipped. Raises InputError where they are of another network."""
    row = table()[SHIPPED]
    path = checkpoint(SHIPPED, row, None if start == SHIPPED else start, Progress()).path
    assert path is not None
    tensors = tensors_of(path)
    source = accounted(on_meta(lambda: SmallNetwork(config)), tensors, row.layout, str(path)).source
    return {name: tensors[stored].float() for name, stored in source.items()}


def write_weights(tensors: dict[str, Tensor], path: Path) -> None:
    with atomic_file(path) as temporary:
        save_file({name: x.half().contiguous().cpu() for name, x in tensors.items()}, temporary)
