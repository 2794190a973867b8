"""The one error that is the user's to mend. Everything else that is raised is a bug of ours."""

from __future__ import annotations

import errno
from pathlib import Path

# What the system answers where a user can mend it: what to say of a path, and what to do.
FORBIDDEN = ("it may not be used", "Give a path that you may write to, and files that you may read")
MENDABLE = {
    errno.ENOSPC: ("it cannot be written", "Make room there"),
    errno.EDQUOT: ("it cannot be written", "Make room there: your share of it is used up"),
    errno.EROFS: ("it cannot be written", "Give a path that can be written to"),
    errno.EACCES: FORBIDDEN,
    errno.EPERM: FORBIDDEN,
}
FULL = (errno.ENOSPC, errno.EDQUOT)


class InputError(Exception):
    """Something given to recon3d cannot be used: shown as one line, `WHERE: WHAT. REMEDY`, with exit code 2.

    `where` is the file, folder or flag as the user wrote it, `what` is wrong with it, `remedy` what to do.
    """

    def __init__(self, where: str | Path, what: str, remedy: str) -> None:
        self.where, self.what, self.remedy = str(where), what, remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        line = f"{self.where}: {self.what.rstrip('.')}. {self.remedy.rstrip('.')}."
        return " ".join(line.split())

    def __reduce__(self):
        return InputError, (self.where, self.what, self.remedy)


def of_system(error: OSError, more: str = "") -> InputError | None:
    """A full disk or a forbidden place as an InputError; None for what is a bug of ours. `more` stands after the remedy of a
    full disk, where the same command goes on: it would ask for the forbidden place again."""
    if error.errno not in MENDABLE:
        return None
    what, remedy = MENDABLE[error.errno]
    return InputError(error.filename or "output", f"{what} ({error.strerror})", remedy + (more if error.errno in FULL else ""))


def check_exists(path: Path, remedy: str = "Check the path") -> None:
    """Raise InputError where nothing lies at `path`."""
    if not path.exists():
        raise InputError(path, "there is no such file or folder", remedy)
