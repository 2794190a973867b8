"""`recon3d view`: a scene in the browser."""

from __future__ import annotations

import contextlib
import sys
import threading
import webbrowser
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TextIO

import tyro

from recon3d.cli.options import parse
from recon3d.errors import InputError

if TYPE_CHECKING:
    from recon3d.viewer.server import Shown

ABOUT = "A splat file, or the folder of a run with its cameras, photos and report, in the browser. Ctrl-C ends it."


@dataclass(frozen=True)
class Options:
    path: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="PATH")]
    """A .ply, .sog, .spz, .glb or .splat, or the folder of a run."""
    port: int = 0
    """Where to listen; 0 takes a free port."""
    host: str = "127.0.0.1"
    """Address to listen at. Beyond this machine, the address to open holds a token."""
    no_browser: bool = False
    """Print the address, open nothing."""
    axes: Literal["rdf", "rub", "luf", "rfu"] | None = None
    """Axes of a file that does not say them: y down (rdf), y up (rub, luf) or z up (rfu)."""


def main(arguments: list[str]) -> None:
    options = parse(Options, "view", arguments, ABOUT)
    if not 0 <= options.port <= 65535:
        raise InputError("--port", f"{options.port} is no port", "Give a number from 0 (any free port) to 65535")

    from recon3d.viewer.scene_data import open_scene
    from recon3d.viewer.server import Finished

    data, notes = open_scene(options.path, options.axes)
    for note in notes:
        print(f"recon3d: warning: {note}", file=sys.stderr)
    shown = served(Finished(data), options.path, options.host, options.port, not options.no_browser)
    with contextlib.suppress(KeyboardInterrupt), shown:  # Ctrl-C may come as soon as the address is told
        until_interrupted()


@contextlib.contextmanager
def served(
    shown: Shown, path: Path, host: str = "127.0.0.1", port: int = 0, browser: bool = True, screen: TextIO | None = None
) -> Iterator[None]:
    """A server of what is shown while the block runs; its address is told on `screen` (stdout) and opened."""
    from recon3d.viewer.server import Server

    with Server(shown, host, port) as server:
        print(f"{path} is shown, until Ctrl-C, at {server.address}", file=screen or sys.stdout, flush=True)
        if server.token:
            print("recon3d: whoever knows this address, token included, can see the scene", file=sys.stderr)
        if browser:
            webbrowser.open(server.address)
        yield


def until_interrupted() -> None:
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()
