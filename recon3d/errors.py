"""The one error that is the user's to mend. Everything else that is raised is a bug of ours."""

from __future__ import annotations

from pathlib import Path


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


def check_exists(path: Path, remedy: str = "Check the path") -> None:
    """Raise InputError where nothing lies at `path`."""
    if not path.exists():
        raise InputError(path, "there is no such file or folder", remedy)
