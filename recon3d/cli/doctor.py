"""`recon3d doctor`: what works here."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from recon3d.cli.options import parse

ABOUT = "What works on this machine, and for what is off the command that turns it on."


@dataclass(frozen=True)
class Options:
    warm_up: bool = False
    """Compile what refines here now, gsplat too on a GPU, so that the first run does not."""
    json: bool = False
    """Print the rows as JSON."""


def main(arguments: list[str]) -> None:
    options = parse(Options, "doctor", arguments, ABOUT)

    from recon3d.pipeline.doctor import checks

    rows = checks()
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=1, ensure_ascii=False))
    else:
        for row in rows:
            print(f"{row.state:8} {row.part:18} {row.detail}" + (f"\n{'':28}{row.remedy}" if row.remedy else ""))
    if options.warm_up:
        from recon3d.reconstruction.refinement.refine import warm_up
        from recon3d.rendering.render import backend_for

        for backend in sorted({"cpu", backend_for()}):
            warm_up(backend)
        if not options.json:
            print("compiled: the next run starts at once")
