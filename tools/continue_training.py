"""Go on from the weights that are shipped, on whatever device is here, and keep the result only where it is better.

    python -m tools.continue_training --minutes 12
    python -m tools.continue_training --minutes 12 --recipe joint-gpu

Everything counts into the minutes: the figures before and after, on 200 procedural scenes that nothing is trained on, and the
training between them with new scenes, a lower rate and a short warm-up (the optimiser's state is not shipped). Better weights
are written to recon3d/checkpoints, with a row of figures in NAME.json; the page NAME.md shows these rows, and their curve over
scenes seen (tools.training_curve). Where a network has
none yet it begins from nothing. Needs PyTorch, numba and, on a GPU, numba's CUDA target and, for the joint network, gsplat;
no network.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from recon3d.models.weights import table
from recon3d.training.config import RECIPES, Training
from recon3d.training.loop import begun, train
from recon3d.training.run import beginning, write_weights
from recon3d.training.tasks import task_of
from tools.training_curve import IMAGES, PANELS, plot

FOLDER = Path(__file__).parents[1] / "recon3d" / "checkpoints"
BEGIN, END = "<!-- versions -->\n", "<!-- end of versions -->"
SCENES = 200
LOWER = 0.4  # of the recipe's rate
RESERVE = 20.0  # seconds for what is not foreseen
# Columns of the table on a network's page: figures, and how they are written.
COLUMNS = {
    "recon3d-small": {
        f"{views} views: AUC@5 / 15 / 30 % | AbsRel": f"{{auc5_{views}:.1%}} / {{auc15_{views}:.1%}} / {{auc30_{views}:.1%}} "
        f"| {{abs_rel_{views}:.3f}}" for views in (2, 4)
    },
    "recon3d-joint": {f"{(views + 1) // 2} inputs: PSNR of views between": f"{{psnr_{views}:.2f}}" for views in (5, 7)},
}  # fmt: skip


@dataclass(frozen=True)
class Published:
    """A network's weights, rows of figures and page in the checkpoints."""

    name: str

    @property
    def rows_file(self) -> Path:
        return FOLDER / f"{self.name}.json"

    def rows(self) -> list[dict]:
        return json.loads(self.rows_file.read_text()) if self.rows_file.exists() else []

    def write(self, tensors: dict[str, Tensor], rows: list[dict]) -> None:
        """The weights, their rows, and the page's table and curve."""
        write_weights(tensors, FOLDER / table()[self.name].file)
        self.rows_file.write_text(json.dumps(rows, indent=1) + "\n")
        page = FOLDER / f"{self.name}.md"
        if self.name in PANELS:
            plot(self.name, rows, IMAGES / f"{self.name}.png")
        if page.exists():
            before, rest = page.read_text().split(BEGIN)
            page.write_text(before + BEGIN + self.page_table(rows) + END + rest.split(END)[1])

    def page_table(self, rows: list[dict]) -> str:
        columns = COLUMNS[self.name]
        names = " | ".join(["version", "on", "minutes", "scenes", *columns])
        lines = [f"| {names} |", "|" + " --- |" * (names.count("|") + 1)]
        shown = " | ".join(["{version}", "{device}", "{minutes}", "{scenes}", *columns.values()])
        return "\n".join(lines + [f"| {shown.format(**row)} |" for row in rows]) + "\n"


def figures(tensors: dict[str, Tensor], config: Training, device: str) -> dict[str, float]:
    task = task_of(config)
    network = task.build(config.network)
    network.load_state_dict(tensors)
    with torch.no_grad():
        return task.figures(network.to(device).eval(), config)


def name_of(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} cores, {platform.machine()}"


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--minutes", type=float, required=True)
    ask.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    ask.add_argument("--from", dest="start", help="other weights to begin with")
    ask.add_argument("--scenes", type=int, default=SCENES, help="of the held-out figures")
    ask.add_argument("--recipe", choices=RECIPES, help="default: small-gpu or small-cpu")
    options = ask.parse_args()
    began = time.monotonic()
    recipe = RECIPES[options.recipe or ("small-gpu" if options.device == "cuda" else "small-cpu")]()
    task = task_of(recipe)
    published = Published(task.shipped)
    rows = published.rows()
    recipe = replace(recipe, seed=1000 + len(rows), validation_scenes=options.scenes)  # scenes that no version has seen
    start = beginning(options.start or task.shipped, recipe) if rows or options.start else None
    before = figures(begun(recipe, torch.device("cpu"), start).ema, recipe, options.device)
    measuring = time.monotonic() - began
    print(f"before: {before}, measured in {measuring:.0f} s", flush=True)
    left = 60 * options.minutes - 2 * measuring - RESERVE
    if left <= 0:
        raise SystemExit(f"{options.minutes} minutes do not suffice to measure twice, which takes {2 * measuring:.0f} s")
    lower = {} if start is None else {"rate": LOWER * recipe.rate, "warm_up": 0.02}
    config = replace(
        recipe, minutes=left / 60, save_minutes=1e9, validate_steps=10**9, validation_scenes=1, **lower
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        state = train(config, Path(folder), options.device, start, lambda line: print(json.dumps(line), flush=True))
    tensors = {name: x.cpu() for name, x in state.ema.items()}
    after = figures(tensors, recipe, options.device)
    print(f"after: {after}", flush=True)
    if task.score(after) <= task.score(before):
        print(f"not better ({task.score(after):.4f} against {task.score(before):.4f}): nothing was written")
        return
    new = {
        "version": len(rows) + 1, "minutes": round(state.seconds / 60, 1), "scenes": state.scenes, "steps": state.step,
        "device": name_of(options.device), "seed": recipe.seed, **after,
    }  # fmt: skip
    published.write(tensors, [*rows, new])
    print(f"better ({task.score(after):.4f} against {task.score(before):.4f}): version {len(rows) + 1} written to {FOLDER}")


if __name__ == "__main__":
    main()
