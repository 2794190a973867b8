"""Cameras from 3, 4 and 6 photos of every scene: which settings are believed, and how far they are from the reference.

    python tools/benchmarks/few_views.py SCENES > few_views.md

SCENES holds one folder a scene with `images/` and, where there is a reference, `cameras.json`. The photos are those at
round(linspace(0, n - 1, k)) of the sorted names. Errors are medians over all pairs of registered views that have a
reference. Further settings are tried as in `recon3d run`: only where those before them did not register enough. The table
of all attempts is printed as they end, and after it a short one of what a run takes.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from recon3d.core.views import Views
from recon3d.errors import InputError
from recon3d.io.cameras_json import read_cameras
from recon3d.io.detect import detect
from recon3d.io.load import load_views
from recon3d.io.photos import pictures
from recon3d.metrics.poses import pair_errors
from recon3d.progress import Progress
from recon3d.sfm.attempts import Attempt
from recon3d.sfm.mapping import try_in_turn, views_then_agreement
from recon3d.sfm.matching import Matcher
from recon3d.sfm.models import Model
from recon3d.sfm.settings import Matching, attempts

HEADER = (
    "| scene | photos | settings | registered | rotation ° | translation ° | agreement | result | seconds |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
)


@dataclass(frozen=True)
class Row:
    """One attempt on some photos of a scene."""

    scene: str
    photos: int
    settings: str
    taken: bool  # a run would use its model
    registered: int
    errors: tuple[float, float] | None  # rotation and translation, degrees; None without a model or a reference
    agreement: str
    refused: str | None  # why there is no model
    seconds: float | None  # of all attempts on these photos, in the last one's row


def rows(scene: Path, counts: Sequence[int], seed: int) -> Iterator[Row]:
    """The rows of one scene as they are found."""
    found = detect([scene / "images"])
    for count in counts:
        chosen = np.round(np.linspace(0, len(found.files) - 1, count)).astype(int).tolist()
        views = load_views(detect([found.files[i] for i in chosen])).views
        start = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="recon3d-few-views-") as folder:
            progress = Progress()
            matched = Matcher(views, pictures(views), False, "cpu", 1, seed, Path(folder), scene.name, progress)
            try:
                tried = try_in_turn(matched, views, attempts(Matching(), len(views)), 1, seed, progress)
            except InputError as error:
                yield Row(scene.name, count, "–", False, 0, None, "–", error.what, None)
                continue
        seconds = time.perf_counter() - start
        best = max(tried, key=views_then_agreement)
        for a in tried:
            yield row_of(scene, views, a, a is best and a.model is not None, seconds if a is tried[-1] else None)


def row_of(scene: Path, views: Views, tried: Attempt, taken: bool, seconds: float | None) -> Row:
    return Row(
        scene.name,
        len(views),
        tried.settings.name,
        taken,
        0 if tried.model is None else len(tried.model.views),
        None if tried.model is None else median_errors(scene, views, tried.model),
        "–" if tried.measured is None else f"{tried.measured.agreement:.3f} of {tried.measured.held_back}",
        tried.refused if tried.model is None else None,
        seconds,
    )


def median_errors(scene: Path, views: Views, model: Model) -> tuple[float, float] | None:
    """Median rotation and translation error in degrees; None where fewer than two views have a reference."""
    file = scene / "cameras.json"
    reference = {camera.name: camera.camera_from_world for camera in read_cameras(file)} if file.is_file() else {}
    shared = [i for i, view in enumerate(model.views) if reference.get(views.names[view]) is not None]
    if len(shared) < 2:
        return None
    truth = torch.from_numpy(np.stack([np.asarray(reference[views.names[model.views[i]]]) for i in shared]))
    errors = pair_errors(torch.from_numpy(model.camera_from_world[shared]), truth)
    return float(errors.rotation.median()), float(errors.translation.median())


def line(row: Row) -> str:
    """The row of the table of all attempts; a star marks what a run takes."""
    errors = "– | –" if row.refused else "no reference | –"
    if row.errors is not None:
        errors = f"{row.errors[0]:.2f} | {row.errors[1]:.2f}"
    return (
        f"| {row.scene} | {row.photos} | {row.settings}{' *' if row.taken else ''} | {row.registered}/{row.photos} | "
        f"{errors} | {row.agreement} | {f'refused: {row.refused}' if row.refused else 'accepted'} | "
        f"{'' if row.seconds is None else f'{row.seconds:.0f}'} |"
    )


def short_table(found: Sequence[Row]) -> str:
    """What a run takes: a row for each scene, a column for each number of photos, both in the order in which they came."""
    scenes, counts = list(dict.fromkeys(row.scene for row in found)), list(dict.fromkeys(row.photos for row in found))
    taken = {(row.scene, row.photos): short(row) for row in found if row.taken}
    head = ["scene", *(f"{count} photos" for count in counts)]
    cells = [head, ["---"] * len(head)]
    cells += [[scene, *(taken.get((scene, count), "refused") for count in counts)] for scene in scenes]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def short(row: Row) -> str:
    """Settings, how many photos are joined, and the errors of rotation and translation."""
    errors = "no reference" if row.errors is None else f"{row.errors[0]:.2f}° / {row.errors[1]:.2f}°"
    return f"{row.settings} {row.registered}/{row.photos}, {errors}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("scenes", type=Path, help="folder of scenes")
    parser.add_argument("--photos", type=int, nargs="+", default=[3, 4, 6])
    parser.add_argument("--only", nargs="+", help="names of scenes")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    found = []
    print(HEADER)
    for scene in sorted(args.scenes.iterdir()):
        if (scene / "images").is_dir() and (args.only is None or scene.name in args.only):
            for row in rows(scene, args.photos, args.seed):
                print(line(row), flush=True)
                found.append(row)
    print(f"\n{short_table(found)}")


if __name__ == "__main__":
    main()
