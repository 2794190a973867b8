"""SIGTERM (docker stop, a cluster's scheduler) ends a command as Ctrl-C does, and also while compiled code does not return."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator

CODE = 128 + signal.SIGTERM  # as shells count
# Seconds in which the command may begin to end by itself. Python hears a signal only between two of its own instructions,
# and a call of COLMAP may take minutes; docker kills after ten.
GRACE = 5.0
SHOW_CURSOR = "\x1b[?25h"  # which bars have hidden


@contextlib.contextmanager
def terminable(farewell: str, asked: threading.Event) -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt while the block runs, so that whatever keeps its work at Ctrl-C keeps it here too, and
    sets `asked`. Where that is not heard in time, the process ends with `farewell`."""
    if threading.current_thread() is not threading.main_thread() or os.name == "nt":
        yield
        return
    heard = threading.Event()

    def raise_it(number: int, frame: object) -> None:
        heard.set()
        asked.set()
        raise KeyboardInterrupt

    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    threading.Thread(target=watch, args=(reader, heard, farewell), daemon=True).start()
    before, descriptor = signal.signal(signal.SIGTERM, raise_it), signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(descriptor)
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)
        os.close(writer)


def watch(reader: int, heard: threading.Event, farewell: str) -> None:
    """End the process where the main thread does not hear SIGTERM; until the other end of the pipe is closed.

    The interpreter writes the number of each signal into the pipe at once, whatever the main thread does.
    """
    while numbers := os.read(reader, 64):
        if signal.SIGTERM in numbers and not heard.wait(GRACE):
            print((SHOW_CURSOR if sys.stderr.isatty() else "") + farewell, file=sys.stderr, flush=True)
            os._exit(CODE)
        heard.clear()
    os.close(reader)
