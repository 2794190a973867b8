"""Ctrl-C and SIGTERM held back while a training's state belongs to no step, so that what is saved then is whole."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def held_back() -> Iterator[Callable[[], bool]]:
    """Signals that come inside the block raise KeyboardInterrupt at its end; what it yields tells whether one has come.

    Whoever listened before hears of them at once, so that nobody takes this process for one that does not answer. What is
    ignored stays so, and so does everything in a thread beside the main one, where Python handles no signals.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return

    def note(number: int, frame: object) -> None:
        asked.set()
        if callable(listener := before[number]):
            with contextlib.suppress(KeyboardInterrupt):
                listener(number, frame)

    before: dict[int, Any] = {n: now for n in SIGNALS if (now := signal.getsignal(n)) not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, note)
    try:
        yield asked.is_set
    finally:
        for number, listener in before.items():
            signal.signal(number, listener)
    if asked.is_set():
        raise KeyboardInterrupt
