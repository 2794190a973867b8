"""A network over more views than one pass takes: windows, their joins, loops, and one answer of all."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor

from recon3d.core.cameras import Cameras
from recon3d.core.matches import Matches, together
from recon3d.core.similarity import Similarity
from recon3d.models.pictures import Answer, ranked
from recon3d.reconstruction.windows.cut import homes, windows
from recon3d.reconstruction.windows.join import Window, join
from recon3d.reconstruction.windows.loops import (
    ASKED,
    FAR,
    LEAST_AGREEING,
    LEAST_MATCHES,
    Loop,
    Matcher,
    agreement,
    both_ends,
    candidates,
)
from recon3d.reconstruction.windows.pose_graph import Edge, Error, chained, error_of, optimised

LEAST_TIES = 2  # views that a pass over both ends of a loop shares with a window, for an edge

Run = Callable[[tuple[int, ...]], Answer]  # a pass of the network over these views


@dataclass(frozen=True)
class ClosedLoop:
    """By how much the chain of windows missed the loop, before and after all were brought to agree."""

    views: tuple[int, int]
    before: Error
    after: Error


@dataclass(frozen=True)
class Joined:
    """One answer of all views, and how it came about."""

    answer: Answer
    cut: tuple[tuple[int, ...], ...]  # the views of each window
    joins: tuple[Edge, ...]  # between windows by their numbers
    loops: tuple[Loop, ...]
    closed: tuple[ClosedLoop, ...]
    worlds: tuple[Similarity, ...]  # of each window, in the world of the first


def answer_in_windows(
    run: Run, order: Sequence[int], size: int, overlap: int, looks: Annotated[Tensor, "N C"] | None, matches: Matcher,
    on_window: Callable[[int, int], None] = lambda done, total: None,
) -> Joined:  # fmt: skip
    """All views, each with the camera and depth of the window in which it stands most central; the world is the first one's.
    Matches are those of all windows and closed loops.

    `order`: views as they follow each other. `looks` (looks.look, by the views' numbers) tell where loops are looked for; None:
    nowhere. `on_window(done, total)` is told after each window. One pass is in memory at a time, besides the answers.
    """
    cut = windows(order, size, overlap)
    home = homes(cut)
    passes: list[Window] = []
    for done, views in enumerate(cut, 1):
        passes.append(Window(views, run(views)))
        on_window(done, len(cut))
    edges = edges_between(passes)
    apart = max(size, FAR)
    pairs = []
    if looks is not None and len(order) > apart and size >= 2 * LEAST_TIES:
        pairs = candidates(looks, order, apart, math.ceil(ASKED * len(passes)))
    loops, ends, of_loops = loops_in(run, order, size, passes, pairs, matches)
    chain = chained(len(passes), edges)
    start = chain + [chain[tied[0].first] @ tied[0].join.similarity for _, tied in ends]
    worlds, closed = start, []
    if ends or len(edges) >= len(passes):  # more edges than a chain has
        worlds = optimised(start, edges + [edge for _, tied in ends for edge in tied])
        closed = [ClosedLoop(views, *(worst(tied, nodes) for nodes in (start, worlds))) for views, tied in ends]
    worlds = worlds[: len(passes)]
    answer = whole(passes, home, in_metres_of_all(worlds) if of_metres(passes) else worlds)
    found = [w.answer.matches.among(w.views) for w in passes if w.answer.matches is not None] + of_loops
    answer = replace(answer, matches=together(found) if found else None)
    return Joined(answer, tuple(cut), tuple(edges), tuple(loops), tuple(closed), tuple(worlds))


def edges_between(passes: Sequence[Window]) -> list[Edge]:
    """Of every two windows that share a view."""
    return [
        Edge(a, b, join(passes[a], passes[b]))
        for b in range(len(passes))
        for a in range(b)
        if set(passes[a].views) & set(passes[b].views)
    ]


Ends = tuple[tuple[int, int], list[Edge]]  # a loop's views, and the edges that tie its pass, a node behind the windows, to them


def loops_in(
    run: Run, order: Sequence[int], size: int, passes: Sequence[Window], pairs: Sequence[tuple[int, int]], matches: Matcher
) -> tuple[list[Loop], list[Ends], list[Matches]]:
    """What became of each candidate; the edges of what is a loop, and the matches of the pass over both its ends."""
    loops: list[Loop] = []
    ends: list[Ends] = []
    of_loops: list[Matches] = []
    for pair in pairs:
        found = matches(*pair)
        count = len(found[0])
        if count < LEAST_MATCHES:
            loops.append(Loop(pair, count, None, f"their photos have {count} matches"))
            continue
        views = both_ends(order, pair, size)
        both = Window(views, replace(run(views), features=None))
        share = agreement(both.answer, (views.index(pair[0]), views.index(pair[1])), found)
        tied = ties(both, len(passes) + len(ends), passes)
        why = None
        if share < LEAST_AGREEING:
            why = f"a pass over both ends agrees with {100 * share:.0f} % of their matches"
        elif any(edge.join.why is not None for edge in tied):
            why = "a pass over both ends fits " + next(f"a window badly: {e.join.why}" for e in tied if e.join.why is not None)
        loops.append(Loop(pair, count, round(share, 3), why))
        if why is None:
            ends.append((pair, tied))
            of_loops += [] if both.answer.matches is None else [both.answer.matches.among(views)]
    return loops, ends, of_loops


def ties(both: Window, node: int, passes: Sequence[Window]) -> list[Edge]:
    """Edges of a loop's pass to every window that shares LEAST_TIES views with it."""
    return [
        Edge(number, node, join(window, both))
        for number, window in enumerate(passes)
        if len(set(window.views) & set(both.views)) >= LEAST_TIES
    ]


def worst(tied: Sequence[Edge], nodes: Sequence[Similarity]) -> Error:
    """The largest errors of a loop's edges: before all agree its pass stands by the first one, and the others miss it."""
    errors = [error_of(edge, nodes) for edge in tied]
    return Error(*(max(getattr(e, name) for e in errors) for name in ("degrees", "shift", "scale")))


def features(passes: Sequence[Window], home: dict[int, int]) -> Tensor:
    """Of every view by its number, from its home; pictures of windows may differ in size, and their cells in number."""
    found = []
    for view in sorted(home):
        window = passes[home[view]]
        assert window.answer.features is not None
        found.append(window.answer.features[window.views.index(view)])
    grid = found[0].shape[1:]
    same = [x if x.shape[1:] == grid else F.interpolate(x[None].float(), grid, mode="area")[0].to(x) for x in found]
    return torch.stack(same)


def whole(passes: Sequence[Window], home: dict[int, int], worlds: Sequence[Similarity]) -> Answer:
    """Every view from its home, in one world; confidences are ranked anew over all."""
    moved = [window.answer.geometry.transformed(world) for window, world in zip(passes, worlds, strict=True)]
    places = [(home[view], passes[home[view]].views.index(view)) for view in sorted(home)]
    stacked = {
        name: torch.stack([getattr(moved[w].cameras, name)[i] for w, i in places])
        for name in ("camera_from_world", "K", "sizes")
    }
    depth = tuple(_of(moved[w].depth, i) for w, i in places)
    confidence = ranked(_of(moved[w].confidence, i) for w, i in places)
    unposed = [view for view, (w, i) in enumerate(places) if i in passes[w].answer.unposed]
    return Answer(
        replace(
            moved[0], cameras=Cameras(**stacked, camera_index=torch.arange(len(places))), depth=depth, confidence=confidence
        ),
        torch.stack([passes[w].answer.network_from_photo[i] for w, i in places]),
        torch.stack([passes[w].answer.photo_rects[i] for w, i in places]),
        tuple(unposed), None if passes[0].answer.features is None else features(passes, home),
        None if passes[0].answer.sky is None else tuple(_of(passes[w].answer.sky, i) for w, i in places),
    )  # fmt: skip


def _of(maps: tuple[Tensor, ...] | None, i: int) -> Tensor:
    assert maps is not None
    return maps[i]


def of_metres(passes: Sequence[Window]) -> bool:
    return passes[0].answer.geometry.scale == "metres"


def in_metres_of_all(worlds: Sequence[Similarity]) -> list[Similarity]:
    """The same worlds at the scale that all windows' metres mean together, not only the first one's."""
    mean = math.exp(-sum(math.log(float(world.scale)) for world in worlds) / len(worlds))
    return [Similarity.of(mean) @ world for world in worlds]
