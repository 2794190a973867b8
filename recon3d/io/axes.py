"""Where x, y and z of a splat file point: the systems that SPZ knows by number, and the turn from each to our world (RDF)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np

from recon3d.errors import InputError

RUB, RDF, Z_UP = 4, 6, 12
# Number of the coordinate record -> where x, y, z point by its letters (right/left, up/down, forward/back), and our x, y, z
# as signed axes of the file (1, 2, 3). The turns are those of the library (@adobe/spz 0.2.3), as measured.
SYSTEMS: dict[int, tuple[str, tuple[int, int, int]]] = {
    1: ("LDB", (-1, 2, -3)),
    2: ("RDB", (1, 2, -3)),
    3: ("LUB", (-1, -2, -3)),
    4: ("RUB", (1, -2, -3)),
    5: ("LDF", (-1, 2, 3)),
    6: ("RDF", (1, 2, 3)),
    7: ("LUF", (-1, -2, 3)),
    8: ("RUF", (1, -2, 3)),
    9: ("LFD", (-1, -3, -2)),
    10: ("RFD", (1, -3, -2)),
    11: ("LFU", (-1, -3, 2)),
    12: ("RFU", (1, -3, 2)),
    13: ("LBD", (-1, 3, -2)),
    14: ("RBD", (1, 3, -2)),
    15: ("LBU", (-1, 3, 2)),
    16: ("RBU", (1, 3, 2)),
}
# The library's turn of these is not what their letters say; its writers use the same turn, so that it is right for them.
UNLIKE_THEIR_LETTERS = (9, 10, 15, 16)
GIVEN = {"rdf": 6, "rub": 4, "luf": 7, "rfu": 12}  # what --axes may say
HALF_TURN = np.diag([1.0, -1.0, -1.0])  # about x: from RDF to RUB, and back


def rdf_from(system: int) -> Annotated[np.ndarray, "3 3"]:
    """The matrix from coordinates of a system to RDF: a signed permutation, which mirrors for half of the systems."""
    return np.array([np.sign(a) * np.eye(3)[abs(a) - 1] for a in SYSTEMS[system][1]])


def given_system(axes: str) -> int:
    """The number of the system that --axes names; InputError where there is none."""
    if axes not in GIVEN:
        raise InputError("--axes", f"{axes!r} is not known", f"Give one of {', '.join(GIVEN)}")
    return GIVEN[axes]


def taken_system(
    path: Path, record: int | None, axes: str | None, note: Callable[[str], None] | None
) -> tuple[int, str]:
    """The system of an SPZ and a sentence on why: its record; else `axes`; else RUB, which the specification has.

    `record` is None where there is none. `note` is told of records that say nothing, or other than their letters.
    """
    given = None if axes is None else given_system(axes)
    if record in SYSTEMS:
        letters = SYSTEMS[record][0]
        if note and record in UNLIKE_THEIR_LETTERS:
            note(f"{path}: its axes are marked {letters}, which is read as the SPZ library does, not by the letters")
        aside = " (--axes was not needed)" if given == record else " (--axes was not used)"
        return record, f"{letters}, as the file's own record says" + (aside if given else "")
    if record is not None and note:
        what = "leaves its axes unspecified" if record == 0 else f"marks its axes by {record}, which is not known"
        note(f"{path}: it {what}")
    if given is not None:
        return given, f"{SYSTEMS[given][0]}, as --axes says; the file does not"
    return RUB, "RUB (y up), as the specification has it; the file does not say. If it is upside down: --axes rdf"
