"""Methods beside COLMAP on five scenes of real photos, from 3, 6 and all views: poses and novel views, with the time it took.

    python -m tools.benchmarks.grid ../shared/data --out out/grid

Runs `recon3d eval poses` and `recon3d eval nvs` at 256 px. A row of the second is a folder of another program's results; here
`recon3d run` at preview quality on the same input photos stands for that program, made before the clock starts. Finished
records are not made again. Reports lie in OUT/poses and OUT/nvs.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from recon3d.data.posed_scene import Skipped
from recon3d.evaluation.engine import Evaluation, choices
from recon3d.evaluation.inputs import photo_file

SCENES = ("fountain-P11", "herz-jesu-P8", "flower", "banana", "street")
POSES = "colmap,colmap-few,recon3d-small"
NOVEL_VIEWS = "nearest photo,colmap+3dgs,colmap-few+3dgs,recon3d-small,recon3d-small+3dgs"
PREDICTED = "a folder"


def recon3d(*words: str) -> int:
    return subprocess.run([sys.executable, "-m", "recon3d.cli", *words], check=False).returncode


def linked(data: Path, names: list[str], folder: Path) -> Path:
    """A data set of the wanted scenes only."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        if not (folder / name).exists():
            (folder / name).symlink_to((data / name).resolve())
    return folder


def predict(scenes: Path, views: tuple[int | None, ...], folder: Path) -> None:
    """What `recon3d run` makes of each choice of input photos; where it refuses, there is no folder."""
    for subset in choices(Evaluation("nvs", scenes, folder, views=views)):
        if isinstance(subset, Skipped):
            continue
        out = folder / f"{subset.scene.name}@{len(subset.context)}"
        if not out.exists():
            photos = [str(photo_file(subset.scene, i, folder / "photos")) for i in subset.context]
            recon3d("run", *photos, "--out", str(out), "--quality", "preview", "--seed", "0")


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("data", type=Path)
    ask.add_argument("--out", type=Path, required=True)
    ask.add_argument("--scenes", nargs="*", default=list(SCENES))
    ask.add_argument("--views", default="3,6,all")
    options = ask.parse_args()
    scenes = linked(options.data, options.scenes, options.out / "scenes")
    predicted = options.out / "predicted"
    predict(scenes, tuple(None if count == "all" else int(count) for count in options.views.split(",")), predicted)
    for task, methods in (("poses", POSES), ("nvs", NOVEL_VIEWS)):
        more = ["--predictions", f"{PREDICTED}={predicted}"] if task == "nvs" else []
        words = [str(scenes), "--methods", methods, "--views", options.views, *more, "--out", str(options.out / task)]
        began = time.monotonic()
        code = recon3d("eval", task, *words)
        print(f"{task}: {(time.monotonic() - began) / 60:.1f} minutes, exit code {code}", flush=True)


if __name__ == "__main__":
    main()
