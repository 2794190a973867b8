"""Cameras from 3, 4 and 6 photos of every scene: which settings are believed, and how far they are from the reference.

    python tools/benchmarks/few_views.py SCENES > few_views.md

SCENES holds one folder a scene with `images/` and, where there is a reference, `cameras.json`. The photos are those at
round(linspace(0, n - 1, k)) of the sorted names. Errors are medians over all pairs of registered views that have a
reference. Further settings are tried as in `recon3d run`: only where those before them did not register enough.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
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

HEADER = (
    "| scene | photos | settings | registered | rotation ° | translation ° | agreement | result | seconds |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
)


def rows(scene: Path, counts: list[int], seed: int) -> Iterator[str]:
    """The rows of one scene as they are found; a star marks the model that a run would use."""
    found = detect([scene / "images"])
    for count in counts:
        chosen = np.round(np.linspace(0, len(found.files) - 1, count)).astype(int).tolist()
        views = load_views(detect([found.files[i] for i in chosen])).views
        start = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="recon3d-few-views-") as folder:
            progress = Progress()
            matched = Matcher(views, pictures(views), False, 1, seed, Path(folder), scene.name, progress)
            try:
                tried = try_in_turn(matched, views, 1, seed, progress)
            except InputError as error:
                yield f"| {scene.name} | {count} | – | 0/{count} | – | – | – | refused: {error.what} | – |"
                continue
        seconds = time.perf_counter() - start
        best = max(tried, key=views_then_agreement)
        for a in tried:
            yield row(scene, views, a, a is best and a.model is not None, seconds if a is tried[-1] else None)


def row(scene: Path, views: Views, tried: Attempt, best: bool, seconds: float | None) -> str:
    """One attempt; `seconds` of all attempts stand in the last one's row."""
    errors, registered, agreement = "– | –", "0", "–"
    if tried.model is not None:
        registered, errors = str(len(tried.model.views)), median_errors(scene, views, tried.model)
    if tried.measured is not None:
        agreement = f"{tried.measured.agreement:.3f} of {tried.measured.held_back}"
    result = "accepted" if tried.model is not None else f"refused: {tried.refused}"
    return (
        f"| {scene.name} | {len(views)} | {tried.settings.name}{' *' if best else ''} | {registered}/{len(views)} | "
        f"{errors} | {agreement} | {result} | {'' if seconds is None else f'{seconds:.0f}'} |"
    )


def median_errors(scene: Path, views: Views, model: Model) -> str:
    """Median rotation and translation error in degrees, as two cells of the table."""
    file = scene / "cameras.json"
    reference = {camera.name: camera.camera_from_world for camera in read_cameras(file)} if file.is_file() else {}
    shared = [i for i, view in enumerate(model.views) if reference.get(views.names[view]) is not None]
    if len(shared) < 2:
        return "no reference | –"
    truth = torch.from_numpy(np.stack([np.asarray(reference[views.names[model.views[i]]]) for i in shared]))
    errors = pair_errors(torch.from_numpy(model.camera_from_world[shared]), truth)
    return f"{errors.rotation.median():.2f} | {errors.translation.median():.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("scenes", type=Path, help="folder of scenes")
    parser.add_argument("--photos", type=int, nargs="+", default=[3, 4, 6])
    parser.add_argument("--only", nargs="+", help="names of scenes")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    print(HEADER)
    for scene in sorted(args.scenes.iterdir()):
        if (scene / "images").is_dir() and (args.only is None or scene.name in args.only):
            for line in rows(scene, args.photos, args.seed):
                print(line, flush=True)


if __name__ == "__main__":
    main()
