"""One decorator for every numba kernel of the toolkit, and the one way to spread a kernel over threads.

Imported by files that hold kernels only: importing this loads numba.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

import numba

# Fast arithmetic without "nnan" and "ninf": comparisons keep their meaning, so NaN and infinity are seen.
FAST_MATH = {"contract", "reassoc", "arcp", "nsz", "afn"}

_kernels: list[Any] = []
_threads: ContextVar[int | None] = ContextVar("recon3d_threads", default=None)
_pool: ThreadPoolExecutor | None = None


def _probe() -> None:
    """Never called: numba looks for a cache folder when it decorates, and raises where none is writable."""


def _cache_is_writable() -> bool:
    try:
        numba.njit(cache=True)(_probe)
    except RuntimeError:
        return False
    return True


CACHE = _cache_is_writable()


def kernel(function: Callable) -> Any:
    """Compile at first use, keep in the cache where a folder is writable, run without the interpreter lock.

    A kernel works on items [begin, end) of its first two arguments and is started by `run`. It is not
    numba-parallel: that takes three times as long to compile, aborts when two Python threads meet in it, and
    cannot be forked.
    """
    compiled = numba.njit(nogil=True, cache=CACHE, error_model="numpy", fastmath=FAST_MATH)(function)
    _kernels.append(compiled)
    return compiled


def part(function: Callable) -> Any:
    """A piece of a kernel, always inlined by LLVM."""
    return numba.njit(nogil=True, error_model="numpy", fastmath=FAST_MATH, forceinline=True)(function)


def called(function: Callable) -> Any:
    """A piece that is too large to be inlined wherever it is called."""
    return numba.njit(nogil=True, error_model="numpy", fastmath=FAST_MATH)(function)


def compiled() -> bool:
    """Whether every kernel imported so far has been compiled, or loaded from the cache, in this process."""
    return all(kernel.signatures for kernel in _kernels)


def threads() -> int:
    """How many threads `run` uses: all cores, or NUMBA_NUM_THREADS, or what `use_threads` says."""
    return _threads.get() or numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]


@contextlib.contextmanager
def use_threads(count: int) -> Iterator[None]:
    """Kernels started by this Python thread inside the block run on `count` threads."""
    token = _threads.set(count)
    try:
        yield
    finally:
        _threads.reset(token)


def run(kernel: Callable, count: int, *arguments: Any, grain: int = 1) -> None:
    """Call `kernel(begin, end, *arguments)` over the items [0, count), on several threads.

    Items are handed out in blocks of a multiple of `grain` as threads become free, so which thread computes an
    item is left to chance: a kernel's result may not depend on where blocks begin. Several Python threads may be
    here at once; they share the pool.
    """
    workers = min(threads(), -(-count // grain))
    if workers <= 1:
        if count:
            kernel(0, count, *arguments)
        return
    # Eight blocks for each thread: enough to even out, few enough that starting them costs nothing.
    block = -(-count // (8 * workers * grain)) * grain
    turns = itertools.count()

    def work() -> None:
        while (begin := next(turns) * block) < count:
            kernel(begin, min(begin + block, count), *arguments)

    others = [_workers().submit(work) for _ in range(workers - 1)]
    work()
    for other in others:
        other.result()


def _workers() -> ThreadPoolExecutor:
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(max(os.cpu_count() or 1, numba.config.NUMBA_NUM_THREADS), "recon3d")  # type: ignore[attr-defined]
    return _pool


def _forget_pool() -> None:
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)  # threads do not survive a fork
