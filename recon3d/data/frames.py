"""Frame lists: which frames of which scenes are given to a method, and which it is asked for."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from recon3d.atomic import atomic_file
from recon3d.data.posed_scene import Skipped
from recon3d.errors import InputError, check_exists

MAX_BYTES = 1 << 30  # unpacked; the largest published list has 8 MB
NO_CHOICE = "its authors found no frames for it"
REMEDY = "Give a published index of frames, or a list that recon3d wrote"
# NoPoSplat's classes: up to which overlap of the context views; below 0.05 and above 0.8 a pair has none.
OVERLAPS: dict[Literal["small", "medium", "large"], tuple[float, float]] = {
    "small": (0.05, 0.3), "medium": (0.3, 0.55), "large": (0.55, 0.8),
}  # fmt: skip


@dataclass(frozen=True)
class Choice:
    """Frames of one scene, numbered in the order in which it stores them. A target may be a context frame too; where cameras
    or depth are asked for there may be none."""

    scene: str
    context: tuple[int, ...]
    target: tuple[int, ...]
    overlap: float | None = None  # of the pictures of two context views, 0 to 1

    @property
    def frames(self) -> tuple[int, ...]:
        return self.context + self.target

    @property
    def overlap_class(self) -> Literal["small", "medium", "large"] | None:
        if self.overlap is None:
            return None
        return next((name for name, (low, high) in OVERLAPS.items() if low <= self.overlap <= high), None)


@dataclass(frozen=True)
class FrameList:
    choices: tuple[Choice, ...]
    skipped: tuple[Skipped, ...] = ()  # scenes for which a published index has null


def read_frames(path: Path) -> FrameList:
    """A published index (scene -> frames or null) or our own list, plain or .gz. Raises InputError where it is neither."""
    document = _content(path)
    if isinstance(document, dict):
        choices = [_choice(name, entry, path) for name, entry in document.items() if entry is not None]
        return FrameList(
            tuple(choices), tuple(Skipped(name, NO_CHOICE) for name, entry in document.items() if entry is None)
        )
    if isinstance(document, list) and all(isinstance(e, dict) and isinstance(e.get("scene"), str) for e in document):
        return FrameList(tuple(_choice(entry["scene"], entry, path) for entry in document))
    raise InputError(path, "neither an index of scenes nor a list of them", REMEDY)


def write_frames(path: Path, choices: tuple[Choice, ...]) -> None:
    """Our own list: [{"scene", "context", "target"}, ...], with "overlap" where it is known; a scene may come again."""
    rows = [
        {"scene": c.scene, "context": c.context, "target": c.target}
        | ({} if c.overlap is None else {"overlap": c.overlap})
        for c in choices
    ]
    with atomic_file(path) as temporary:
        temporary.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")


def _content(path: Path) -> Any:
    check_exists(path, REMEDY)
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise InputError(path, f"it is larger than {MAX_BYTES >> 20} MB", REMEDY)
        return json.loads(content)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(path, f"it cannot be read ({error})", "Copy it again") from error
    except (ValueError, RecursionError) as error:
        raise InputError(path, f"it is not JSON ({str(error)[:80]})", REMEDY) from error


def _choice(scene: str, entry: Any, path: Path) -> Choice:
    if not isinstance(entry, dict):
        raise InputError(path, f"{scene}: neither frames nor null", REMEDY)
    overlap = entry.get("overlap")
    if overlap is not None and (isinstance(overlap, bool) or not isinstance(overlap, int | float)):
        raise InputError(path, f"{scene}: overlap is not a number", REMEDY)
    # NoPoSplat writes -1 where it did not measure it.
    known = None if overlap is None or not 0 <= overlap <= 1 else float(overlap)
    context = _numbers(entry, "context", scene, path)
    if not context:
        raise InputError(path, f"{scene}: context names no frames", REMEDY)
    return Choice(scene, context, _numbers(entry, "target", scene, path), known)


def _numbers(entry: Mapping[str, Any], key: str, scene: str, path: Path) -> tuple[int, ...]:
    found = entry.get(key)
    if not isinstance(found, list) or not all(type(i) is int and i >= 0 for i in found):
        raise InputError(path, f"{scene}: {key} is no list of frame numbers", REMEDY)
    return tuple(found)
