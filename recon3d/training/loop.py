"""The one loop: scenes of a step, losses, a step of AdamW; figures and checkpoints in between. On a CPU, a GPU, or many.

What differs between kinds of networks stands in tasks.py.

Under torchrun every process takes its part of each step's scenes; gradients are averaged, so that the number of processes
changes nothing but rounding.
"""

from __future__ import annotations

import json
import math
import time
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from recon3d.data.batch import Batch
from recon3d.data.shots import Drawn
from recon3d.models.checkpoints import STANDS
from recon3d.training import scenes
from recon3d.training.checkpoint import State, resume, save
from recon3d.training.config import Training
from recon3d.training.interruption import held_back
from recon3d.training.logs import PREVIEW, Log, logger
from recon3d.training.posed_scenes import Taken
from recon3d.training.tasks import task_of, total

SPIKE = 10.0  # times the usual norm of gradients: such a step is left out
LOG_EVERY = 20  # steps


def train(
    config: Training, folder: Path, device: str, start: dict[str, Tensor] | None = None, tell: Log = print,
    began_from: str | None = None,
) -> State:  # fmt: skip
    """Train a network into `folder`, going on where it stands; `start`: tensors to begin from, `began_from`: whose they are.

    Returns the end. Where it is interrupted, every step so far is saved. Raises InputError and KeyboardInterrupt.
    """
    rank, world = process()
    place = torch.device(device)
    state = begun(config, place, start)
    state.began_from = began_from
    if (folder / STANDS).exists():
        for note in resume(folder, state, config):
            (tell if rank == 0 else nothing)({"step": state.step, "note": note})
    if rank == 0:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "training.json").write_text(json.dumps(asdict(config), indent=1) + "\n")
    ahead = scenes.Ahead(world) if place.type == "cuda" else None
    try:
        steps(config, folder, state, ahead, logger(folder, tell) if rank == 0 else nothing)
    except KeyboardInterrupt:
        if rank == 0:
            save(folder, state, config)
            tell({"step": state.step, "saved": STANDS})
        raise
    finally:
        if ahead is not None:
            ahead.pool.shutdown(cancel_futures=True)
    return state


def steps(config: Training, folder: Path, state: State, ahead: scenes.Ahead | None, log: Log) -> None:
    """All steps that are left. Interrupted, it leaves `state` as it is after a whole step: one process at once or when its
    step has ended, several all after the same step, since a step takes all of them."""
    rank, world = process()
    task, place = task_of(config), next(state.network.parameters()).device
    network = nn.parallel.DistributedDataParallel(state.network) if world > 1 else state.network
    passed_over: list[str] = []
    saved, began = time.monotonic(), time.monotonic() - state.seconds
    with held_back() if world > 1 else nullcontext(lambda: False) as asked:
        while (share := agreed(math.inf if asked() else progress(config, state), place)) < 1:
            what, drawn = next_scenes(config, state.step, share, ahead, rank, world)
            generators = scenes.generators_of(config, what, len(drawn), rank, place)
            batch = scenes.batch_of(drawn, task.as_photos, generators)
            passed_over += [reason for scene in drawn if isinstance(scene, Taken) for reason in scene.passed_over]
            with nullcontext() if world > 1 else held_back():
                found, norm = step(network, state, config, batch, generators, rate_at(config, share))
                state.step, state.scenes = state.step + 1, state.scenes + what.scenes
                state.seconds = time.monotonic() - began
            if state.step % LOG_EVERY == 0:
                log({"step": state.step, "share": round(share, 4), "seconds": round(state.seconds, 1),
                     "scenes": state.scenes, "norm": round(norm, 3), **rounded(found), **told(passed_over)})  # fmt: skip
                passed_over.clear()
            last = progress(config, state) >= 1
            if state.step % config.validate_steps == 0 or last:
                log({"step": state.step, "scenes": state.scenes, **validated(state, config, folder, rank)})
            if rank == 0 and (last or time.monotonic() - saved > 60 * config.save_minutes):
                save(folder, state, config)
                saved = time.monotonic()
    if share == math.inf:
        raise KeyboardInterrupt


