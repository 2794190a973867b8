"""Charts as SVG text: points over two axes, and bars in groups. Colours are classes c0, c1, ... of the page's style."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

COLOURS = 8  # of the page's style; methods beyond share them and differ in their marks
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 22, 40  # pixels around the plot, for ticks and titles
LINE = 12  # pixels between labels that would cover each other
Joined = Literal["line", "thin"]
LETTER = 7.2  # pixels, the width of a digit or a wide letter of 11 pixels


@dataclass(frozen=True)
class Axis:
    title: str
    low: float
    high: float
    ticks: tuple[float, ...]
    log: bool = False

    def place(self, value: float) -> float:
        """0 at the low end, 1 at the high one."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True)
class Point:
    x: float
    y: float
    hint: str  # shown under the mouse, and read aloud
    spread: float = 0.0  # half of the whisker, in units of y
    name: str = ""  # stands beside points that no line of names belongs to


@dataclass(frozen=True)
class Series:
    name: str
    index: int  # of its colour and mark
    points: tuple[Point, ...]
    hollow: bool = False  # marks that are not joined: a second reading of the series before it


@dataclass(frozen=True)
class Bar:
    index: int
    value: float | None  # None: a cross at the foot, for what failed
    hint: str


def axis(title: str, values: Sequence[float], from_zero: bool = False) -> Axis:
    """A linear axis that holds all values and ends at round numbers."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    low, high = (min(low, 0.0), max(high, 0.0)) if from_zero else (low, high)
    if high - low <= 1e-9 * max(abs(high), abs(low)):
        low, high = (low - 0.5 * abs(low), high + 0.5 * abs(high)) if high else (0.0, 1.0)
    step = _round_up((high - low) / 5)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return Axis(title, first * step, last * step, tuple(i * step for i in range(first, last + 1)))


def _round_up(step: float) -> float:
    power = 10 ** math.floor(math.log10(step))
    return next(power * nice for nice in (1, 2, 2.5, 5, 10) if power * nice >= step * 0.999)


def log_axis(title: str, values: Sequence[float]) -> Axis:
    """A logarithmic axis over positive values with ticks at 1, 2 and 5, or at powers of ten where that is too many."""
    low, high = (min(values) / 1.3, max(values) * 1.3) if values else (1.0, 10.0)
    wider = max(5 / (high / low), 1) ** 0.5  # a range of 5 holds two of 1, 2 and 5
    low, high = low / wider, high * wider
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for nice in ((1, 2, 5), (1, 3), (1,)):
        ticks = [n * 10.0**p for p in powers for n in nice if low <= n * 10.0**p <= high]
        if 2 <= len(ticks) <= 6:
            break
    return Axis(title, low, high, tuple(ticks), log=True)


def steps_axis(title: str, values: Sequence[float]) -> Axis:
    """A logarithmic axis with a tick at every value: numbers of views double more than they grow."""
    ticks = tuple(sorted(set(values)))
    return Axis(title, ticks[0] / 1.25, ticks[-1] * 1.25, ticks, log=True)


def points_chart(title: str, x: Axis, y: Axis, series: Sequence[Series], size: tuple[int, int], joined: Joined) -> str:
    """Points of every series, joined in their order: by lines with the series' names at their ends, or by thin ones with
    the name of each point beside it."""
    named = joined == "line"
    frame = _Frame(x, y, *size, right=RIGHT + (84 if named else 0))
    marks = [text for one in series for text in _series(frame, one, joined)]
    labels = list(_end_labels(frame, series)) if named else []
    return _svg(title, size, [*frame.lines(), *marks, *labels])


def bars_chart(title: str, y: Axis, groups: Sequence[tuple[str, Sequence[Bar]]], size: tuple[int, int]) -> str:
    """Groups of bars from zero, each group with its name under it."""
    frame = _Frame(Axis("", 0, len(groups), ()), y, *size, right=RIGHT)
    parts = list(frame.lines())
    for place, (name, bars) in enumerate(groups):
        left, right = frame.x(place), frame.x(place + 1)
        wide = min((right - left) * 0.82 / max(len(bars), 1), 26)
        start = (left + right - wide * len(bars)) / 2
        parts += [text for i, bar in enumerate(bars) for text in _bar(frame, bar, start + i * wide, wide)]
        most = max(int((right - left) / LETTER), 3)
        short = name if len(name) <= most else name[: most - 1] + "…"
        centre = (left + right) / 2
        parts.append(
            f'<text x="{centre:.1f}" y="{size[1] - BOTTOM + 16}" class="mid"><title>{escape(name)}</title>{escape(short)}</text>'
        )
    return _svg(title, size, parts)


@dataclass(frozen=True)
class _Frame:
    """Where values lie in the picture, in pixels."""

    x_axis: Axis
    y_axis: Axis
    width: int
    height: int
    right: int

    def x(self, value: float) -> float:
        return LEFT + self.x_axis.place(value) * (self.width - LEFT - self.right)

    def y(self, value: float) -> float:
        return self.height - BOTTOM - self.y_axis.place(value) * (self.height - TOP - BOTTOM)

    def lines(self) -> Iterator[str]:
        """Grid, ticks and titles of both axes."""
        left, right, foot = LEFT, self.width - self.right, self.height - BOTTOM
        for tick in self.y_axis.ticks:
            y = self.y(tick)
            yield f'<path class="grid" d="M{left} {y:.1f}H{right}"/>'
            yield f'<text x="{left - 6}" y="{y + 4:.1f}" class="end">{_number(tick)}</text>'
        for tick in self.x_axis.ticks:
            x = self.x(tick)
            yield f'<path class="grid" d="M{x:.1f} {TOP}V{foot}"/>'
            yield f'<text x="{x:.1f}" y="{foot + 15}" class="mid">{_number(tick)}</text>'
        yield f'<path class="axis" d="M{left} {TOP}V{foot}H{right}"/>'
        yield f'<text x="4" y="12" class="title">{escape(self.y_axis.title)}</text>'
        if self.x_axis.title:
            middle = (left + right) / 2
            yield f'<text x="{middle:.1f}" y="{self.height - 6}" class="mid title">{escape(self.x_axis.title)}</text>'


def _series(frame: _Frame, series: Series, joined: Joined) -> Iterator[str]:
    colour = f"c{series.index % COLOURS}{' hollow' if series.hollow else ''}"
    places = [(frame.x(p.x), frame.y(p.y), p) for p in series.points]
    if len(places) > 1 and not series.hollow:
        way = "L".join(f"{x:.1f} {y:.1f}" for x, y, _ in places)
        yield f'<path class="{joined} {colour}" d="M{way}"/>'
    for x, y, point in places:
        if point.spread > 0:
            top = frame.y(min(point.y + point.spread, frame.y_axis.high))
            foot = frame.y(max(point.y - point.spread, frame.y_axis.low))
            yield f'<path class="whisker {colour}" d="M{x:.1f} {top:.1f}V{foot:.1f}"/>'
        hint = f"<title>{escape(point.hint)}</title>"
        yield f'<path class="mark {colour}" d="{mark_path(series.index // COLOURS, x, y)}">{hint}</path>'
        if joined == "thin":
            yield f'<text x="{x + 4:.1f}" y="{y + 13:.1f}" class="small">{escape(point.name)}</text>'


def mark_path(shape: int, x: float, y: float) -> str:
    """The outline of a method's mark: a circle, then a square, a diamond and a triangle for methods that share a colour."""
    r = 4.2
    if shape % 4 == 0:
        return f"M{x - r:.1f} {y:.1f}a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0Z"
    corners = {
        1: [(-r, -r), (r, -r), (r, r), (-r, r)],
        2: [(0, -r - 1), (r + 1, 0), (0, r + 1), (-r - 1, 0)],
        3: [(0, -r - 1), (r + 1, r), (-r - 1, r)],
    }[shape % 4]
    return "M" + "L".join(f"{x + dx:.1f} {y + dy:.1f}" for dx, dy in corners) + "Z"


