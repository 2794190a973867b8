"""A command's options from its frozen dataclass, by tyro; a wrong value becomes the one line that every error is."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections.abc import Callable, Mapping
from typing import TypeVar

import tyro

from recon3d.errors import InputError

Options = TypeVar("Options")
SWITCHES = {"--refine-cameras": ("on", ("auto", "on", "off"))}  # flags that may stand alone: what they then mean, their words


def parse(
    options: type[Options], command: str, arguments: list[str], about: str, default: Options | None = None
) -> Options:
    """The options given in `arguments`. Prints help and exits for --help; raises InputError for anything wrong.

    Where `default` is given, what is nested has flags with dots: --phases.0.size.
    """
    arguments = spelled_out(arguments)
    told = io.StringIO()
    nested = tyro.conf.OmitArgPrefixes if default is None else tyro.conf.FlagConversionOff
    config = (tyro.conf.FlagCreatePairsOff, nested, tyro.conf.DisallowNone)
    try:
        with contextlib.redirect_stderr(told):
            return tyro.cli(
                options, args=arguments, prog=f"recon3d {command}", description=about, config=config,
                default=tyro.MISSING_NONPROP if default is None else default,
            )  # fmt: skip
    except SystemExit as stop:
        if stop.code:
            raise InputError(
                f"recon3d {command}", one_line(told.getvalue()), f"recon3d {command} --help lists the flags"
            ) from None
        sys.exit(0)


def spelled_out(arguments: list[str]) -> list[str]:
    """Flags of SWITCHES that no word follows, with the word that they mean then."""
    found = []
    for i, argument in enumerate(arguments):
        found.append(argument)
        if argument in SWITCHES:
            meant, words = SWITCHES[argument]
            found += [] if arguments[i + 1 : i + 2] and arguments[i + 1] in words else [meant]
    return found


def act(command: str, arguments: list[str], actions: Mapping[str, Callable[[list[str]], None]], page: str) -> None:
    """Call the action that the first argument names, or print the help page. Raises InputError for another one."""
    first = arguments[0] if arguments else "--help"
    if first in ("-h", "--help"):
        print(page)
    elif first in actions:
        actions[first](arguments[1:])
    else:
        raise InputError(f"recon3d {command}", f"'{first}' is no action", f"The actions are {', '.join(actions)}")


def one_line(box: str) -> str:
    """The sentences of tyro's box, without its frame, its title, its pointer to the help page and the help texts in it."""
    text = []
    for row in box.splitlines():
        row = re.sub(r"[│╭╮╰╯]", "", row).strip()
        if row.startswith("─"):
            if text:
                break
            continue
        if row and (
            not text
            or not text[0].endswith(":")
            or row.startswith("-")
            or row.split()[0].isupper()
            or row.endswith(":")
        ):
            text.append(row)
    return " ".join(text) or "the arguments are not understood"
