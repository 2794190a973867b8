"""What --metric asks for, read from its words. Loads no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from recon3d.errors import InputError

FLAG = "--metric"
WAYS = ("none", "poses", "gps", "network")
FORMS = f"Give {', '.join(WAYS)}, or metres between two cameras, as 2.5:IMG_1.jpg,IMG_7.jpg"


@dataclass(frozen=True)
class Metric:
    """Where metres come from."""

    way: Literal["none", "poses", "gps", "network", "length"]
    metres: float = math.nan  # of "length"
    photos: str = ""  # of "length": two names with a comma between them; names may hold commas too


def parse_metric(text: str, weights: str | None) -> Metric:
    """Raises InputError at --metric or --metric-weights."""
    if weights is not None and text != "network":
        raise InputError("--metric-weights", f"{FLAG} {text} runs no network", f"Use it with {FLAG} network")
    if text in WAYS:
        return Metric(text)  # type: ignore[arg-type]
    length, colon, photos = text.partition(":")
    try:
        metres = float(length)
    except ValueError:
        metres = math.nan
    if not colon or "," not in photos:
        raise InputError(FLAG, f"'{text}' does not say where metres come from", FORMS)
    if not 0 < metres < math.inf:
        raise InputError(FLAG, f"'{length}' is no length in metres", FORMS)
    return Metric("length", metres, photos)


def two_of(names: tuple[str, ...], photos: str) -> tuple[int, int]:
    """Which of the names are meant, by the whole name or its last part. Raises InputError at --metric."""
    found, pieces = [], photos.split(",")
    for i in range(1, len(pieces)):
        pair = [meant(names, ",".join(piece)) for piece in (pieces[:i], pieces[i:])]
        found += [pair] if all(len(matches) == 1 for matches in pair) else []
    if not found:
        words = [",".join(piece).strip() for piece in (pieces[:1], pieces[1:])]
        several = next((word for word in words if len(meant(names, word)) > 1), None)
        if several is not None:
            raise InputError(FLAG, f"'{several}' means several photos", "Give their names with their folders")
        unknown = next(word for word in words if not meant(names, word))
        raise InputError(FLAG, f"no photo that is used is called '{unknown}'", f"Name two photos, as {names[0]},{names[-1]}")
    (first,), (second,) = found[0]
    if first == second:
        raise InputError(FLAG, f"both names are those of {names[first]}", "Name two photos")
    return first, second


def meant(names: tuple[str, ...], name: str) -> list[int]:
    name = name.strip()
    whole = [i for i, one in enumerate(names) if one == name]
    return whole or [i for i, one in enumerate(names) if one.rpartition("/")[2] == name]
