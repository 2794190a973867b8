"""`recon3d synth`: procedural scenes with exact cameras and depth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import tyro

from recon3d.atomic import atomic_folder, refuse_existing
from recon3d.cli.options import parse
from recon3d.cli.screen import listening
from recon3d.errors import InputError
from recon3d.progress import Progress

ABOUT = "Procedural scenes with exact cameras and depth. One seed makes the same scenes every time on one machine."
Item = TypeVar("Item")
MOST = {"scenes": 1_000_000, "views": 64, "width": 4096, "height": 4096, "samples": 8}


@dataclass(frozen=True)
class Options:
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
    """Where they go."""
    scenes: int = 1
    """How many."""
    views: int = 8
    """Pictures of each."""
    width: int = 640
    """Pixels."""
    height: int = 480
    """Pixels."""
    samples: int = 3
    """A pixel's colour is the mean of so many rays, squared."""
    seed: int = 0
    """Number i of a seed is the same scene however many are asked for."""
    format: Literal["folders", "colmap", "nerfstudio", "dl3dv", "chunks"] = "folders"
    """folders: images, depth, cameras.json and transforms.json for each scene. colmap: sparse/0 in place of these, with
    points. nerfstudio: transforms.json. dl3dv: as DL3DV is downloaded. chunks: as RealEstate10K's loaders read them."""
    overwrite: bool = False
    """Replace what is there."""


def main(arguments: list[str]) -> None:
    options = parse(Options, "synth", arguments, ABOUT)
    for name, most in MOST.items():
        if not 1 <= getattr(options, name) <= most:
            what = f"{getattr(options, name)} is not from 1 to {most}"
            raise InputError(f"--{name}", what, "Give a number in between")
    refuse_existing(options.out, options.overwrite)
    from recon3d.data.written import FORMATS, scenes

    size = (options.height, options.width)
    with listening(False) as show, atomic_folder(options.out, options.overwrite) as folder:
        progress = Progress(show)
        with progress.stage("scenes"):
            found = scenes(options.scenes, options.views, size, options.seed, options.samples)
            FORMATS[options.format](counted(found, options.scenes, progress), folder)
    print(f"{options.out}: {options.scenes} scenes of {options.views} views")


def counted(found: Iterable[Item], total: int, progress: Progress) -> Iterator[Item]:
    for i, item in enumerate(found):
        yield item
        progress.advance(i + 1, total, "scenes")
