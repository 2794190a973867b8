"""What a run is doing, as a stream of events, and the record of its stages: seconds and peak memory of each.

The pipeline writes to a `Progress`; bars, plain lines, JSON lines or a callback read it. Nothing here prints.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Event:
    """`stage`: a stage begins (text = its name) or ends (done = 1); `advance`: done of total; `note`: a line for the user;
    `snapshot`: an opaque payload (the scene so far) for a live viewer."""

    kind: Literal["stage", "advance", "note", "snapshot"]
    text: str = ""
    done: float = 0
    total: float = 0
    payload: Any = None


@dataclass(frozen=True)
class StageRecord:
    name: str
    seconds: float
    peak_mb: float  # largest resident memory of this process while the stage ran
    resumed: bool


class Progress:
    """Takes events and keeps the record of stages. `listener` gets every event; without one they go nowhere."""

    def __init__(self, listener: Callable[[Event], None] | None = None) -> None:
        self._listen = listener or (lambda event: None)
        self.stages: list[StageRecord] = []
        self.notes: list[str] = []
        self._resumed = False

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage and take its peak memory, also where it ends in an exception."""
        self._listen(Event("stage", name))
        self._resumed = False
        start = time.perf_counter()
        with peak_memory() as peak:
            try:
                yield
            finally:
                seconds = time.perf_counter() - start
                self.stages.append(StageRecord(name, seconds, peak(), self._resumed))
                self._listen(Event("stage", name, done=1))

    def resumed(self) -> None:
        """The stage that runs was finished by an earlier run and is only read."""
        self._resumed = True

    def advance(self, done: float, total: float, text: str = "") -> None:
        self._listen(Event("advance", text, done, total))

    def note(self, text: str) -> None:
        """A line for the user: something left out, chosen, or stepped down, and why. It goes into the report too."""
        self.notes.append(text)
        self._listen(Event("note", text))

    def snapshot(self, payload: Any) -> None:
        self._listen(Event("snapshot", payload=payload))


@contextmanager
def peak_memory(interval: float = 0.05) -> Iterator[Callable[[], float]]:
    """Largest resident memory (MB, 1e6 bytes) of this process inside the block, sampled every `interval` seconds."""
    import psutil

    process = psutil.Process()
    peak = process.memory_info().rss
    stop = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not stop.wait(interval):
            peak = max(peak, process.memory_info().rss)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()

    def value() -> float:
        return max(peak, process.memory_info().rss) / 1e6

    try:
        yield value
    finally:
        stop.set()
        thread.join()


def first_of(names: Sequence[str], most: int = 5) -> str:
    """At most so many names for a note, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
