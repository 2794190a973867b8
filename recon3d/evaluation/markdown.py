"""report.md: the tables of an evaluation for people, in Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from recon3d.evaluation import wording
from recon3d.evaluation.figures import figure, written
from recon3d.evaluation.records import Record
from recon3d.evaluation.tables import Row, Table, versions
from recon3d.version import __version__


def markdown(tables: Sequence[Table], records: Sequence[Record]) -> str:
    """The whole page."""
    parts = ["# Evaluation", f"recon3d {__version__}. {wording.counts(records)}", wording.HOW_TO_READ]
    for table in tables:
        parts += _section(table)
    for title, status in wording.LEFT_OUT:
        if rows := wording.left_out(records, status):
            parts += [f"## {title}", grid(("Task", "Scene", "Views", "Methods", "Why"), rows)]
    parts += ["## Floors", grid(("Figure", "Floor", "Because"), wording.floors(tables))]
    stamps = [(name, wording.stamped(found)) for name, found in versions(records).items()]
    parts += ["## Versions", grid(("Of", "Version"), stamps)] if stamps else []
    return "\n\n".join(parts) + "\n"


def _section(table: Table) -> Iterator[str]:
    yield f"## {wording.TITLES[table.task]}: {escaped(table.dataset)}"
    yield f"Protocol: {escaped(wording.protocol(table))}."
    best = {column: [id(row) for row in table.best(*column)] for column in table.columns}
    yield _rows(wording.head(table), (_cells(table, row, best) for row in table.rows))
    if table.published:
        figures = wording.published_figures(table.published)
        yield f"{wording.PUBLISHED}:"
        yield grid(
            ("Views", "Method", *(figure(name).title for name in figures), "Source"),
            (
                (str(p.views), p.method, *(_published(name, p.figures.get(name)) for name in figures), p.source)
                for p in table.published
            ),
        )
    if table.notes:
        yield "\n".join(f"- {escaped(note)}" for note in table.notes)


def _cells(table: Table, row: Row, best: dict) -> Iterator[str]:
    yield from (str(row.views), escaped(row.title), wording.scenes(row), wording.cameras(row))
    for name, average in table.columns:
        main, without = wording.score(name, row.score(name, average))
        main = f"**{main}**" if id(row) in best[name, average] else main
        yield f"{main} ({without})" if without else main
    yield wording.seconds(row.seconds)


def _published(name: str, value: float | None) -> str:
    return wording.ABSENT if value is None else written(name, value)


def grid(head: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of plain text."""
    return _rows(head, (map(escaped, row) for row in rows))


def _rows(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    titles = [escaped(title) for title in head]
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def escaped(text: str) -> str:
    """Text that Markdown shows as it is, in one line: names of scenes are other people's."""
    return re.sub(r"([\\`*_\[\]<>|#~])", r"\\\1", " ".join(text.split()))
