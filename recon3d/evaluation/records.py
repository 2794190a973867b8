"""What an evaluation leaves: one file for each scene, number of views and method, and nothing else.

Reports are made from these files, so shards of several machines merge by copying them into one folder, and a run that
was killed goes on with those that it lacks.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NoReturn
from urllib.parse import quote

from recon3d.atomic import atomic_file
from recon3d.errors import InputError
from recon3d.evaluation.document import Part

Task = Literal["nvs", "poses", "depth", "points"]
Status = Literal["ok", "failed", "skipped"]
TASKS: tuple[Task, ...] = ("nvs", "poses", "depth", "points")
STATUSES: tuple[Status, ...] = ("ok", "failed", "skipped")
VERSION = 1
RESULTS = "results"
MAX_BYTES = 256 << 20  # pairs of 1000 views take 20 MB
LONGEST_NAME = 180  # bytes, of the 255 that file systems allow: a suffix and a temporary name's letters come on top
REMEDY = "Delete the file and run the evaluation again: what is there already is kept"


@dataclass(frozen=True)
class Angles:
    """Errors of E pairs of views in degrees, 0 to 180, as `metrics.poses.PairErrors` has them."""

    rotation: tuple[float, ...]
    translation: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.rotation) != len(self.translation):
            raise ValueError(f"{len(self.rotation)} rotation and {len(self.translation)} translation errors")
        if not all(0 <= angle <= 180 for angle in (*self.rotation, *self.translation)):
            raise ValueError("errors of pairs of views are 0 to 180 degrees")


@dataclass(frozen=True)
class ViewFigures:
    """Figures of one target view."""

    view: str
    figures: dict[str, float]


@dataclass(frozen=True)
class Pictures:
    """Three pictures of one target view: paths of PNG or JPEG files, relative to the folder of the evaluation, with /."""

    view: str
    truth: str
    render: str
    error: str
    psnr: float | None = None  # dB


@dataclass(frozen=True)
class Record:
    """One method on one scene from one number of views."""

    task: Task
    dataset: str
    scene: str
    views: int  # that were given
    method: str
    status: Status  # failed: the method gave nothing that can be measured; skipped: the scene cannot be used, by nobody's fault
    why: str | None = None  # one line, where the status is not ok
    seconds: float | None = None  # of the method alone
    registered: int = 0  # views that got a camera
    total: int = 0  # views that could have got one
    figures: dict[str, float] = field(default_factory=dict)  # psnr, auc_30, abs_rel, ...: names as in `figures.py`
    unavailable: dict[str, str] = field(
        default_factory=dict
    )  # figure -> why it is not measured; no other number stands in
    pair_errors: Angles | None = None  # so that figures of all pairs of all scenes can be formed
    of_views: tuple[ViewFigures, ...] = ()
    pictures: tuple[Pictures, ...] = ()
    # What the numbers mean, equal for all scenes of a run: frames (name of the list), size (256x448), seed, cameras (given,
    # transferred, aligned), alignment, ... Records with different entries never share a mean.
    protocol: dict[str, str] = field(default_factory=dict)
    predicted_from: str | None = None  # a hash of the files that another program wrote, where it did
    versions: dict[str, str] = field(default_factory=dict)  # recon3d, torch, pycolmap, commit, data (a hash)

    def __post_init__(self) -> None:
        if (self.status == "ok") != (self.why is None):
            raise ValueError("why says what went wrong: an ok record has none, any other has one")


def record_path(folder: Path, task: Task, method: str, scene: str, views: int) -> Path:
    """FOLDER/results/TASK/METHOD/SCENE@VIEWS.json; where it holds no failure, this measurement is done."""
    return folder / RESULTS / task / _file_name(method) / f"{_file_name(scene)}@{views}.json"


def _file_name(name: str) -> str:
    """A name that any file system takes, other names for other scenes: % for what is not a letter, digit or _.-~ (URLs)."""
    safe = quote(name, safe=" +,=()", errors="surrogateescape")
    safe = "%2E" + safe[1:] if safe.startswith(".") else safe
    if len(safe) <= LONGEST_NAME:
        return safe
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return f"{safe[:LONGEST_NAME]}~{digest}"


def write_record(folder: Path, record: Record) -> Path:
    """Write a record whole or not at all, and return where.

    JSON has no NaN and no infinity: a figure of that kind becomes null, with the reason in `unavailable`.
    """
    path = record_path(folder, record.task, record.method, record.scene, record.views)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as temporary:
        # ASCII throughout (names escaped), because names of files may be no valid Unicode.
        temporary.write_text(json.dumps(_document(record), indent=1, allow_nan=False) + "\n", encoding="ascii")
    return path


def _document(record: Record) -> dict[str, Any]:
    reasons = {
        name: f"it came out as {value}, which is no number to average"
        for name, value in record.figures.items()
        if not math.isfinite(value)
    }
    return {
        "version": VERSION,
        **asdict(record),
        "why": None if record.why is None else " ".join(record.why.split()),
        "seconds": _finite(record.seconds),
        "figures": {name: _finite(value) for name, value in record.figures.items()},
        "unavailable": reasons | record.unavailable,
        "of_views": [
            {"view": view.view, "figures": {name: _finite(value) for name, value in view.figures.items()}}
            for view in record.of_views
        ],
        "pictures": [{**asdict(pictures), "psnr": _finite(pictures.psnr)} for pictures in record.pictures],
    }


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def read_records(folder: Path) -> list[Record]:
    """All records of an evaluation, by task, method, scene and number of views. Raises InputError that names a bad file.

    A file that lies elsewhere than where its record belongs is bad as well: a copy beside it would count a scene twice.
    """
    records = []
    for path in sorted((folder / RESULTS).glob("*/*/*.json")):
        if path.name.startswith("."):
            continue  # being written by another process, or left by one that was killed
        record = read_record(path)
        place = record_path(folder, record.task, record.method, record.scene, record.views)
        if path != place:
            raise InputError(path, f"it holds the record of {place.relative_to(folder)}", "Rename or delete it")
        records.append(record)
    return sorted(records, key=lambda r: (TASKS.index(r.task), r.dataset, r.method, r.scene, r.views))


def read_record(path: Path) -> Record:
    """The record in a file; InputError where it holds none."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(path, f"it is larger than {MAX_BYTES >> 20} MB", REMEDY)
        return _record(Part(json.loads(path.read_bytes(), parse_constant=_refuse)))
    except OSError as error:
        raise InputError(path, f"it cannot be read ({error.strerror})", REMEDY) from error
    except (ValueError, RecursionError) as error:  # JSONDecodeError and UnicodeDecodeError are ValueErrors
        raise InputError(path, f"it is no record of an evaluation ({str(error)[:100]})", REMEDY) from error


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _record(part: Part) -> Record:
    if part.whole("version") != VERSION:
        raise ValueError(f"version {part.whole('version')}, and this recon3d reads {VERSION}")
    pairs = part.part_or_none("pair_errors")
    return Record(
        task=part.one_of("task", TASKS),
        dataset=part.text("dataset"),
        scene=part.text("scene"),
        views=part.whole("views"),
        method=part.text("method"),
        status=part.one_of("status", STATUSES),
        why=part.text_or_none("why"),
        seconds=part.number_or_none("seconds"),
        registered=part.whole("registered"),
        total=part.whole("total"),
        figures=part.numbers_by_name("figures"),
        unavailable=part.texts_by_name("unavailable"),
        pair_errors=None if pairs is None else Angles(pairs.numbers("rotation"), pairs.numbers("translation")),
        of_views=tuple(ViewFigures(v.text("view"), v.numbers_by_name("figures")) for v in part.parts("of_views")),
        pictures=tuple(
            Pictures(p.text("view"), p.text("truth"), p.text("render"), p.text("error"), p.number_or_none("psnr"))
            for p in part.parts("pictures")
        ),
        protocol=part.texts_by_name("protocol"),
        predicted_from=part.text_or_none("predicted_from"),
        versions=part.texts_by_name("versions"),
    )
