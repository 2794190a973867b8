"""From records to means: which records share a row, and what scenes count on which a method failed."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from recon3d.evaluation.figures import Average, columns, figure
from recon3d.evaluation.pose_averages import over_pairs, with_pose_figures
from recon3d.evaluation.published import Published, published
from recon3d.evaluation.records import TASKS, Record, Task


@dataclass(frozen=True)
class Score:
    """A figure of a row."""

    measured: float | None  # mean over scenes that came out; None where none has the figure
    scenes: int  # in that mean
    with_failed: (
        float | None
    )  # mean over these and the scenes that failed, each at its floor; None where there is no floor
    scenes_with_failed: int
    deviation: float | None  # standard deviation of the scenes of `measured`, N - 1; None below two
    unavailable: str | None  # why scenes that came out lack the figure


@dataclass(frozen=True)
class Row:
    """One method from one number of views under one protocol."""

    method: str
    views: int
    variant: str  # entries of the protocol in which rows of the table differ
    protocol: dict[str, str]
    ok: tuple[Record, ...]
    failed: tuple[Record, ...]
    skipped: tuple[Record, ...]
    seconds: float | None  # median over scenes that came out
    over_scenes: dict[str, Score]
    over_pairs: dict[str, Score]

    @property
    def title(self) -> str:
        return f"{self.method} ({self.variant})" if self.variant else self.method

    @property
    def counted(self) -> frozenset[str]:
        """Scenes that its means with failures are of."""
        return frozenset(record.scene for record in self.ok + self.failed)

    @property
    def registered(self) -> int:
        return sum(record.registered for record in self.ok + self.failed)

    @property
    def total(self) -> int:
        return sum(record.total for record in self.ok + self.failed)

    def score(self, name: str, average: Average) -> Score | None:
        return (self.over_scenes if average == "scenes" else self.over_pairs).get(name)


@dataclass(frozen=True)
class Table:
    """Rows of one task on one data set, by number of views, then by method."""

    task: Task
    dataset: str
    protocol: dict[str, str]  # what all rows have in common
    columns: tuple[tuple[str, Average], ...]
    rows: tuple[Row, ...]
    published: tuple[Published, ...]
    notes: tuple[str, ...]

    def best(self, name: str, average: Average) -> list[Row]:
        """The best row of each number of views.

        None where only one row is, where rows are of different scenes or protocols, and where one has failures and the
        figure no floor.
        """
        found = []
        for views in sorted({row.views for row in self.rows}):
            rows = [row for row in self.rows if row.views == views]
            scores = [(row, s) for row in rows if (s := row.score(name, average)) and s.scenes + s.scenes_with_failed]
            values = [score.with_failed for _, score in scores if score.with_failed is not None]
            alike = len({(row.variant, row.counted) for row, _ in scores}) == 1 and len(values) == len(scores)
            if alike and len(scores) > 1:
                best = (max if figure(name).better == "higher" else min)(values)
                found += [row for row, score in scores if score.with_failed == best]
        return found


def tables(records: Sequence[Record]) -> tuple[Table, ...]:
    """One table for each task and data set of which there are records."""
    places = sorted({(TASKS.index(record.task), record.dataset) for record in records})
    return tuple(
        _table(TASKS[task], dataset, [r for r in records if (r.task, r.dataset) == (TASKS[task], dataset)])
        for task, dataset in places
    )


def _table(task: Task, dataset: str, records: list[Record]) -> Table:
    records = [with_pose_figures(record) for record in records]
    groups, known = _groups(records), _names(records)
    protocols = [protocol for _, _, protocol, _ in groups]
    shared = {key: value for key, value in protocols[0].items() if all(p.get(key) == value for p in protocols)}
    rows = tuple(_row(method, views, protocol, shared, found, known) for method, views, protocol, found in groups)
    figures = {name for row in rows for name in (*row.over_scenes, *row.over_pairs)}
    wanted: list[tuple[str, Average]] = [
        (name, average)
        for name, average in columns(task, figures)
        if any(row.score(name, average) is not None for row in rows)
    ]
    compared = [
        row for row in published()
        if any(row.fits(task, dataset, measured.views, measured.protocol) for measured in rows)
    ]  # fmt: skip
    notes = (*_unlike(rows), *_lacking(rows, wanted))
    return Table(task, dataset, shared, tuple(wanted), rows, tuple(compared), notes)


def _groups(records: list[Record]) -> list[tuple[str, int, dict[str, str], list[Record]]]:
    """(method, views, protocol, records) of each row.

    A record that is not ok may know less of its protocol: it belongs to the row that it does not contradict, if there is
    only one.
    """
    found: list[tuple[str, int, dict[str, str], list[Record]]] = []
    for record in sorted(records, key=lambda r: (r.views, r.method, r.status != "ok")):
        alike = [row for row in found if row[:2] == (record.method, record.views)]
        same = [row for row in alike if row[2] == record.protocol]
        if not same and record.status != "ok":
            same = [row for row in alike if record.protocol.items() <= row[2].items()]
        if len(same) == 1:
            same[0][3].append(record)
        else:
            found.append((record.method, record.views, record.protocol, [record]))
    return found


def _names(records: Iterable[Record]) -> list[str]:
    return sorted({name for record in records for name in (*record.figures, *record.unavailable)})


def _row(
    method: str, views: int, protocol: dict[str, str], shared: dict[str, str], records: list[Record], known: list[str]
) -> Row:
    ok, failed, skipped = (tuple(r for r in records if r.status == status) for status in ("ok", "failed", "skipped"))
    seconds = [record.seconds for record in ok if record.seconds is not None]
    # A method that came out nowhere says no figures of its own: it stands at the floors of what the others have.
    names = _names((*ok, *failed)) if ok else known
    return Row(
        method,
        views,
        ", ".join(f"{key} {value}" for key, value in protocol.items() if key not in shared),
        protocol,
        ok,
        failed,
        skipped,
        statistics.median(seconds) if seconds else None,
        {name: _score(name, ok, failed) for name in names},
        _scores_over_pairs(ok, failed),
    )


def _score(name: str, ok: Iterable[Record], failed: Iterable[Record]) -> Score:
    """A failed record that bears the figure itself (a fallback that was measured, as its protocol tells) counts that."""
    values = [record.figures[name] for record in ok if name in record.figures]
    lacking = Counter(r.unavailable.get(name, "its record does not say why") for r in ok if name not in r.figures)
    floors = [record.figures.get(name, figure(name).floor) for record in failed]
    known = [floor for floor in floors if floor is not None]
    # Where the figure is there for none of the scenes that came out, the floors alone would be no score of the method.
    whole = len(known) == len(floors) and (values or not lacking)
    return Score(
        statistics.fmean(values) if values else None,
        len(values),
        statistics.fmean(values + known) if whole and values + known else None,
        len(values) + len(known) if whole else 0,
        statistics.stdev(values) if len(values) > 1 else None,
        lacking.most_common(1)[0][0] if lacking else None,
    )


def _scores_over_pairs(ok: Sequence[Record], failed: Sequence[Record]) -> dict[str, Score]:
    """Figures of all pairs of all scenes; a mean over scenes is no substitute where a record lacks its pairs."""
    there = [record for record in ok if record.pair_errors is not None]
    lacking = [record.scene for record in ok if record.pair_errors is None]
    if not there and (ok or not failed or failed[0].task != "poses"):
        return {}
    measured, with_failed = over_pairs(there) if there else {}, over_pairs([*there, *failed])
    why = f"{len(lacking)} scenes have no errors of pairs, the first is {lacking[0]}" if lacking else None
    return {
        name: Score(measured.get(name), len(there), value, len(there) + len(failed), None, why)
        for name, value in with_failed.items()
    }


def _unlike(rows: Sequence[Row]) -> Iterator[str]:
    """Where means are of different scenes."""
    for views in sorted({row.views for row in rows}):
        alike = [row for row in rows if row.views == views]
        everywhere = frozenset[str]().union(*(row.counted for row in alike))
        for row in alike:
            if missing := sorted(everywhere - row.counted):
                named = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
                yield (
                    f"{views} views: {row.title} is measured on {len(row.counted)} of {len(everywhere)} scenes (not on "
                    f"{named}). Its means do not compare with the others of {views} views, of which none is marked best."
                )


def _lacking(rows: Sequence[Row], shown: Iterable[tuple[str, Average]]) -> Iterator[str]:
    """Figures that some scenes lack, with the reason."""
    where: dict[tuple[str, str], list[str]] = {}
    for name, average in shown:
        for row in rows:
            score = row.score(name, average)
            if score is not None and score.unavailable is not None:
                of = f"{row.title} from {row.views} views ({score.scenes} of {len(row.ok)} scenes have it)"
                where.setdefault((name, score.unavailable), []).append(of)
    for (name, reason), found in where.items():
        if len(found) == len(rows):
            found = ["every row"]
        yield f"{figure(name).label} is missing for {'; '.join(dict.fromkeys(found))}: {reason}."


def versions(records: Iterable[Record]) -> dict[str, dict[str, int]]:
    """Name -> version -> how many records are of it."""
    found: dict[str, Counter[str]] = {}
    for record in records:
        for name, version in record.versions.items():
            found.setdefault(name, Counter())[version] += 1
    return {name: dict(counts.most_common()) for name, counts in sorted(found.items())}
