"""The report of an evaluation, from its records alone: report.json for programs, report.md and report.html for people.

report.json (version 1, keys are stable):
    version, recon3d          of this file; of the toolkit that wrote it
    tables                    one for each task and data set: task, dataset, protocol (what all rows share), notes,
        columns               figures that report.md shows, as [name, "scenes" or "pairs"]
        rows                  method, views, variant (entries of the protocol in which rows differ), protocol,
                              scenes {ok, failed, skipped}, registered, total (cameras), seconds (median), and by figure
            over_scenes       {measured, scenes, with_failed, scenes_with_failed, deviation, unavailable}: mean over scenes
                              that came out, and over these and failed ones at their floor; null where there is none
            over_pairs        the same over all pairs of views of all scenes
        published             method, views, figures, source, protocol: numbers of others under the same protocol
    scenes                    every record without its pairs, its views, its pictures and what it was measured from
    floors                    figure -> {floor, because}
    versions                  name -> version -> number of records
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from recon3d.atomic import atomic_file
from recon3d.errors import InputError
from recon3d.evaluation.figures import FIGURES
from recon3d.evaluation.markdown import markdown
from recon3d.evaluation.page import page
from recon3d.evaluation.records import RESULTS, Record, read_records
from recon3d.evaluation.tables import Row, Table, tables, versions
from recon3d.version import __version__

VERSION = 1


def write_report(folder: Path) -> tuple[Path, Path, Path]:
    """Read all records of an evaluation and write report.json, report.md and report.html beside them; returns the three.

    Raises InputError where a record cannot be read, or where there is none.
    """
    records = read_records(folder)
    if not records:
        raise InputError(folder, f"there is no record of an evaluation in {RESULTS}", "Give the --out of recon3d eval")
    found = tables(records)
    texts = {
        "report.json": json.dumps(document(found, records), indent=1, allow_nan=False) + "\n",
        "report.md": markdown(found, records),
        "report.html": page(found, records, folder),
    }
    for name, text in texts.items():
        with atomic_file(folder / name) as temporary:
            # Names of files that are no valid Unicode are in some records: they are shown with their bytes as \udcXX.
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
    return folder / "report.json", folder / "report.md", folder / "report.html"


def document(found: Sequence[Table], records: Sequence[Record]) -> dict[str, Any]:
    """What report.json holds."""
    bulk = ("pair_errors", "of_views", "pictures", "versions", "predicted_from")
    return {
        "version": VERSION,
        "recon3d": __version__,
        "tables": [_table(table) for table in found],
        "scenes": [{key: value for key, value in asdict(r).items() if key not in bulk} for r in records],
        "floors": {name: {"floor": figure.floor, "because": figure.because} for name, figure in FIGURES.items()},
        "versions": versions(records),
    }


def _table(table: Table) -> dict[str, Any]:
    return {
        "task": table.task,
        "dataset": table.dataset,
        "protocol": table.protocol,
        "columns": [list(column) for column in table.columns],
        "rows": [_row(row) for row in table.rows],
        "published": [asdict(row) for row in table.published],
        "notes": list(table.notes),
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "method": row.method,
        "views": row.views,
        "variant": row.variant,
        "protocol": row.protocol,
        "scenes": {"ok": len(row.ok), "failed": len(row.failed), "skipped": len(row.skipped)},
        "registered": row.registered,
        "total": row.total,
        "seconds": row.seconds,
        "over_scenes": {name: asdict(score) for name, score in row.over_scenes.items()},
        "over_pairs": {name: asdict(score) for name, score in row.over_pairs.items()},
    }
