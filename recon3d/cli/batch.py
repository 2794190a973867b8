"""`recon3d batch`: a folder of captures to a folder of scenes."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from recon3d.cli.options import parse
from recon3d.cli.screen import plain_lines, table
from recon3d.errors import InputError
from recon3d.pipeline.batch import WHOLE, Batch, Row, batch, checked
from recon3d.pipeline.request import Request
from recon3d.pipeline.shards import Shard

ABOUT = "Every capture in a folder (a folder of photos, one with known cameras, a video) to a scene, as `recon3d run` makes it."


@dataclass(frozen=True)
class Options:
    captures: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="CAPTURES")]
    """The folder of captures."""
    request: Request
    out: Path
    """A folder for scenes: NAME/ for each capture, and batch.json, which tells what became of them. The same command goes on
    from what is there."""
    overwrite: bool = False
    """Make again scenes that were made with other flags."""
    shard: str = "1/1"
    """i/n: only the i-th of n parts, so that n processes or machines share the work."""
    ray: str | None = None
    """Spread captures by Ray: the ADDRESS of a cluster whose machines share the files, or auto, the one of this machine."""


def main(arguments: list[str]) -> None:
    """Exit code 2 where a capture failed, 1 where one met a bug."""
    options = parse(Options, "batch", arguments, ABOUT)
    asked = Batch(options.captures, options.out, options.request, options.overwrite)
    shard = Shard.parsed(options.shard)
    rows = made(shard, asked) if options.ray is None else made_by_ray(options.ray, shard, asked)
    tell(rows, asked)
    if any(row.traceback for row in rows):
        sys.exit(1)
    if any(row.status == "failed" for row in rows):
        sys.exit(2)


def made(shard: Shard, asked: Batch) -> list[Row]:
    """In plain lines, on a terminal too: bars of many scenes would fill it."""
    return batch(asked, shard, plain_lines())


def made_by_ray(address: str, shard: Shard, asked: Batch) -> list[Row]:
    """A task for each capture: a worker that dies costs the one that it was at."""
    from recon3d.pipeline.ray_tasks import on_ray

    if shard != Shard():
        raise InputError("--shard", "Ray makes shards of its own", "Give either --shard or --ray")
    parts = on_ray(address, len(checked(asked)), made, asked)
    return sorted((row for part in parts for row in part), key=lambda row: row.name)


def tell(rows: list[Row], asked: Batch) -> None:
    for row in rows:
        print(row.traceback, end="", file=sys.stderr)
    seen = [
        (row.name, f"{row.seconds:.1f} s, {row.paths[0]}" if row.status == "ok" else f"{row.status}: {row.why}")
        for row in rows
    ]
    counts = Counter(row.status for row in rows)
    total = ", ".join(f"{counts[status]} {status}" for status in ("ok", "failed", "skipped"))
    table([*seen, ("all", total), ("written", str(asked.scenes / WHOLE))])