def _bar(frame: _Frame, bar: Bar, left: float, wide: float) -> Iterator[str]:
    colour, zero = f"c{bar.index % COLOURS}", frame.y(0)
    hint = f"<title>{escape(bar.hint)}</title>"
    if bar.value is None:
        x, y, r = left + wide / 2, zero - 6, min(wide / 3, 4)
        cross = f"M{x - r:.1f} {y - r:.1f}l{2 * r:.1f} {2 * r:.1f}m0 {-2 * r:.1f}l{-2 * r:.1f} {2 * r:.1f}"
        yield f'<path class="cross {colour}" d="{cross}">{hint}</path>'
        return
    y = frame.y(bar.value)
    gap = min(1.0, wide / 8)
    yield (
        f'<rect class="bar {colour}" x="{left + gap:.1f}" y="{min(y, zero):.1f}" width="{wide - 2 * gap:.1f}" '
        f'height="{max(abs(zero - y), 0.5):.1f}">{hint}</rect>'
    )


def _end_labels(frame: _Frame, series: Sequence[Series]) -> Iterator[str]:
    """Names of series beside their last points, moved apart where they would cover each other."""
    ends = [(frame.y(one.points[-1].y) + 4, one) for one in series if not one.hollow]
    ends.sort(key=lambda end: end[0])
    x = frame.width - frame.right + 4
    before = -math.inf
    places = []
    for y, _ in ends:
        before = max(y, before + LINE)
        places.append(before)
    over = max(places[-1] - (frame.height - BOTTOM + 4), 0) if places else 0
    for place, (_, one) in zip(places, ends, strict=True):
        short = one.name if len(one.name) <= 15 else one.name[:14] + "…"
        yield (
            f'<text x="{x}" y="{place - over:.1f}" class="name c{one.index % COLOURS}">'
            f"<title>{escape(one.name)}</title>{escape(short)}</text>"
        )


def _number(value: float) -> str:
    return f"{value:.6g}"


def _svg(title: str, size: tuple[int, int], parts: Sequence[str]) -> str:
    width, height = size
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )
