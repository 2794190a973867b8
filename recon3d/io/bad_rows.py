"""Splats of a file that cannot be rendered: left out with their count, and where they are many, the file refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import numpy as np

from recon3d.errors import InputError

MOST = 0.1  # of a file's splats: beyond, it is the file that is broken and not a few splats of it
Rows = Annotated[np.ndarray, "G"]  # bool


def not_finite(values: Annotated[np.ndarray, "G ..."]) -> Rows:
    """Rows in which a number is none, or infinite."""
    return np.asarray(~np.isfinite(values.reshape(len(values), -1)).all(1))


def kept_rows(path: Path, bad: Mapping[str, Rows], note: Callable[[str], None] | None) -> Rows:
    """The rows that can be rendered. `bad` names what is infinite, no number or impossible of which; `note` is told
    how many are left out. InputError where they are more than a tenth.
    """
    wrong = np.logical_or.reduce(list(bad.values()))
    count, total = int(wrong.sum()), len(wrong)
    if not count:
        return ~wrong
    what = ", ".join(f"{int(rows.sum())} by their {words}" for words, rows in bad.items() if rows.any())
    said = f"{count} of its {total} splats cannot be rendered ({what})"
    if count > MOST * total:
        raise InputError(path, said, "Export it again, or remove those splats in an editor")
    if note:
        note(f"{path}: {said} and were left out")
    return ~wrong
