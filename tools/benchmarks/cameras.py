"""Time to cameras and how good they are, by --quality, which sets the size of pictures and the number of features.

    python -m tools.benchmarks.cameras ../shared/data --out out/cameras

Scenes hold `images/` and `cameras.json`, the reference. Errors are medians over all pairs of registered views. Seconds are
of the processor (all threads), so that other programs disturb them little; the first scene runs once before, so that no row
loads modules. Prints a table in markdown, with times as shares of those of `high`; the folder gets `cameras.json`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from recon3d.core.views import Views
from recon3d.errors import InputError
from recon3d.io.cameras_json import read_cameras
from recon3d.io.detect import detect
from recon3d.io.load import load_views
from recon3d.metrics.poses import pair_errors
from recon3d.pipeline.choices import QUALITY
from recon3d.progress import Event, Progress
from recon3d.sfm.mapping import Mapping
from recon3d.sfm.registration import geometry
from recon3d.sfm.settings import attempts

SCENES = ("fountain-P11", "herz-jesu-P8", "kitchen", "flower", "banana", "beach-drone", "street")


class Steps:
    """Processor seconds of each step that reports its advance, and of what follows the last of them (mapping)."""

    def __init__(self) -> None:
        self.begun = self.last = time.process_time()
        self.seconds = {"features": 0.0, "matching": 0.0}

    def __call__(self, event: Event) -> None:
        if event.kind == "advance" and event.text in self.seconds:
            now = time.process_time()
            self.seconds[event.text] += now - self.last
            self.last = now

    def ended(self) -> dict[str, float]:
        total = time.process_time() - self.begun
        return {**self.seconds, "mapping": total - sum(self.seconds.values()), "total": total}


def row_of(folder: Path, views: Views, sequence: bool, quality: str, seed: int | None) -> dict[str, Any]:
    steps = Steps()
    start = time.perf_counter()
    try:
        found = geometry(
            views, settings=attempts(QUALITY[quality].matching, len(views)), device="cpu", seed=seed, sequence=sequence,
            where=folder.name, progress=Progress(steps),
        )  # fmt: skip
    except InputError as error:
        return {"scene": folder.name, "quality": quality, "registered": 0, "views": len(views), "refused": error.what}
    seconds = {name: round(value, 2) for name, value in steps.ended().items()}
    rotation, translation = errors_of(folder, views, found)
    return {
        "scene": folder.name, "quality": quality, "registered": len(found.registered), "views": len(views),
        "settings": found.settings, "points": len(found.points), "rotation": rotation, "translation": translation,
        "wall": round(time.perf_counter() - start, 2), **seconds,
    }  # fmt: skip


def errors_of(folder: Path, views: Views, found: Mapping) -> tuple[float, float]:
    """Median rotation and translation error in degrees over the pairs of registered views with a reference."""
    reference = {c.name: c.camera_from_world for c in read_cameras(folder / "cameras.json")}
    shared = [k for k, view in enumerate(found.registered) if reference.get(views.names[view]) is not None]
    truth = torch.from_numpy(np.stack([np.asarray(reference[views.names[found.registered[k]]]) for k in shared]))
    errors = pair_errors(found.camera_from_world[shared], truth)
    return float(errors.rotation.median()), float(errors.translation.median())


def table(rows: Sequence[dict[str, Any]]) -> str:
    whole = {r["scene"]: r.get("total") for r in rows if r["quality"] == "high"}
    lines = [
        "| scene | quality | registered | rotation ° | translation ° | features, s | matching, s | mapping, s | share of time |",
        "|" + " --- |" * 9,
    ]
    for r in rows:
        if "refused" in r:
            lines.append(f"| {r['scene']} | {r['quality']} | 0/{r['views']} | {r['refused']} |" + " |" * 5)
            continue
        share = r["total"] / whole[r["scene"]] if whole.get(r["scene"]) else float("nan")
        lines.append(
            f"| {r['scene']} | {r['quality']} | {r['registered']}/{r['views']} ({r['settings']}) | {r['rotation']:.3f} "
            f"| {r['translation']:.3f} | {r['features']:.1f} | {r['matching']:.1f} | {r['mapping']:.1f} | {share:.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("folder", type=Path)
    ask.add_argument("--out", type=Path, required=True)
    ask.add_argument("--scenes", nargs="*", default=SCENES)
    ask.add_argument("--qualities", nargs="*", choices=QUALITY, default=list(QUALITY))
    ask.add_argument("--seed", type=int, help="COLMAP runs on one thread then, and repeats")
    options = ask.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for name in options.scenes:
        loaded = load_views(detect((options.folder / name / "images",)))
        if not rows:
            row_of(options.folder / name, loaded.views, loaded.sequence, "preview", options.seed)
        for quality in options.qualities:
            rows.append(row_of(options.folder / name, loaded.views, loaded.sequence, quality, options.seed))
            print(rows[-1], file=sys.stderr, flush=True)
            (options.out / "cameras.json").write_text(json.dumps(rows, indent=1) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
