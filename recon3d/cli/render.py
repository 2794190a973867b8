"""`recon3d render`: a scene to pictures or a film."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from recon3d.cli.options import parse
from recon3d.cli.screen import listening, table
from recon3d.errors import InputError, check_exists
from recon3d.progress import Progress

ABOUT = "A splat file at the cameras of a file, or the folder of a run at its own, to PNGs or to a film."


@dataclass(frozen=True)
class Options:
    scene: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="SCENE")]
    """A .ply, .sog, .spz, .glb or .splat, or the folder of a run, which brings its cameras."""
    cameras: Path | None = None
    """A cameras.json, a transforms.json or a COLMAP model."""
    out: Path | None = None
    """Folder for one PNG for each camera, under its photo's name."""
    fly_through: Path | None = None
    """An .mp4 along a smooth path through the cameras, in the order of their names."""
    seconds: float = 10.0
    """Length of the film."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where splats are rendered."""
    overwrite: bool = False
    """Replace what is there."""


def main(arguments: list[str]) -> None:
    options = parse(Options, "render", arguments, ABOUT)
    if options.out is None and options.fly_through is None:
        raise InputError(
            "--out", "neither --out nor --fly-through says what to make", "Give a folder, or the name of an .mp4"
        )
    if not 0 < options.seconds <= 3600:
        raise InputError(
            "--seconds", f"{options.seconds:g} is no length of a film", "Give a number above 0, up to 3600"
        )
    check_exists(options.scene, "Give a splat file or the folder of a run")

    from recon3d.pipeline.render import render_film, render_pictures

    rows = []
    with listening(as_json=False) as listener:
        progress = Progress(listener)
        if options.out is not None:
            count = render_pictures(
                options.scene, options.cameras, options.out, options.overwrite, options.device, progress
            )
            rows.append(("written", f"{options.out}, {count} pictures"))
        if options.fly_through is not None:
            count = render_film(
                options.scene,
                options.cameras,
                options.fly_through,
                options.overwrite,
                options.seconds,
                options.device,
                progress,
            )
            rows.append(("written", f"{options.fly_through}, {count} frames"))
    table(rows)
