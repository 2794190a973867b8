"""COLMAP's mappers on the same matches of whole scenes and parts of them: photos joined, errors, seconds.

    python -m tools.benchmarks.mappers ../shared/data

Features and matches of `--quality`; models must be believed, as in `recon3d run`, which tries settings in an order that rests
on these (`sfm.settings.IN_TURN`). Errors are medians over all pairs of joined views that have a reference;
seconds are of the processor. Prints a table in markdown as it goes.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from recon3d.core.views import Views
from recon3d.io.detect import detect
from recon3d.io.load import Loaded, load_views
from recon3d.io.photos import pictures
from recon3d.pipeline.choices import QUALITY
from recon3d.progress import Progress
from recon3d.sfm.attempts import attempt
from recon3d.sfm.matching import Matcher
from recon3d.sfm.models import Model
from recon3d.sfm.settings import DEFAULT, GLOBAL, RELAXED, Matching, Settings
from tools.benchmarks.few_views import median_errors

PARTS = {
    "flower": (slice(None),), "banana": (slice(None),), "kitchen": (slice(None), slice(0, 16), slice(5, 18)),
    "beach-drone": (slice(None), slice(2, 16)), "lund": (slice(None),),
    "street": (slice(None), slice(None, None, 2), slice(None, None, 4), slice(0, 24), slice(20, 44), slice(40, None)),
    "fountain-P11": (), "herz-jesu-P8": (),
}  # fmt: skip
FEW = (7, 8, 9, 10, 11, 12)  # evenly spread
Errors = tuple[float, float]  # medians over all pairs, degrees of rotation and translation


def sets_of(photos: list[Path], parts: Sequence[slice]) -> Iterator[tuple[str, list[Path]]]:
    """Sets of photos of a scene, and their numbers."""
    for part in parts:
        numbers = range(len(photos))[part]
        yield f"{len(numbers)} ({numbers[0]} to {numbers[-1]})", photos[part]
    for count in FEW:
        if count <= len(photos):
            numbers = np.round(np.linspace(0, len(photos) - 1, count)).astype(int).tolist()
            yield f"{count}, evenly spread", [photos[i] for i in numbers]


def cells(scene: Path, loaded: Loaded, matching: Matching, seed: int) -> list[str]:
    """What each of the settings comes to on the same matches; of many photos not the relaxed ones, which take too long."""
    views, found = loaded.views, []
    with tempfile.TemporaryDirectory(prefix="recon3d-mappers-") as folder:
        matched = Matcher(views, pictures(views), loaded.sequence, "cpu", 1, seed, Path(folder), scene.name, Progress())
        database = matched(matching)
        for settings in (DEFAULT, RELAXED, GLOBAL):
            many = settings is RELAXED and len(views) > max(FEW)
            errors_of = partial(median_errors, scene, views)
            found.append("" if many else cell(errors_of, views, database, replace(settings, matching=matching), seed))
    return found


def cell(errors_of: Callable[[Model], Errors | None], views: Views, database: Path, settings: Settings, seed: int) -> str:
    """Photos joined, errors and seconds; `errors_of` a model, where there is a reference."""
    begun = time.process_time()
    model = attempt(database, views, settings, 1, seed, Progress()).model
    took = f"{time.process_time() - begun:.1f} s"
    if model is None:
        return f"0, {took}"
    errors = errors_of(model)
    of_pairs = "no reference" if errors is None else f"{errors[0]:.3f}° / {errors[1]:.3f}°"
    return f"{len(model.views)}, {of_pairs}, {took}"


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("folder", type=Path)
    ask.add_argument("--scenes", nargs="+", choices=PARTS)
    ask.add_argument("--quality", choices=QUALITY, default="preview")
    ask.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    asked = ask.parse_args()
    matching = QUALITY[asked.quality].matching
    print("| scene | photos | seed | default | relaxed | global |\n| --- | --- | --- | --- | --- | --- |")
    for name in asked.scenes or PARTS:
        scene = asked.folder / name
        for part, photos in sets_of(sorted((scene / "images").iterdir()), PARTS[name]):
            loaded = load_views(detect(tuple(photos)))
            for seed in asked.seeds:
                print(f"| {name} | {part} | {seed} | {' | '.join(cells(scene, loaded, matching, seed))} |", flush=True)


if __name__ == "__main__":
    main()
