"""`recon3d COMMAND ...`: finds the command's file, runs it, and turns what goes wrong into one line and an exit code."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import threading
import traceback

from recon3d.cli.termination import CODE, terminable
from recon3d.errors import InputError, of_system
from recon3d.version import __version__

# Command -> (module with a function main(arguments: list[str]) -> None, what it does). In the order of the help page.
COMMANDS = {
    "run": ("recon3d.cli.run", "photos, a video or a posed folder to a scene: recon3d run photos/ --out scene.ply"),
    "batch": ("recon3d.cli.batch", "a folder of captures to a folder of scenes: recon3d batch captures/ --out scenes/"),
    "render": (
        "recon3d.cli.render",
        "a scene to pictures or a film: recon3d render scene.ply --cameras cameras.json --out renders/",
    ),
    "locate": ("recon3d.cli.locate", "the cameras of more photos in a finished scene: recon3d locate out/ new.jpg"),
    "view": ("recon3d.cli.view", "a scene in the browser: recon3d view scene.ply, or recon3d view out/"),
    "export": ("recon3d.cli.export", "a scene to another format, checked: recon3d export scene.ply scene.sog"),
    "info": ("recon3d.cli.info", "what a splat file holds: recon3d info scene.ply"),
    "weights": ("recon3d.cli.weights", "weights of networks: list, pull, verify, convert; recon3d weights list"),
    "synth": ("recon3d.cli.synth", "procedural scenes with exact cameras and depth: recon3d synth FOLDER --scenes 10"),
    "train": ("recon3d.cli.train", "networks on procedural scenes and data sets: recon3d train FOLDER --minutes 60"),
    "eval": ("recon3d.cli.eval", "methods measured beside COLMAP: recon3d eval poses scenes/ --methods colmap --out report/"),
    "data": ("recon3d.cli.data", "data sets checked and converted: recon3d data check ROOT"),
    "doctor": ("recon3d.cli.doctor", "what works on this machine, and how to turn on what does not"),
}
FAREWELLS = {  # what is said when a command is interrupted
    "run": "interrupted, nothing was written. The same command with --resume goes on from the last finished stage",
    "batch": "interrupted; the same command goes on from here",
    "train": "interrupted; the same command goes on from the steps that training.pt in its folder holds",
    "eval": "interrupted; what was measured is in the folder of --out, and the same command measures the rest",
}
GOING_ON = {  # what is said beside how to mend a full disk
    "run": ". After that the same command with --resume goes on from the last finished stage",
    "batch": ". After that the same command goes on from here",
}
INTERRUPTED = 128 + 2  # by Ctrl-C, as shells count
ISSUES = "https://github.com/recon3d/recon3d-toolkit/issues"


def help_page() -> str:
    rows = "\n".join(f"  {name:8} {about}" for name, (_, about) in COMMANDS.items())
    return f"""usage: recon3d COMMAND ...

Photos or a video to a 3D scene, on any machine.

{rows}

recon3d COMMAND --help tells about one of them; recon3d --version the version."""


def main(arguments: list[str] | None = None) -> None:
    """The console script: ends the process with 0, 2 for what the user can mend, 1 for a bug of ours, 130 for Ctrl-C and
    143 for SIGTERM."""
    code = outcome(sys.argv[1:] if arguments is None else arguments)
    if code in (INTERRUPTED, CODE):  # a kernel that compiles beside is not waited for: whoever stops us may kill in seconds
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def outcome(arguments: list[str]) -> int:
    command = arguments[0] if arguments else ""
    farewell = "recon3d: " + FAREWELLS.get(command, "interrupted, nothing was written")
    asked = threading.Event()
    try:
        with terminable(farewell, asked):
            dispatch(arguments)
    except InputError as error:
        print(f"recon3d: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(farewell, file=sys.stderr)
        return CODE if asked.is_set() else INTERRUPTED
    except BrokenPipeError:  # the reader of our output, as `head`, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        mendable = of_system(error, GOING_ON.get(command, "")) if isinstance(error, OSError) else None
        if mendable is not None:
            print(f"recon3d: error: {mendable}", file=sys.stderr)
            return 2
        traceback.print_exc()
        print(
            f"recon3d: this is a bug in recon3d {__version__}. Please report the lines above: {ISSUES}", file=sys.stderr
        )
        return 1
    return 0


def dispatch(arguments: list[str]) -> None:
    first = arguments[0] if arguments else "--help"
    if first in ("-h", "--help"):
        print(help_page())
    elif first == "--version":
        print(f"recon3d {__version__}")
    elif first in COMMANDS:
        importlib.import_module(COMMANDS[first][0]).main(arguments[1:])
    else:
        raise InputError("command line", f"'{first}' is no command", f"The commands are {', '.join(COMMANDS)}")
