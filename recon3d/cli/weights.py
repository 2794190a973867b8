"""`recon3d weights`: published weights listed, fetched, checked and converted."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from recon3d.cli.options import act, parse
from recon3d.cli.screen import listening, print_json, table
from recon3d.progress import Progress

HELP = """usage: recon3d weights ACTION ...

Published weights of networks, under their own licences.

  list               what there is: sizes, licences, what each is for
  pull KEY           download into the hub's cache, and check the SHA-256
  verify FILE        does a file fit its network? --explain prints a table to paste into a report
  convert IN OUT     any checkpoint to .safetensors, without running anything in it

recon3d weights ACTION --help tells about one of them."""


@dataclass(frozen=True)
class ListOptions:
    json: bool = False
    """Print the rows as JSON on stdout."""


@dataclass(frozen=True)
class PullOptions:
    key: Annotated[str, tyro.conf.Positional]
    """A name from `recon3d weights list`."""
    json: bool = False
    """Print where it lies as JSON on stdout."""


@dataclass(frozen=True)
class VerifyOptions:
    file: Annotated[str, tyro.conf.Positional]
    """A checkpoint, a folder with one, or a name from `recon3d weights list`."""
    network: str | None = None
    """The name of the network that it is for; without it the one that it looks like."""
    explain: bool = False
    """Print every tensor and what became of it."""
    json: bool = False
    """Print everything as JSON on stdout."""


@dataclass(frozen=True)
class ConvertOptions:
    source: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="IN")]
    """A checkpoint: .pt, .pth or .safetensors."""
    target: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """A name ending in .safetensors."""
    overwrite: bool = False
    """Replace what is there."""


def main(arguments: list[str]) -> None:
    act("weights", arguments, ACTIONS, HELP)


def show_list(arguments: list[str]) -> None:
    options = parse(ListOptions, "weights list", arguments, "Published weights: sizes, licences, what each is for.")
    from recon3d.pipeline.weights import listed

    rows = listed()
    if options.json:
        print_json({"weights": rows})
        return
    for row in rows:
        size = f"{row['bytes'] / 1e9:.2f} GB" if row["bytes"] else "size unknown"
        use = "any use" if row["commercial"] else "no commercial use"
        print(f"{row['key']:20} {size:13} {row['licence']} ({use})\n{'':20} {row['about']}")
        print(f"{'':20} {row['repository']}: {row['file']}")


def pull(arguments: list[str]) -> None:
    options = parse(PullOptions, "weights pull", arguments, "Download published weights into the hub's cache.")
    from recon3d.pipeline.weights import pull

    with listening(as_json=options.json) as listener:
        found = pull(options.key, Progress(listener))
    if options.json:
        print_json(found)
    else:
        table([(name, str(value)) for name, value in found.items()])


def verify(arguments: list[str]) -> None:
    options = parse(VerifyOptions, "weights verify", arguments, "Check a checkpoint against its network.")
    from recon3d.pipeline.weights import verify

    found = verify(options.file, options.network)
    if options.json:
        print_json(found)
    else:
        if options.explain:
            print("| tensor | shape | type | what it is |\n| --- | --- | --- | --- |")
            for line in found["lines"]:
                print(f"| {line['name']} | {list(line['shape'])} | {line['type']} | {line['state']} |")
        counts = ("used", "dropped", "twins", "unknown", "missing", "misshapen")
        table([(name, str(found[name])) for name in ("file", "network", "licence", "tensors", *counts)])
    if not found["complete"]:
        sys.exit(2)


def convert(arguments: list[str]) -> None:
    options = parse(ConvertOptions, "weights convert", arguments, "Rewrite a checkpoint as .safetensors.")
    from recon3d.pipeline.weights import convert

    found = convert(options.source, options.target, options.overwrite)
    table([("written", f"{found['file']}, {found['bytes'] / 1e6:.1f} MB, {found['tensors']} tensors")])


ACTIONS: dict[str, Callable[[list[str]], None]] = {
    "list": show_list, "pull": pull, "verify": verify, "convert": convert,
}  # fmt: skip
