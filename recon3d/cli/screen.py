"""What a person sees: bars on a terminal, plain lines elsewhere, JSON lines for programs, and the table at the end."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from recon3d.progress import Event

Listener = Callable[[Event], None]


@contextmanager
def listening(as_json: bool) -> Iterator[Listener]:
    """A listener that shows events on stderr until the block ends."""
    if as_json:
        yield json_lines
    elif sys.stderr.isatty():
        with bars() as listener:
            yield listener
    else:
        yield plain_lines()


def json_lines(event: Event) -> None:
    if event.kind == "snapshot":
        return
    line = {"kind": event.kind, "text": event.text, "done": event.done, "total": event.total}
    print(json.dumps(line, ensure_ascii=False), file=sys.stderr, flush=True)


def plain_lines(interval: float = 5.0) -> Listener:
    """A line when a stage begins, a line every `interval` seconds of it, and the notes as warnings."""
    last = time.monotonic()

    def show(event: Event) -> None:
        nonlocal last
        if event.kind == "stage" and not event.done:
            print(f"recon3d: {event.text}", file=sys.stderr, flush=True)
            last = time.monotonic()
        elif event.kind == "advance" and event.total and time.monotonic() - last > interval:
            print(f"recon3d:   {event.text} {event.done:.0f} of {event.total:.0f}", file=sys.stderr, flush=True)
            last = time.monotonic()
        elif event.kind == "note":
            print(f"recon3d: warning: {event.text}", file=sys.stderr, flush=True)

    return show


@contextmanager
def bars() -> Iterator[Listener]:
    """One bar for each stage, with the time left."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description:>12}"),
        BarColumn(),
        TextColumn("{task.fields[what]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as shown:
        task = None

        def show(event: Event) -> None:
            nonlocal task
            if event.kind == "stage" and not event.done:
                task = shown.add_task(event.text, total=None, what="")
            elif event.kind == "stage" and task is not None:
                shown.update(task, total=1, completed=1, what="")
            elif event.kind == "advance" and task is not None:
                shown.update(task, total=event.total or None, completed=event.done, what=event.text)
            elif event.kind == "note":
                shown.console.print(f"recon3d: warning: {event.text}", markup=False, highlight=False, soft_wrap=True)

        yield show


def print_json(document: dict[str, Any]) -> None:
    """A report on stdout, for programs."""
    print(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False))


def table(rows: list[tuple[str, str]]) -> None:
    """Two columns on stdout; a name is shown once for the rows that share it."""
    width = max(len(name) for name, _ in rows)
    before = ""
    for name, value in rows:
        print(f"{'' if name == before else name:<{width}}  {value}")
        before = name
