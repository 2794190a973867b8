"""A file that one process holds at a time, and that is free again when the process has ended, however it ended."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import BinaryIO


class HeldElsewhere(Exception):
    """Another process, or another part of this one, holds the file."""


def held(path: Path) -> BinaryIO:
    """The file, made with its folder where it is missing, and held until it is closed.

    Raises HeldElsewhere, and OSError where the file system has no locks.
    """
    while True:
        path.parent.mkdir(exist_ok=True)
        try:
            file = open(path, "ab")  # noqa: SIM115 (closed by whoever is given it)
        except FileNotFoundError:  # who had it has removed the folder since the line above
            continue
        try:
            _lock(file.fileno())
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                return file
        except FileNotFoundError:  # locked, but after it was removed: nobody else would see this lock
            pass
        except BaseException:
            file.close()
            raise
        file.close()


if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> None:
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except PermissionError as error:
            raise HeldElsewhere from error
else:
    import fcntl

    def _lock(handle: int) -> None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise HeldElsewhere from error
