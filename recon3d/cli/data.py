"""`recon3d data`: data sets checked and converted."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from recon3d.cli.options import act, parse
from recon3d.cli.screen import listening, print_json, table
from recon3d.progress import Progress

HELP = """usage: recon3d data ACTION ...

Data sets that evaluations use: chunks of RealEstate10K, ACID and DL3DV, scene folders of DL3DV, folders with cameras.

  check ROOT                                what is there, missing or damaged, and how to get it
  convert SOURCE DEST --to chunks|folders   the same in another form; pictures stay byte for byte

recon3d data ACTION --help tells about one of them."""
SHOWN = 3  # problems of a scene that are printed; --json has all


@dataclass(frozen=True)
class CheckOptions:
    root: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="ROOT")]
    """The folder of a data set."""
    json: bool = False
    """Print everything as JSON on stdout."""


@dataclass(frozen=True)
class ConvertOptions:
    source: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]
    """The folder of a data set."""
    target: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DEST")]
    """A new folder."""
    to: Literal["chunks", "folders"]
    """chunks: as RealEstate10K's loaders read them. folders: images and a cameras.json for each scene."""
    overwrite: bool = False
    """Replace what is there."""


def main(arguments: list[str]) -> None:
    act("data", arguments, ACTIONS, HELP)


def check(arguments: list[str]) -> None:
    """Exit code 2 where something is missing or damaged."""
    options = parse(CheckOptions, "data check", arguments, "What of a data set is there, missing or damaged.")
    from recon3d.data.check import check

    with listening(False) as show:
        found = check(options.root, Progress(show))
    if options.json:
        print_json(found)
    else:
        table([row for split in found["splits"] for row in _rows(split)])
    if not found["whole"]:
        sys.exit(2)


def _rows(split: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [
        ("kind", split["about"] + (f", {split['split']}" if split["split"] else "")),
        ("scenes", f"{split['scenes']} of {split['views']} views"),
        ("sizes", ", ".join(f"{size} ({count})" for size, count in split["sizes"].items()) or "none"),
        ("wrong", f"{len(split['wrong'])} scenes or files"),
    ]
    for scene in split["wrong"]:
        shown, more = scene["problems"][:SHOWN], len(scene["problems"]) - SHOWN
        rows += [(f"  {scene['scene']}", problem) for problem in shown]
        rows += [(f"  {scene['scene']}", f"and {more} more")] if more > 0 else []
    return [*rows, ("to get it", split["how_to_get"])]


def convert(arguments: list[str]) -> None:
    options = parse(ConvertOptions, "data convert", arguments, "A data set in another form.")
    from recon3d.data.convert import convert

    with listening(False) as show:
        progress = Progress(show)
        found = convert(options.source, options.target, options.to, options.overwrite, progress)
        for scene in found["skipped"]:
            progress.note(f"{scene['scene']}: {scene['reason']}. Left out")
    print(f"{options.target}: {found['scenes']} scenes of {found['views']} views, {len(found['skipped'])} left out")


ACTIONS: dict[str, Callable[[list[str]], None]] = {"check": check, "convert": convert}
