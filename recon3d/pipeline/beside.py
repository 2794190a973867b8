"""Work that goes on beside other work until its result is needed."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


def started(work: Callable[[], None]) -> Callable[[], None]:
    """Start `work` on a thread of its own; the function that is returned waits for its end, and raises what it raised."""
    pool = ThreadPoolExecutor(1, "recon3d-beside")
    future = pool.submit(work)
    pool.shutdown(wait=False)
    return future.result
