"""Go on from the weights that are shipped, on whatever device is here, and keep the result only where it is better.

    python -m tools.continue_training --minutes 12

Everything counts into the minutes: the figures before and after, on 200 procedural scenes of 2 and of 4 views that nothing is
trained on, and the training between them with new scenes, a lower rate and a short warm-up (the optimiser's state is not
shipped). Better weights are written to recon3d/checkpoints, with a row of figures in recon3d-small.json; the page
recon3d-small.md shows these rows. Needs PyTorch, numba and, on a GPU, numba's CUDA target; no network.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor

from recon3d.models.small.network import SmallNetwork
from recon3d.models.weights import table
from recon3d.training import scenes
from recon3d.training.config import RECIPES, Training
from recon3d.training.loop import train
from recon3d.training.run import SHIPPED, beginning, write_weights
from recon3d.training.validation import Figures, measured

FOLDER = Path(__file__).parents[1] / "recon3d" / "checkpoints"
ROWS, PAGE = FOLDER / f"{SHIPPED}.json", FOLDER / f"{SHIPPED}.md"
BEGIN, END = "<!-- versions -->\n", "<!-- end of versions -->"
SCENES, VIEWS, SIZE = 200, (2, 4), (224, 224)
LOWER = 0.4  # of the recipe's rate
RESERVE = 20.0  # seconds for what is not foreseen


def figures(tensors: dict[str, Tensor], config: Training, device: str, count: int) -> dict[int, Figures]:
    network = SmallNetwork(config.network)
    network.load_state_dict(tensors)
    network = network.to(device).eval()
    return {views: measured(network, scenes.validation(count, views, SIZE)) for views in VIEWS}


def score(found: dict[int, Figures]) -> float:
    """What is compared: poses up, depth errors down."""
    return sum(f.auc30 - f.abs_rel for f in found.values())


def row(version: int, seconds: float, seen: int, steps: int, device: str, seed: int, found: dict[int, Figures]) -> dict:
    values = {f"{name}_{views}": value for views, f in found.items() for name, value in asdict(f).items()}
    return {"version": version, "minutes": round(seconds / 60, 1), "scenes": seen, "steps": steps, "device": device,
            "seed": seed, **values}  # fmt: skip


def name_of(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} cores, {platform.machine()}"


def versions() -> list[dict]:
    return json.loads(ROWS.read_text()) if ROWS.exists() else []


def publish(tensors: dict[str, Tensor], rows: list[dict]) -> None:
    """The weights, their rows, and the page's table."""
    write_weights(tensors, FOLDER / table()[SHIPPED].file)
    ROWS.write_text(json.dumps(rows, indent=1) + "\n")
    if PAGE.exists():
        before, rest = PAGE.read_text().split(BEGIN)
        PAGE.write_text(before + BEGIN + page_table(rows) + END + rest.split(END)[1])


def page_table(rows: list[dict]) -> str:
    lines = ["| version | on | minutes | scenes | 2 views: AUC@5 / 15 / 30 | AbsRel | 4 views: AUC@5 / 15 / 30 | AbsRel |",
             "|" + " --- |" * 8]  # fmt: skip
    for r in rows:
        auc = [" / ".join(f"{100 * r[f'auc{limit}_{views}']:.1f}" for limit in (5, 15, 30)) for views in VIEWS]
        lines.append(
            f"| {r['version']} | {r['device']} | {r['minutes']} | {r['scenes']} | {auc[0]} | {r['abs_rel_2']:.3f} "
            f"| {auc[1]} | {r['abs_rel_4']:.3f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--minutes", type=float, required=True)
    ask.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    ask.add_argument("--from", dest="start", default=SHIPPED, help="other weights to begin with")
    ask.add_argument("--scenes", type=int, default=SCENES, help="of the held-out figures")
    ask.add_argument("--recipe", choices=RECIPES, help="default: small-gpu or small-cpu")
    options = ask.parse_args()
    began = time.monotonic()
    rows = versions()
    seed = 1000 + len(rows)  # scenes that no version has seen
    recipe = RECIPES[options.recipe or ("small-gpu" if options.device == "cuda" else "small-cpu")]()
    start = beginning(options.start, recipe.network)
    before = figures(start, recipe, options.device, options.scenes)
    measuring = time.monotonic() - began
    print(f"before: {before}, measured in {measuring:.0f} s", flush=True)
    left = 60 * options.minutes - 2 * measuring - RESERVE
    if left <= 0:
        raise SystemExit(f"{options.minutes} minutes do not suffice to measure twice, which takes {2 * measuring:.0f} s")
    config = replace(
        recipe, seed=seed, minutes=left / 60, rate=LOWER * recipe.rate, warm_up=0.02, save_minutes=1e9, validate_steps=10**9,
        validation_scenes=1,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        state = train(config, Path(folder), options.device, start, lambda line: print(json.dumps(line), flush=True))
    tensors = {name: x.cpu() for name, x in state.ema.items()}
    after = figures(tensors, recipe, options.device, options.scenes)
    print(f"after: {after}", flush=True)
    if score(after) <= score(before):
        print(f"not better ({score(after):.4f} against {score(before):.4f}): nothing was written")
        return
    new = row(len(rows) + 1, state.seconds, state.scenes, state.step, name_of(options.device), seed, after)
    publish(tensors, [*rows, new])
    print(f"better ({score(after):.4f} against {score(before):.4f}): version {len(rows) + 1} written to {FOLDER}")


if __name__ == "__main__":
    main()
