"""Which figures of a table become which charts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from recon3d.evaluation import wording
from recon3d.evaluation.charts import Axis, Bar, Point, Series, axis, bars_chart, log_axis, points_chart, steps_axis
from recon3d.evaluation.figures import Average, figure, written
from recon3d.evaluation.records import Record
from recon3d.evaluation.tables import Row, Score, Table

SMALL, WIDE = (360, 260), (1120, 220)  # pixels
CURVES = 2  # figures of a table that are drawn over the number of views: its first columns
FEW_BARS = 24  # that a small chart has room for
MOST_BARS = 120  # of one chart; of more scenes the worst are shown


def methods_of(tables: Sequence[Table]) -> list[str]:
    """Names of rows in the order in which they take colours, the same on the whole page."""
    return list(dict.fromkeys(row.title for table in tables for row in table.rows))


def quality_over_views(table: Table, names: Sequence[str]) -> Iterator[str]:
    """A chart for each of the first columns: means with failures counted, and hollow those without where they differ."""
    for name, average in table.columns[:CURVES]:
        series = list(_curves(table, names, name, average, lambda row: float(row.views)))
        if series:
            x = steps_axis("input views", [p.x for one in series for p in one.points])
            title = wording.column(name, average)
            yield points_chart(f"{title} over views", x, _height(title, series), series, SMALL, "line")


def quality_over_seconds(table: Table, names: Sequence[str]) -> Iterator[str]:
    """The first column against the median time; points are named by the number of views."""
    for name, average in table.columns[:1]:
        curves = list(_curves(table, names, name, average, lambda row: row.seconds))
        series = [one for one in curves if not one.hollow or figure(name).floor is None]
        if series:
            x = log_axis("seconds of the method, median (labels: views)", [p.x for one in series for p in one.points])
            title = wording.column(name, average)
            yield points_chart(f"{title} over seconds", x, _height(title, series), series, SMALL, "thin")


def _height(title: str, series: Sequence[Series]) -> Axis:
    return axis(title, [p.y + side * p.spread for one in series for p in one.points for side in (-1, 1)])


def _curves(
    table: Table, names: Sequence[str], name: str, average: Average, x_of: Callable[[Row], float | None]
) -> Iterator[Series]:
    for title in names:
        rows = [(x, row) for row in table.rows if row.title == title and (x := x_of(row)) is not None and x > 0]
        scored = [(x, row, score) for x, row in rows if (score := row.score(name, average)) is not None]
        counted = [
            _point(x, row, name, s, s.with_failed, "failures counted")
            for x, row, s in scored
            if s.with_failed is not None
        ]
        without = [
            _point(x, row, name, s, s.measured, "over scenes that came out")
            for x, row, s in scored
            if s.measured is not None and s.measured != s.with_failed
        ]
        index = names.index(title)
        if counted:
            yield Series(title, index, tuple(counted))
        if without:
            yield Series(title, index, tuple(without), hollow=True)


def _point(x: float, row: Row, name: str, score: Score, value: float, what: str) -> Point:
    """Whiskers are the standard error of the mean over scenes, where it is that of this mean."""
    spread = 0.0
    if score.deviation is not None and value == score.measured:
        spread = score.deviation / math.sqrt(score.scenes)
    return Point(x, value, f"{row.title}, {row.views} views: {written(name, value)}, {what}", spread, str(row.views))


def bars_by_scene(table: Table, names: Sequence[str]) -> Iterator[str]:
    """A chart for each number of views, of the first figure that scenes have; scenes stand in one order in all of them."""
    name = next((name for name, average in table.columns if average == "scenes"), None)
    if name is None:
        return
    records = [record for row in table.rows for record in (*row.ok, *row.failed)]
    numbers = sorted({row.views for row in table.rows})
    y = axis("", [record.figures[name] for record in records if name in record.figures], from_zero=True)
    scenes = _worst_first(records, name)
    most = max(len([row for row in table.rows if row.views == views]) for views in numbers)
    shown = scenes[: max(MOST_BARS // most, 1)]
    size = SMALL if len(shown) * most <= FEW_BARS else WIDE
    which = f", {len(shown)} worst of {len(scenes)} scenes" if len(shown) < len(scenes) else " by scene"
    for views in numbers:
        rows = [row for row in table.rows if row.views == views]
        title = f"{figure(name).title}{which}, {views} views"
        groups = [(scene, _bars(scene, rows, name, names)) for scene in shown]
        yield bars_chart(title, replace(y, title=title), groups, size)


def _worst_first(records: Sequence[Record], name: str) -> list[str]:
    """Scenes by how many failures they have, then by the mean of what methods reached there."""
    reached: dict[str, list[float]] = {}
    failures: Counter[str] = Counter()
    for record in records:
        reached.setdefault(record.scene, [])
        if name in record.figures:
            reached[record.scene].append(record.figures[name])
        failures[record.scene] += record.status == "failed"
    sign = 1 if figure(name).better == "higher" else -1
    mean = {scene: sign * sum(values) / len(values) if values else 0.0 for scene, values in reached.items()}
    return sorted(reached, key=lambda scene: (-failures[scene], mean[scene], scene))


def _bars(scene: str, rows: Sequence[Row], name: str, names: Sequence[str]) -> list[Bar]:
    bars = []
    for row in rows:
        index = names.index(row.title)
        for record in (*row.ok, *row.failed):
            if record.scene != scene:
                continue
            if name in record.figures:
                value = record.figures[name]
                bars.append(Bar(index, value, f"{row.title}, {scene}: {written(name, value)}"))
            elif record.status == "failed":
                bars.append(Bar(index, None, f"{row.title}, {scene}: failed, {record.why}"))
    return bars
