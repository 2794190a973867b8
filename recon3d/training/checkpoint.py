"""Where a training stands, in one file that is whole or not there: going on from it is as if nothing had happened."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from recon3d.atomic import atomic_file
from recon3d.errors import InputError
from recon3d.models.checkpoints import RANDOM, STANDS
from recon3d.models.weights import table
from recon3d.training.config import Training

UNSEEN = ("save_minutes", "validate_steps", "validation_scenes")  # settings that no step sees
LENGTH = ("steps", "minutes")  # what the rate and the phases of the steps to come follow


@dataclass
class State:
    """What changes from step to step. All that is drawn at random follows from the seed and the step."""

    network: nn.Module
    ema: dict[str, Tensor]
    optimiser: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0
    scenes: int = 0
    began_from: str | None = None  # whose weights it began with; None: random ones
    usual_norm: float = 0.0  # of the gradients, by a running mean; 0: none was seen yet


def save(folder: Path, state: State, config: Training) -> None:
    content = {
        "network": state.network.state_dict(), "ema": state.ema, "optimiser": state.optimiser.state_dict(),
        "step": state.step, "seconds": state.seconds, "scenes": state.scenes, "usual_norm": state.usual_norm,
        "config": asdict(config), "began_from": state.began_from,
    }  # fmt: skip
    with atomic_file(folder / STANDS) as path:
        torch.save(content, path)


def origin_of(start: str) -> str:
    """Weights to begin with, the same wherever they are named from: their name, or where the file or folder lies."""
    return start if start in (RANDOM, *table()) else str(Path(start).resolve())


def resume(folder: Path, state: State, config: Training) -> list[str]:
    """Fill `state` from the file. Returns what is told of settings that may change on the way. Raises InputError where another
    config wrote it, or where it began with other weights than `state.began_from`."""
    content: dict[str, Any] = torch.load(folder / STANDS, map_location="cpu", weights_only=True)
    before = asdict(Training()) | content["config"]  # a setting that came later had then what is its default now
    changed = [name for name, value in asdict(config).items() if before.get(name) != value]
    if differ := [name for name in changed if name not in (*UNSEEN, *LENGTH)]:
        what = f"it was trained with other settings: {', '.join(differ)}"
        raise InputError(folder / STANDS, what, "Use the same flags, or another folder")
    began_from = content.get("began_from", state.began_from)
    if state.began_from is not None and (began_from is None or origin_of(state.began_from) != origin_of(began_from)):
        what = f"the training that stands in it began with {began_from or 'random weights'}, not with {state.began_from}"
        raise InputError(folder / STANDS, what, "Leave --from out to go on with it, or use another folder")
    state.network.load_state_dict(content["network"])
    state.optimiser.load_state_dict(content["optimiser"])
    for name, value in content["ema"].items():
        state.ema[name].copy_(value)
    state.step, state.seconds, state.scenes = content["step"], content["seconds"], content["scenes"]
    state.usual_norm, state.began_from = content["usual_norm"], began_from
    return [f"{name} was {before[name]} and is {getattr(config, name)} from here on" for name in LENGTH if name in changed]
