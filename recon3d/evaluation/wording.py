"""Cells and sentences that report.md and report.html have in common, as plain text."""

from __future__ import annotations

from collections.abc import Sequence

from recon3d.evaluation.figures import FIGURES, Average, figure, written
from recon3d.evaluation.published import Published
from recon3d.evaluation.records import Record, Status, Task
from recon3d.evaluation.tables import Row, Score, Table

TITLES: dict[Task, str] = {
    "nvs": "Novel views", "poses": "Camera poses", "depth": "Depth", "points": "Points",
}  # fmt: skip
HOW_TO_READ = (
    "Scenes on which a method failed count at their floor (listed below); in brackets is the mean over the scenes that came "
    "out, where it differs. A dash: not measured, or no honest floor. Seconds: median over scenes that came out."
)
PUBLISHED = "Published by others under the same name of protocol, not measured here"
LEFT_OUT: tuple[tuple[str, Status], ...] = (("Failed", "failed"), ("Skipped", "skipped"))
ABSENT = "–"


def head(table: Table) -> list[str]:
    """Names of columns, those of figures with the way in which better lies."""
    return ["Views", "Method", "Scenes", "Cameras", *(column(*c) for c in table.columns), "Seconds"]


def column(name: str, average: Average) -> str:
    of_pairs = {"pairs": ", over pairs", "scenes": ", mean of scenes"}[average] if is_of_poses(name) else ""
    return f"{figure(name).title}{of_pairs} {'↑' if figure(name).better == 'higher' else '↓'}"


def is_of_poses(name: str) -> bool:
    """Only figures of pairs have two averages that need telling apart."""
    return figure(name).because == FIGURES["auc"].because


def score(name: str, value: Score | None) -> tuple[str, str]:
    """The figure with failures counted, and the one without where it differs."""
    if value is None:
        return ABSENT, ""
    main = ABSENT if value.with_failed is None else written(name, value.with_failed)
    without = "" if value.measured is None else written(name, value.measured)
    return main, "" if without == main else without


def scenes(row: Row) -> str:
    """How many came out, of how many that could have."""
    return f"{len(row.ok)}/{len(row.ok) + len(row.failed)}"


def cameras(row: Row) -> str:
    return f"{row.registered}/{row.total}" if row.total else ABSENT


def seconds(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def protocol(table: Table) -> str:
    return ", ".join(f"{key} {value}" for key, value in sorted(table.protocol.items())) or "not told by the records"


def published_figures(rows: Sequence[Published]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row.figures))


def floors(tables: Sequence[Table]) -> list[tuple[str, str, str]]:
    """(figure, floor, reason) of every figure in a column."""
    found = {}
    for name in (name for table in tables for name, _ in table.columns):
        what = figure(name)
        floor = "none" if what.floor is None else f"{what.floor:g} {what.unit}".strip()
        found[what.label] = (what.label, floor, what.because)
    return list(found.values())


def left_out(records: Sequence[Record], status: Status) -> list[tuple[str, str, str, str, str]]:
    """(task, scene, views, methods, why) of records that failed or were skipped; those with one reason on one line."""
    methods: dict[tuple[str, str, str, int], list[str]] = {}
    for record in records:
        if record.status == status:
            task = f"{TITLES[record.task]}, {record.dataset}"
            methods.setdefault((task, record.scene, record.why or "", record.views), []).append(record.method)
    # Numbers of views share a line only where they lost the same methods: "3, 6" and "a, b" must mean all four.
    views: dict[tuple[str, str, str, str], list[int]] = {}
    for (task, scene, why, count), names in sorted(methods.items()):
        views.setdefault((task, scene, _list(sorted(names)), why), []).append(count)
    return [(task, scene, _list(counts), names, why) for (task, scene, names, why), counts in views.items()]


def _list(names: Sequence[object]) -> str:
    return ", ".join(map(str, names))


def counts(records: Sequence[Record]) -> str:
    of = {status: sum(r.status == status for r in records) for status in ("ok", "failed", "skipped")}
    methods, places = {r.method for r in records}, {(r.dataset, r.scene) for r in records}
    return (
        f"{len(methods)} methods on {len(places)} scenes: {of['ok']} measurements, {of['failed']} failures, "
        f"{of['skipped']} skipped."
    )


def stamped(counted: dict[str, int]) -> str:
    """Versions of one thing; how many records each is of where there is more than one."""
    if len(counted) == 1:
        return next(iter(counted))
    return ", ".join(f"{version} ({count} records)" for version, count in counted.items())
