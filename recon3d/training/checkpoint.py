"""Where a training stands, in one file that is whole or not there: going on from it is as if nothing had happened."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from recon3d.atomic import atomic_file
from recon3d.errors import InputError
from recon3d.models.checkpoints import STANDS
from recon3d.training.config import Training


@dataclass
class State:
    """What changes from step to step. All that is drawn at random follows from the seed and the step."""

    network: nn.Module
    ema: dict[str, Tensor]
    optimiser: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0
    scenes: int = 0
    usual_norm: float = 0.0  # of the gradients, by a running mean; 0: none was seen yet


def save(folder: Path, state: State, config: Training) -> None:
    content = {
        "network": state.network.state_dict(), "ema": state.ema, "optimiser": state.optimiser.state_dict(),
        "step": state.step, "seconds": state.seconds, "scenes": state.scenes, "usual_norm": state.usual_norm,
        "config": asdict(config),
    }  # fmt: skip
    with atomic_file(folder / STANDS) as path:
        torch.save(content, path)


def resume(folder: Path, state: State, config: Training) -> None:
    """Fill `state` from the file. Raises InputError where it was written by another config."""
    content: dict[str, Any] = torch.load(folder / STANDS, map_location="cpu", weights_only=True)
    told = asdict(Training()) | content["config"]  # a setting that came later had then what is its default now
    if told != asdict(config):
        differ = [k for k, v in asdict(config).items() if told.get(k) != v]
        what = f"it was trained with other settings: {', '.join(differ)}"
        raise InputError(folder / STANDS, what, "Use the same flags, or another folder")
    state.network.load_state_dict(content["network"])
    state.optimiser.load_state_dict(content["optimiser"])
    for name, value in content["ema"].items():
        state.ema[name].copy_(value)
    state.step, state.seconds, state.scenes = content["step"], content["seconds"], content["scenes"]
    state.usual_norm = content["usual_norm"]
