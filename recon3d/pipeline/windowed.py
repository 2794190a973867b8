"""More views than one pass of a network takes: how many it takes, windows of them, and what the report says of these."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from recon3d.core.views import Views
from recon3d.errors import InputError
from recon3d.io.photos import read_photo
from recon3d.models.checkpoints import Checkpoint
from recon3d.models.cost import Cost
from recon3d.models.pictures import Answer, Pass
from recon3d.pipeline.plan import views_of_a_pass
from recon3d.pipeline.request import Request
from recon3d.pipeline.stage_reports import JoinReport, LoopReport, MissReport, WindowsReport
from recon3d.progress import Progress
from recon3d.reconstruction.windows.answer import Joined, answer_in_windows
from recon3d.reconstruction.windows.cut import default_overlap
from recon3d.reconstruction.windows.looks import in_order, look
from recon3d.reconstruction.windows.photo_matches import photo_matcher

Ask = Callable[[Iterable[Annotated[np.ndarray, "h w 3"]], Pass], Answer]  # a network's answer, the network being given


def size_of_a_pass(
    source: Checkpoint, cost: Cost, views: int, aspect: float, device: str, request: Request, progress: Progress
) -> int:
    """By --window, else what the memory bears and the network gets right, with a note where that is not all.

    Raises InputError where the overlap that was asked for does not go into that.
    """
    if request.window is not None:
        return min(request.window, views)
    # The guess of `auto` was measured in one pass, and is judged by matches of all photos.
    trusted = None if request.geometry == "auto" else source.row.most_views
    size, why = views_of_a_pass(cost, views, aspect, device, trusted)
    if request.window_overlap is not None and size <= request.window_overlap < views:
        what = f"windows of {size} photos, as {why}, cannot share {request.window_overlap}"
        raise InputError("--window-overlap", what, f"Give {size - 1} or fewer")
    if size < views:
        progress.note(f"{source.key}: {views} photos go through in windows of {size}, as {why} (--window)")
    return size


def in_windows(
    ask: Ask, views: Views, how: Pass, size: int, overlap: int | None, looks: bool, sequence: bool, progress: Progress
) -> tuple[Answer, WindowsReport]:
    """The answer of windows of `size` views, photos being read window by window; joins that nothing determines are noted.

    `looks`: the network gives features, by which views are put in order, where they are no `sequence`, and loops are found.
    """
    shared = default_overlap(size) if overlap is None else overlap
    in_parts = replace(how, once=False, on_view=lambda done, total: None)

    def photo(view: int) -> np.ndarray:
        return read_photo(views.sources[view])[0]

    def run(some: tuple[int, ...]) -> Answer:
        known = None if how.known is None else how.known[some]
        return ask(map(photo, some), replace(in_parts, known=known))

    alone = replace(in_parts, features=True, matches=False)
    seen = looks_of(lambda view: ask([photo(view)], alone), len(views), progress) if looks else None
    found = None if seen is None or sequence else in_order(seen)
    order = tuple(range(len(views))) if found is None else found
    joined = answer_in_windows(
        run, order, size, shared, seen, photo_matcher(photo),
        on_window=lambda done, total: progress.advance(done, total, "windows"),
    )  # fmt: skip
    for edge in joined.joins:
        if edge.join.why is not None and abs(edge.first - edge.second) == 1:
            names = ", ".join(views.names[view] for view in edge.join.shared)
            what = f"windows {edge.first} and {edge.second}, which share {names}, are not told how they fit: {edge.join.why}"
            progress.note(f"{what}; what they show may not fit together")
    told = report_of(joined, views.names, size, shared)
    return joined.answer, told if found is None else replace(told, order="by resemblance")


def looks_of(ask: Callable[[int], Answer], count: int, progress: Progress) -> Annotated[Tensor, "N C"]:
    """How each view looks to the network alone."""
    found = []
    for view in range(count):
        features = ask(view).features
        assert features is not None
        found.append(look(features[0]))
        progress.advance(view + 1, count, "looks")
    return torch.stack(found)


def report_of(joined: Joined, names: Sequence[str], size: int, overlap: int) -> WindowsReport:
    joins = tuple(
        JoinReport(
            (edge.first, edge.second), tuple(names[view] for view in edge.join.shared), len(edge.join.agreeing),
            round(float(edge.join.similarity.scale), 6), round(edge.join.degrees, 6), round(edge.join.shift, 6),
            round(edge.join.scale, 6), edge.join.why,
        )
        for edge in joined.joins
    )  # fmt: skip
    missed = {loop.views: (loop.before, loop.after) for loop in joined.closed}
    loops = []
    for loop in joined.loops:
        first, second = loop.views
        told = LoopReport((names[first], names[second]), loop.matches, loop.why is None, loop.agreeing, loop.why)
        if loop.views in missed:
            before, after = (MissReport(*(round(x, 6) for x in asdict(m).values())) for m in missed[loop.views])
            told = replace(told, before=before, after=after)
        loops.append(told)
    return WindowsReport(len(joined.cut), size, overlap, "as given", joins, tuple(loops))


def read_report(words: Mapping[str, Any] | None) -> WindowsReport | None:
    """A report that was kept as JSON, as it was."""
    if words is None:
        return None
    joins = [
        JoinReport(**join | {"windows": tuple(join["windows"]), "shared": tuple(join["shared"])}) for join in words["joins"]
    ]
    loops = [
        LoopReport(
            tuple(loop["views"]), loop["matches"], loop["closed"], loop["agreeing"], loop["why"],
            *(None if loop[name] is None else MissReport(**loop[name]) for name in ("before", "after")),
        )
        for loop in words["loops"]
    ]  # fmt: skip
    return WindowsReport(**dict(words) | {"joins": tuple(joins), "loops": tuple(loops)})
