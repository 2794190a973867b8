"""`recon3d eval`: methods measured on data sets, with COLMAP beside them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import tyro

from recon3d.cli.options import act, parse
from recon3d.cli.screen import listening, print_json
from recon3d.errors import InputError, check_exists
from recon3d.pipeline.shards import Shard
from recon3d.progress import Progress

HELP = """usage: recon3d eval TASK DATASET --out FOLDER ...
       recon3d eval merge FOLDER ... --out FOLDER

  nvs       views that a method was not given: PSNR, SSIM, LPIPS
  poses     cameras: AUC, RRA, RTA, ATE
  depth     AbsRel, delta (data sets with depth beside their photos, as recon3d synth writes it)
  points    accuracy, completeness, F-score (the same data sets)
  merge     one report of the folders that shards have written

What was measured stands, what failed is measured again. recon3d eval TASK --help tells about the flags."""
ABOUT = "Methods on a data set, and a report of them: report.json, report.md, report.html."


@dataclass(frozen=True)
class Options:
    dataset: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DATASET")]
    """Folders with known cameras, chunks of RealEstate10K, ACID or DL3DV, or scene folders of DL3DV."""
    out: Path
    """Where records, pictures and the report go."""
    methods: str = ""
    """Names with commas between: colmap, colmap-few, a row of --geometry or --splats of recon3d run, lift, nearest photo.
    +3dgs behind a name: its splats are refined, with as many steps for all."""
    predictions: tuple[str, ...] = ()
    """NAME=FOLDER: what another program wrote (docs/predictions.md)."""
    weights: tuple[str, ...] = ()
    """NAME=FILE: of a network, in the place of its published ones; a checkpoint, a folder with one, or random."""
    views: str = "3,6,all"
    """Numbers of input views, where no --frames name them."""
    frames: Path | None = None
    """A list of context and target frames: a published index, or a JSON list of scene, context and target."""
    rules: Literal["none", "pixelsplat", "depthsplat", "depthsplat-dl3dv", "ilrm-dl3dv"] = "none"
    """Which scenes a published protocol leaves out."""
    split: Literal["test", "train"] = "test"
    """Of chunks."""
    size: str = "256"
    """Of pictures: the longest side, or height x width (256x448), cropped as published loaders do."""
    cameras: Literal["found", "given"] = "found"
    """found: methods find cameras; target cameras are then found in their world. given: those of the data set."""
    holdout: str = "8:4"
    """Photos that novel views are measured on, where no --frames name them."""
    alignment: Literal["none", "median", "scale", "scale_shift"] = "median"
    """Of depth, one for a scene."""
    lpips: Path | None = None
    """torchvision's vgg16-397923af.pth; without it LPIPS is unavailable."""
    name: str | None = None
    """Of the data set in the report; published numbers stand beside re10k and dl3dv."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where splats are rendered."""
    seed: int = 0
    """Of everything that is drawn."""
    shard: str = "1/1"
    """i/n: every n-th record. Give each its own --out and merge them, or the same one."""
    ray: str | None = None
    """Spread over a Ray cluster whose machines share --out: auto, or its address."""
    json: bool = False
    """Print the report as JSON."""


@dataclass(frozen=True)
class MergeOptions:
    folders: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
    """What shards have written."""
    out: Path
    """A folder for all of it."""


def main(arguments: list[str]) -> None:
    act("eval", arguments, ACTIONS, HELP)


def evaluated(task: Literal["nvs", "poses", "depth", "points"], arguments: list[str]) -> None:
    options = parse(Options, f"eval {task}", arguments, ABOUT)
    views, shard = views_of(options.views), Shard.parsed(options.shard)
    predictions = tuple(prediction_of(text) for text in options.predictions)
    weights = tuple(named("--weights", text) for text in options.weights)
    check_exists(options.dataset, "recon3d data check says what is read")

    from recon3d.evaluation.engine import Evaluation, evaluate, evaluate_on_ray
    from recon3d.evaluation.report import write_report

    asked = Evaluation(
        task, options.dataset, options.out, tuple(n.strip() for n in options.methods.split(",") if n.strip()), predictions,
        weights, views, options.frames, options.rules, options.split, options.size, options.cameras, options.holdout,
        options.alignment, options.lpips, options.name, options.device, options.seed, shard,
    )  # fmt: skip
    if options.ray is not None:
        evaluate_on_ray(asked, options.ray)
    else:
        with listening(options.json) as show:
            evaluate(asked, Progress(show))
    told(write_report(options.out), options.json)


def told(paths: Sequence[Path], as_json: bool) -> None:
    if as_json:
        print_json(json.loads(paths[0].read_text()))
        return
    print(paths[1].read_text(), end="")
    print("written:", ", ".join(str(path) for path in paths))


def merged(arguments: list[str]) -> None:
    options = parse(MergeOptions, "eval merge", arguments, "One report of the folders that shards have written.")
    from recon3d.evaluation.engine import merge
    from recon3d.evaluation.report import write_report

    merge(options.folders, options.out)
    told(write_report(options.out), False)


def views_of(text: str) -> tuple[int | None, ...]:
    """"3,6,all"; None is all."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words or not all(word == "all" or word.isdigit() for word in words):
        raise InputError("--views", f"'{text}' names no numbers of views", "Give some as 3,6,all")
    return tuple(None if word == "all" else int(word) for word in words)


def prediction_of(text: str) -> tuple[str, Path]:
    name, folder = named("--predictions", text)
    check_exists(Path(folder), "docs/predictions.md says how files are named")
    return name, Path(folder)


def named(flag: str, text: str) -> tuple[str, str]:
    """"NAME=PLACE" in two. Raises InputError at the flag."""
    name, _, place = text.partition("=")
    if not name or not place:
        raise InputError(flag, f"'{text}' is not NAME=PLACE", "Give the name, then where its files lie")
    return name, place


ACTIONS: dict[str, Callable[[list[str]], None]] = {
    "nvs": partial(evaluated, "nvs"), "poses": partial(evaluated, "poses"), "depth": partial(evaluated, "depth"),
    "points": partial(evaluated, "points"), "merge": merged,
}  # fmt: skip
