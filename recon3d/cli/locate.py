"""`recon3d locate`: the cameras of further photos in a finished scene."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from recon3d.atomic import refuse_existing
from recon3d.cli.options import parse
from recon3d.cli.screen import listening, print_json, table
from recon3d.errors import InputError, check_exists
from recon3d.progress import Progress

if TYPE_CHECKING:
    from recon3d.pipeline.locate import Locations
    from recon3d.sfm.locating import Located

ABOUT = "Where further photos were taken, in the world of a finished scene: by matching them against its photos."


@dataclass(frozen=True)
class Options:
    scene: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="SCENE")]
    """The folder of a run."""
    photos: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PHOTO")]
    """Photos, or a folder of photos; their lens may be another one than that of the scene's photos."""
    out: Path | None = None
    """A cameras.json for the cameras that were found, which `recon3d render --cameras` reads."""
    overwrite: bool = False
    """Replace what is there."""
    seed: int | None = None
    """Makes the result repeatable, byte for byte; matching then runs on one thread."""
    json: bool = False
    """Print what was found as JSON on stdout, progress as JSON lines on stderr."""


def main(arguments: list[str]) -> None:
    options = parse(Options, "locate", arguments, ABOUT)
    for path in (options.scene, *options.photos):
        check_exists(path)
    if not options.photos:
        raise InputError("recon3d locate", "no photo was given", "Name one after the scene")
    if options.out is not None:
        if options.out.suffix.lower() != ".json":
            raise InputError("--out", f"'{options.out.name}' is no name of a cameras.json", "Give a name ending in .json")
        refuse_existing(options.out, options.overwrite)

    from recon3d.pipeline.locate import locate, write

    with listening(as_json=options.json) as listener:
        found = locate(options.scene, options.photos, options.seed, Progress(listener))
        if options.out is not None:
            write(found, options.out, options.overwrite)
    if options.json:
        print_json(found.report())
        return
    rows = [row for photo in found.photos for row in rows_of(photo, found)]
    table(rows + ([("written", str(options.out))] if options.out is not None else []))


def rows_of(photo: Located, found: Locations) -> list[tuple[str, str]]:
    """Where a photo was taken, by what, and how sure that is."""
    if photo.refused is not None or photo.lens is None:
        return [(photo.name, f"not located: {photo.refused}")]
    x, y, z = of_digits(photo.center, photo.center_deviation)
    unit = " m" if found.unit == "metres" else ""
    share = photo.center_deviation / found.size if found.size > 0 else 0.0
    focal = f"{photo.lens.param('fx'):.0f} px"
    sure = f" ± {photo.focal_deviation:.1%}" if photo.focal_deviation > 0 else ""
    return [
        (photo.name, f"at ({x}, {y}, {z}){unit} ± {photo.center_deviation:.2g}{unit} ({share:.2%} of the scene's size)"),
        (photo.name, f"{photo.matches} matches with {photo.photos} photos, off by {photo.error:.2f} px (median)"),
        (photo.name, f"{photo.agreement:.1%} of {photo.held_back} matches that were held back agree"),
        (photo.name, f"focal length {focal}{sure} ({photo.lens_source})"),
    ]


def of_digits(center: tuple[float, float, float], deviation: float) -> list[str]:
    """Coordinates with one digit more than is sure."""
    digits = 4 if deviation <= 0 else min(9, max(0, 1 - math.floor(math.log10(deviation))))
    return [f"{value:.{digits}f}" for value in center]
