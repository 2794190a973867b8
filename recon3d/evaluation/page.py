"""report.html: one file that needs no other and no script. Every name in it is other people's and is escaped."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path

from recon3d.evaluation import wording
from recon3d.evaluation.chart_data import bars_by_scene, methods_of, quality_over_seconds, quality_over_views
from recon3d.evaluation.charts import COLOURS, mark_path
from recon3d.evaluation.figures import figure, written
from recon3d.evaluation.records import Record
from recon3d.evaluation.tables import Row, Table, versions
from recon3d.evaluation.triplets import MOST, triplets, worst
from recon3d.version import __version__

STYLE = Path(__file__).with_name("page.css")
HOW_TO_SEE = (
    "Filled marks count failures at their floor; hollow ones are over the scenes that came out, where that differs. "
    "Whiskers: standard error over scenes. Below, scenes stand worst first, and a cross is a failure."
)
# Nothing is fetched and nothing runs, whatever a name contains.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def page(tables: Sequence[Table], records: Sequence[Record], folder: Path) -> str:
    """The whole page; pictures are read from the folder of the evaluation."""
    names = methods_of(tables)
    parts = ["<h1>Evaluation</h1>", f'<p class="soft">recon3d {__version__} · {escape(wording.counts(records))}</p>']
    parts.append(f'<p class="soft">{escape(wording.HOW_TO_READ)}</p>')
    for table in tables:
        parts += _section(table, names)
    if shown := worst(records):
        most = f"the {MOST} worst" if len(shown) == MOST else "worst first"
        parts.append("<h2>Pictures</h2>")
        parts.append(
            f'<p class="soft">Truth, render and error; of each measurement the view with the lowest PSNR, {most}.</p>'
        )
        parts.append(triplets(shown, folder))
    parts += _appendix(tables, records)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>recon3d evaluation</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<style>{STYLE.read_text(encoding='utf-8')}</style></head>\n<body>{chr(10).join(parts)}</body></html>\n"
    )


def _section(table: Table, names: Sequence[str]) -> Iterator[str]:
    yield f"<h2>{wording.TITLES[table.task]}: {escape(table.dataset)}</h2>"
    yield f'<p class="soft">{escape(wording.protocol(table))}</p>'
    yield _measured(table)
    if table.notes:
        yield f'<ul class="notes">{"".join(f"<li>{escape(note)}</li>" for note in table.notes)}</ul>'
    if table.published:
        yield f"<h3>{wording.PUBLISHED}</h3>"
        yield _published(table)
    if any(row.ok or row.failed for row in table.rows):
        yield _legend([name for name in names if any(row.title == name for row in table.rows)], names)
        yield _figures([*quality_over_views(table, names), *quality_over_seconds(table, names)])
        yield f'<p class="soft">{HOW_TO_SEE}</p>'
        yield _figures(list(bars_by_scene(table, names)))


def _figures(charts: Sequence[str]) -> str:
    return f'<div class="charts">{"".join(f"<figure class=card>{chart}</figure>" for chart in charts)}</div>'


def _measured(table: Table) -> str:
    best = {column: [id(row) for row in table.best(*column)] for column in table.columns}
    rows, before = [], None
    for row in table.rows:
        rows.append(
            f"<tr{' class=first' if before not in (None, row.views) else ''}>{''.join(_cells(table, row, best))}</tr>"
        )
        before = row.views
    return _table(wording.head(table), rows, numbers_from=2)


def _cells(table: Table, row: Row, best: dict) -> Iterator[str]:
    warn = " warn" if row.failed else ""
    yield f"<td>{row.views}</td><td>{escape(row.title)}</td>"
    yield f'<td class="number{warn}">{wording.scenes(row)}</td><td class="number">{wording.cameras(row)}</td>'
    for name, average in table.columns:
        main, without = wording.score(name, row.score(name, average))
        marked = " best" if id(row) in best[name, average] else ""
        bracket = f" <small>({without})</small>" if without else ""
        yield f'<td class="number{marked}">{main}{bracket}</td>'
    yield f'<td class="number">{wording.seconds(row.seconds)}</td>'


def _published(table: Table) -> str:
    names = wording.published_figures(table.published)
    rows = []
    for row in table.published:
        values = (row.figures.get(name) for name in names)
        cells = [wording.ABSENT if v is None else written(n, v) for n, v in zip(names, values, strict=True)]
        numbers = "".join(f'<td class="number">{cell}</td>' for cell in cells)
        rows.append(f"<tr><td>{row.views}</td><td>{escape(row.method)}</td>{numbers}<td>{escape(row.source)}</td></tr>")
    return _table(["Views", "Method", *(figure(name).title for name in names), "Source"], rows, 2, 2 + len(names))


def _legend(shown: Sequence[str], names: Sequence[str]) -> str:
    entries = []
    for name in shown:
        index = names.index(name)
        mark = f'<svg viewBox="0 0 14 14"><path class="mark c{index % COLOURS}" d="{mark_path(index // COLOURS, 7, 7)}"/></svg>'
        entries.append(f"<span>{mark}{escape(name)}</span>")
    return f'<div class="legend">{"".join(entries)}</div>'


def _appendix(tables: Sequence[Table], records: Sequence[Record]) -> Iterator[str]:
    for title, status in wording.LEFT_OUT:
        if rows := wording.left_out(records, status):
            yield f"<h2>{title}</h2>" + _grid(["Task", "Scene", "Views", "Methods", "Why"], rows)
    yield "<h2>Floors</h2>" + _grid(["Figure", "Floor", "Because"], wording.floors(tables))
    stamps = [(name, wording.stamped(found)) for name, found in versions(records).items()]
    if stamps:
        entries = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in stamps)
        yield f'<h2>Versions</h2><dl class="card">{entries}</dl>'


def _grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of plain text."""
    return _table(head, [f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows])


def _table(
    head: Sequence[str], rows: Iterable[str], numbers_from: float = math.inf, numbers_to: float = math.inf
) -> str:
    titles = "".join(
        f"<th{' class=number' if numbers_from <= place < numbers_to else ''}>{escape(title)}</th>"
        for place, title in enumerate(head)
    )
    return f'<div class="card wide"><table><thead><tr>{titles}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
