"""`recon3d train`: networks trained on procedural scenes and on data sets, on a CPU, a GPU, or several."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from recon3d.cli.options import parse
from recon3d.errors import InputError
from recon3d.training.config import RECIPES, Training

ABOUT = """Train recon3d-small, DA3 or VGGT (cameras and depth), or recon3d-joint (Gaussians), on procedural scenes, made as
they are needed, and on data sets: --data re10k=2 photos=1 --procedural 1 draws half of the scenes from re10k. Every field of
the recipe is a flag. A folder in which a training stands is gone on with, to the step. Under torchrun each process takes a
part of every step."""


@dataclass(frozen=True)
class Recipe:
    """The flag that decides what all others have for defaults."""

    recipe: str = "small-cpu"


@dataclass(frozen=True)
class Options:
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
    """Where the checkpoint, the figures (metrics.jsonl) and the weights go."""
    training: Annotated[Training, tyro.conf.arg(name=""), tyro.conf.AvoidSubcommands]
    recipe: Literal[
        "small-cpu", "small-gpu", "tiny", "joint-cpu", "joint-gpu", "tiny-joint", "da3-small", "da3-base", "vggt-1b"
    ] = "small-cpu"
    """What the other flags change."""
    start: Annotated[str | None, tyro.conf.arg(name="from")] = None
    """Weights to begin with: a file or folder, or a name of `recon3d weights list`, as recon3d-small or da3-base."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where it is trained."""


def main(arguments: list[str]) -> None:
    recipe = recipe_in(arguments)
    if recipe not in RECIPES:
        raise InputError("--recipe", f"'{recipe}' is no recipe", f"The recipes are {', '.join(RECIPES)}")
    default = Options(tyro.MISSING, RECIPES[recipe](), recipe)  # type: ignore[arg-type]
    options = parse(Options, "train", arguments, ABOUT, default)
    from recon3d.training.run import trained

    with processes() as device:
        trained(options.training, options.out, device or options.device, options.start)


def recipe_in(arguments: list[str]) -> str:
    """The recipe as tyro reads it, which parses the rest with that recipe's defaults. A flag without its word is left to the
    parse that follows, whose message names it."""
    try:
        return tyro.cli(Recipe, args=arguments, add_help=False, return_unknown_args=True, console_outputs=False)[0].recipe
    except SystemExit:
        return Recipe.recipe


@contextmanager
def processes() -> Iterator[str | None]:
    """Joined with the others where torchrun started this process; the device it then has."""
    if "LOCAL_RANK" not in os.environ:
        yield None
        return
    import torch

    cuda = torch.cuda.is_available()
    torch.distributed.init_process_group("nccl" if cuda else "gloo")
    try:
        yield f"cuda:{os.environ['LOCAL_RANK']}" if cuda else "cpu"
    finally:
        torch.distributed.destroy_process_group()
