"""A folder of captures to a folder of scenes: what a capture is, which scenes are finished, what became of each."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from recon3d.atomic import atomic_file, make_parents
from recon3d.errors import InputError, check_exists, of_system
from recon3d.io import photos, video
from recon3d.io.detect import detect
from recon3d.io.json_input import read_object
from recon3d.io.photo_folders import is_run
from recon3d.pipeline.request import Request, plan
from recon3d.pipeline.run import Output, arguments_of, run
from recon3d.pipeline.shards import Shard
from recon3d.progress import Event, Progress
from recon3d.report import write_report
from recon3d.version import __version__

VERSION = 1
WHOLE = "batch.json"
CAMERA_FILES = ("transforms.json", "cameras.json", "cameras.bin", "cameras.txt")
CUT_OFF = "it was begun and not finished; the same command goes on from there"

Listener = Callable[[Event], None]


@dataclass(frozen=True)
class Batch:
    """Every capture in the folder `captures` becomes scenes/NAME/, by one request."""

    captures: Path
    scenes: Path
    request: Request
    overwrite: bool = False


@dataclass(frozen=True)
class Row:
    """What became of an entry of the folder of captures."""

    name: str
    status: Literal["ok", "failed", "skipped"]
    why: str = ""
    seconds: float = 0.0
    paths: tuple[str, ...] = ()
    traceback: str = ""  # of a bug of ours

    def words(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "traceback" or value}


def batch(asked: Batch, shard: Shard, listener: Listener) -> list[Row]:
    """Make the scenes of one shard, one after another, and keep the record of them.

    A finished scene is kept, a half-made one goes on, and a capture that fails is named and passed over. Raises InputError
    where nothing can be made at all.
    """
    entries = checked(asked)
    mine = shard.part(entries)
    told = {row["name"]: row for row in rows_of_parts(asked.scenes, mine)}
    record(asked, shard, told, entries)
    rows = []
    for i, entry in enumerate(mine):
        listener(Event("stage", f"{entry.name}, {i + 1} of {len(mine)}"))
        # First what stays true where this process is killed: whoever reads the record sees at which capture.
        told[entry.name] = Row(entry.name, "failed", CUT_OFF).words()
        record(asked, shard, told, entries)
        row = attempted(entry, asked, entries, listener)
        if row.status != "ok":
            listener(Event("note", f"{entry.name}: {row.status}: {row.why}"))
        rows.append(row)
        told[entry.name] = row.words()
        record(asked, shard, told, entries)
    return rows


def checked(asked: Batch) -> list[Path]:
    """What lies in the folder of captures, in the order of the names. Raises InputError for what would end every run."""
    plan(asked.request, has_depth=None)
    for path in (asked.captures, asked.request.cameras, asked.request.masks):
        if path is not None:
            check_exists(path)
    if not asked.captures.is_dir():
        raise InputError(asked.captures, "it is no folder of captures", "Give one capture to `recon3d run`")
    if asked.scenes.resolve().is_relative_to(asked.captures.resolve()):
        raise InputError("--out", f"'{asked.scenes}' lies among the captures", "Write somewhere else")
    entries = sorted(path for path in asked.captures.iterdir() if not path.name.startswith("."))
    if not any(may_be_capture(entry) for entry in entries):
        what = "no captures in it: each is a folder of photos or a video"
        raise InputError(asked.captures, what, "Give the folder that holds them; one capture goes to `recon3d run`")
    if not any(is_run(entry) for entry in entries):
        plan(asked.request)
    make_parents(asked.scenes / WHOLE)
    return entries


def may_be_capture(entry: Path) -> bool:
    return entry.is_dir() or entry.suffix.lower() in video.SUFFIXES


def no_capture(entry: Path) -> str:
    """Why an entry is no capture; empty where it is one, a broken one too, of which `run` then says what is wrong."""
    if not may_be_capture(entry):
        return "it is neither a folder nor a video"
    if entry.is_dir():
        try:
            detect([entry])
        except InputError as error:
            return "" if promises_capture(entry) else error.what
    return ""


def promises_capture(folder: Path) -> bool:
    suffixes = (*photos.SUFFIXES, *video.SUFFIXES)
    return any(file.suffix.lower() in suffixes or file.name in CAMERA_FILES for file in folder.rglob("*"))


def attempted(entry: Path, asked: Batch, entries: Sequence[Path], listener: Listener) -> Row:
    """The scene of an entry, or what stands against it."""
    start = time.monotonic()
    try:
        reason = no_capture(entry)
        if reason:
            return Row(entry.name, "skipped", reason)
        check_name(entry, entries)
        report = scene_of(entry, asked, listener)
    except InputError as error:
        return Row(entry.name, "failed", str(error), round(time.monotonic() - start, 3))
    except Exception as error:  # a bug that one capture meets must not cost the scenes of all others
        mendable = of_system(error) if isinstance(error, OSError) else None
        if mendable is not None:
            return Row(entry.name, "failed", str(mendable), round(time.monotonic() - start, 3))
        what = f"this is a bug in recon3d {__version__}: {type(error).__name__}: {' '.join(str(error).split())}"
        seconds = round(time.monotonic() - start, 3)
        return Row(entry.name, "failed", what, seconds, traceback=traceback.format_exc())
    seconds = round(sum(stage["seconds"] for stage in report["stages"]), 3)
    return Row(entry.name, "ok", "", seconds, tuple(report["paths"]))


def scene_name(entry: Path) -> str:
    """Of the folder of an entry's scene. A dot in it would look to `run` like the suffix of a file."""
    return (entry.name if entry.is_dir() else entry.stem).replace(".", "_")


