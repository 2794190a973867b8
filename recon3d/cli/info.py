"""`recon3d info`: what a splat file holds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from recon3d.cli.options import parse
from recon3d.cli.screen import print_json, table
from recon3d.pipeline.export import Coding
from recon3d.pipeline.info import info

ABOUT = "Counts, bounds, degree, mode, size and sanity of a splat file, or of the folder of a run."


@dataclass(frozen=True)
class Options:
    scene: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """A .ply, .sog, .spz, .glb or .splat, or the folder of a run."""
    coding: Coding
    json: bool = False
    """Print it as JSON on stdout."""


def main(arguments: list[str]) -> None:
    options = parse(Options, "info", arguments, ABOUT)
    found = info(options.scene, options.coding)
    if options.json:
        print_json(found)
        return

    # Four digits of the scene's size: far from zero, four of the coordinates would be the same for both corners.
    ends = found["low"] + found["high"]
    size = max(high - low for low, high in zip(found["low"], found["high"], strict=True))
    digits = max(4, 3 + math.ceil(math.log10(max(map(abs, ends)) / size))) if size > 0 and any(ends) else 4

    def corner(key: str) -> str:
        return "(" + ", ".join(f"{x:.{min(digits, 17)}g}" for x in found[key]) + ")"

    rows = [
        ("file", f"{found['file']}, {found['format']}, {found['bytes'] / 1e6:.2f} MB"),
        ("splats", f"{found['splats']}"),
        ("harmonics", f"degree {found['degree']}" + ("" if found["degree"] else ": no view-dependent colour")),
        ("mode", found["mode"]),
        ("axes", found["axes"]),
        ("bounds", f"{corner('low')} to {corner('high')}"),
        ("98 % within", f"{corner('low_of_98_percent')} to {corner('high_of_98_percent')}"),
        ("medians", f"scale {found['median_scale']:.4g}, opacity {found['median_opacity']:.2f}"),
        ("cameras", f"{found['cameras']}"),
    ]
    if any(found["origin"]):
        rows.insert(6, ("origin", f"{corner('origin')}, which the bounds include"))
    rows += [("note", note) for note in found["notes"]]
    table(rows)
