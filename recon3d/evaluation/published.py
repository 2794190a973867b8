"""Numbers that others published, each with its source, to stand beside measured ones and never among them.

published.json holds only rows whose source was read. A row is shown where a measured row has its task, data set, number
of views and every entry of its protocol.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path

from recon3d.evaluation.document import Part
from recon3d.evaluation.records import TASKS, Task

FILE = Path(__file__).with_name("published.json")


@dataclass(frozen=True)
class Published:
    task: Task
    dataset: str
    protocol: dict[str, str]
    views: int
    method: str
    figures: dict[str, float]
    source: str

    def fits(self, task: Task, dataset: str, views: int, protocol: dict[str, str]) -> bool:
        same = (self.task, self.dataset.casefold(), self.views) == (task, dataset.casefold(), views)
        return same and self.protocol.items() <= protocol.items()


@functools.cache
def published() -> tuple[Published, ...]:
    return tuple(_row(Part(row)) for row in json.loads(FILE.read_text(encoding="utf-8")))


def _row(part: Part) -> Published:
    return Published(
        task=part.one_of("task", TASKS),
        dataset=part.text("dataset"),
        protocol=part.texts_by_name("protocol"),
        views=part.whole("views"),
        method=part.text("method"),
        figures=part.numbers_by_name("figures"),
        source=part.text("source"),
    )
