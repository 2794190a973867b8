"""How many folded models of two like places are told, how many true ones are suspected, and what is said of real scenes.

    python -m tools.benchmarks.folded RUNS

Synthetic captures are those of `tests/sfm/folded_scenes.py`; "own" is how many points each place has for itself beside the
300 to 400 that are alike at both. Told: a folded model whose two halves are named. RUNS is searched for folders of runs, as
`tools.benchmarks.locate` and `recon3d run` leave them; of each the best cut is shown, the cells that speak against it, and of
all cells the share that does, and of how many parts of few of its photos something is said.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from recon3d.core.geometry import Geometry
from recon3d.io.detect import detect
from recon3d.io.load import load_views
from recon3d.sfm.folded import across, best_cut, folded, judged_cells
from recon3d.sfm.matching import pairs_to_match
from recon3d.sfm.registration import assembled, mapping_of_model
from tests.sfm.folded_scenes import LAYOUTS, NOT_FOUND, capture

OWN = (50, 100, 150, 300)
PARTS = 40  # of each real model


def all_pairs(count: int) -> np.ndarray:
    return ~np.eye(count, dtype=bool)


def told(layout: str, own: int, seeds: Sequence[int]) -> tuple[int, int]:
    """Of how many seeds the folded model is told with its two halves, and of how many the true one is suspected."""
    right = suspected = 0
    for seed in seeds:
        geometry, names = capture(layout, True, seed, own)
        found = folded(geometry, names, all_pairs(len(names)))
        right += found is not None and len({n[0] for n in found.photos}) == 1 and 2 * len(found.photos) == len(names)
        geometry, names = capture(layout, False, seed, own)
        suspected += folded(geometry, names, all_pairs(len(names))) is not None
    return right, suspected


def of_run(folder: Path) -> str:
    """The row of a run's model."""
    found = detect((folder,))
    loaded = load_views(found, max_size=64, max_images=10**6, repeated=True)
    assert loaded.points is not None
    views, geometry = assembled(loaded.views, mapping_of_model(loaded.points, loaded.views), 64, "colmap")
    count = len(views)
    compared = np.zeros((count, count), bool)
    compared[tuple(np.array(pairs_to_match(count)).T)] = True
    compared |= compared.T
    cells = judged_cells(geometry, compared)
    cut = best_cut(cells)
    against, judged = across(cells, cut)
    share = cells.against.sum() / max((cells.against + cells.agreeing).sum(), 1)
    report = folded(geometry, views.names, compared)
    said = "nothing" if report is None else f"{', '.join(report.photos)} beside {len(report.among)}"
    few = of_few(geometry, views.names, compared)
    return f"| {folder.parent.name}/{folder.name} | {count} | {share:.1%} | {against} of {judged} | {said} | {few} of {PARTS} |"


def of_few(geometry: Geometry, names: Sequence[str], compared: np.ndarray) -> int:
    """Of how many parts of a model, 3 to 12 of its photos drawn at random, something is said."""
    chance, said = np.random.default_rng(0), 0
    for _ in range(PARTS):
        rows: list[int] = sorted(chance.permutation(len(names))[: chance.integers(3, 13)].tolist())
        said += folded(geometry[rows], [names[i] for i in rows], compared[np.ix_(rows, rows)]) is not None
    return said


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("runs", type=Path)
    ask.add_argument("--seeds", type=int, default=6)
    options = ask.parse_args()
    print(f"| layout | {' | '.join(f'own {own}' for own in OWN)} | true ones suspected |\n|{' --- |' * (len(OWN) + 2)}")
    for layout in (*LAYOUTS, *NOT_FOUND):
        counts = [told(layout, own, range(options.seeds)) for own in OWN]
        cells = [f"{right} of {options.seeds}" for right, _ in counts]
        print(f"| {layout} | {' | '.join(cells)} | {sum(s for _, s in counts)} of {len(OWN) * options.seeds} |", flush=True)
    print(f"\n| run | photos | cells against | best cut | said | parts suspected |\n|{' --- |' * 6}")
    for report in sorted(options.runs.rglob("report.json")):
        print(of_run(report.parent), flush=True)


if __name__ == "__main__":
    main()