def begun(config: Training, device: torch.device, start: dict[str, Tensor] | None) -> State:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = task_of(config).build(config.network)
    if start is not None:
        network.load_state_dict(start)
    network = network.to(device)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(not name.startswith((*task_of(config).unused, *config.frozen)))
    decayed = [p for p in network.parameters() if p.requires_grad and p.dim() > 1]
    plain = [p for p in network.parameters() if p.requires_grad and p.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, config.rate, betas=(0.9, 0.95), fused=True)
    return State(network, {name: x.detach().clone() for name, x in network.state_dict().items()}, optimiser)


def progress(config: Training, state: State) -> float:
    """The share of the training that is done, by wall time or by steps."""
    return state.seconds / (60 * config.minutes) if config.minutes else state.step / config.steps


def rate_at(config: Training, share: float) -> float:
    """Up linearly, then down by a cosine (Loshchilov & Hutter 2017)."""
    if share < config.warm_up:
        return config.rate * (share / config.warm_up * 0.99 + 0.01)
    along = (share - config.warm_up) / (1 - config.warm_up)
    return config.rate * (config.last_rate + (1 - config.last_rate) * 0.5 * (1 + math.cos(math.pi * along)))


def next_scenes(
    config: Training, step: int, share: float, ahead: scenes.Ahead | None, rank: int, world: int
) -> tuple[scenes.Asked, list[Drawn | Taken]]:
    """What a step asks for, and this process's part of its scenes."""
    steps = range(step, step + (scenes.AHEAD if ahead is not None else 1))
    asked = [scenes.asked(config, s, share) for s in steps]
    if ahead is not None:
        return ahead.drawn_for(config, asked, rank, world)
    return asked[0], scenes.drawn_for(config, asked[0], rank, world)


def step(
    network: nn.Module, state: State, config: Training, batch: Batch, generators: list[torch.Generator], rate: float
) -> tuple[Any, float]:
    """One step of the network, its optimiser and its running mean; the losses, and the norm of the gradients."""
    found = task_of(config).losses(network, batch, config, generators)
    state.optimiser.zero_grad()
    total(found, config.weights).backward()
    norm = float(nn.utils.clip_grad_norm_(state.network.parameters(), config.clip))
    for group in state.optimiser.param_groups:
        group["lr"] = rate
    usual = state.usual_norm or norm
    if math.isfinite(norm) and norm < SPIKE * usual:
        state.optimiser.step()
        state.usual_norm = 0.98 * usual + 0.02 * min(norm, 2 * usual)
    keep = min(config.ema, (1 + state.step) / (10 + state.step))
    values = list(state.network.state_dict().values())
    torch._foreach_lerp_(  # type: ignore[attr-defined]
        list(state.ema.values()), values, 1 - keep
    )
    return found, norm


@torch.no_grad()
def validated(state: State, config: Training, folder: Path, rank: int) -> dict:
    """Figures of the running mean, per number of views; the first process measures, and leaves a picture."""
    if rank > 0:
        return {}
    network, task = averaged(state, config), task_of(config)
    task.preview(network, config, folder / PREVIEW)
    return task.figures(network, config)


def averaged(state: State, config: Training) -> nn.Module:
    network = task_of(config).build(config.network).to(next(state.network.parameters()).device)
    network.load_state_dict(state.ema)
    return network.eval()


def nothing(row: dict) -> None:
    """What processes tell that are not the first."""


def told(passed_over: list[str]) -> dict[str, Any]:
    """Of scenes of data sets that were of no use since the last row: how many, and the last one."""
    return {"passed_over": len(passed_over), "the_last": passed_over[-1]} if passed_over else {}


def rounded(found: Any) -> dict[str, float]:
    return {name: round(float(value.detach()), 4) for name, value in vars(found).items()}


def process() -> tuple[int, int]:
    """This process's number, and how many there are."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def agreed(share: float, device: torch.device) -> float:
    """The first process's share, for all: clocks differ. Infinite where any process says so."""
    if not dist.is_initialized():
        return share
    value = torch.tensor([share if dist.get_rank() == 0 or share == math.inf else -math.inf], dtype=torch.float64, device=device)
    dist.all_reduce(value, dist.ReduceOp.MAX)
    return float(value)