def check_name(entry: Path, entries: Sequence[Path]) -> None:
    """Of captures whose scenes would share a name the first has it. Raises InputError at the others."""
    name = scene_name(entry)
    first = next(other for other in entries if may_be_capture(other) and scene_name(other) == name)
    if first != entry:
        raise InputError(entry, f"its scene would be {name}, as that of {first.name}", "Rename one of the two")


def scene_of(entry: Path, asked: Batch, listener: Listener) -> dict[str, Any]:
    """The report of an entry's scene, which is made unless it is finished."""
    from recon3d.pipeline.artefacts import discard, work_folder  # loads torch

    path = asked.scenes / scene_name(entry)
    before = report_of_run(path)
    was_interrupted = before is not None and before["refinement"]["interrupted"]
    if before is not None and not was_interrupted:
        if is_of(before, entry, asked.request):
            discard(path)  # where a process was killed between its last two steps
            return before | {"paths": [str(path), str(path / "report.json")]}
        if not asked.overwrite:
            what = "it is finished, but of other flags or another capture"
            raise InputError(path, what, "Give another --out, or --overwrite to make it again")
    output = Output(path, asked.overwrite or was_interrupted, resume=work_folder(path).exists())
    report = run((entry,), asked.request, output, Progress(listener))
    if report["refinement"]["interrupted"]:  # by Ctrl-C, which a single run takes for "enough"
        raise KeyboardInterrupt
    return report


def report_of_run(path: Path) -> dict[str, Any] | None:
    """The report in a run's folder; None where there is no such folder, or it is something else."""
    if not (path / "report.json").is_file():
        return None
    found = read_object(path / "report.json")
    return found if {"arguments", "refinement", "stages"} <= set(found) else None


def is_of(report: dict[str, Any], entry: Path, request: Request) -> bool:
    """Whether a report is of this capture and request, wherever they lay; what an older version did not ask is no difference."""
    before = report["arguments"]
    now = arguments_of((), request, Output(Path(), False, False))
    same = all(before.get(name, value) == value for name, value in now.items() if name not in ("inputs", "out"))
    return same and [Path(path).name for path in before["inputs"]] == [entry.name]


def record(asked: Batch, shard: Shard, told: dict[str, dict[str, Any]], entries: Sequence[Path]) -> None:
    """Write a shard's rows, those that earlier starts told of it among them, and batch.json from the rows of all shards.

    Each shard joins after it has written, and again until nothing changed meanwhile: so the last to write has seen all.
    """
    write(asked.scenes / f"batch.{shard}.json", list(told.values()))
    joined: list[dict[str, Any]] | None = None
    while (found := rows_of_parts(asked.scenes, entries)) != joined:
        write(asked.scenes / WHOLE, found)
        joined = found


def rows_of_parts(scenes: Path, entries: Sequence[Path]) -> list[dict[str, Any]]:
    """The newest row of each entry, whatever division into shards it is from."""
    parts = sorted(scenes.glob("batch.*of*.json"), key=lambda part: (part.stat().st_mtime_ns, part.name))
    rows = {row["name"]: row for part in parts for row in read_object(part)["captures"]}
    return [rows[entry.name] for entry in entries if entry.name in rows]


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    with atomic_file(path) as temporary:
        write_report(temporary, {"version": VERSION, "captures": rows})
