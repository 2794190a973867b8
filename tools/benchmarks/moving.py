"""Somebody walks through the photos: what refinement makes of it, with distractors left out of the loss and without.

    python -m tools.benchmarks.moving ../shared/data --out out/moving

A scene is a folder with `images/`. Cameras come from all photos as they are, so that only seeds and refinement are measured.
Into every second photo that is not held out an ellipse of another scene's photo is painted, each time in another place; held-
photos stay clean. The table has PSNR of these, and PSNR of the painted pixels against the photo without the paint: what stands
there is a floater. Beside the dirty photos, with and without: training on the clean photos, and on dirty ones with the true
masks, which is the most that leaving out can reach. `static` is the clean photos with distractors looked for: nothing may be
lost there. The folder gets `moving.json`, and pictures of one painted view of each scene.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import torch
from torch import Tensor

from recon3d.atomic import make_parents
from recon3d.core.gaussians import Gaussians
from recon3d.core.geometry import Geometry
from recon3d.core.scene import Scene
from recon3d.core.views import Views
from recon3d.metrics.image import psnr
from recon3d.pipeline.holdout import measure
from recon3d.progress import Progress
from recon3d.reconstruction.refinement.refine import Refined, Refinement, refine, warm_up
from recon3d.reconstruction.seeding.seed import seed
from recon3d.rendering.render import render
from tools.benchmarks.refinement import cameras_of, held_out_scene

SCENES = ("fountain-P11", "herz-jesu-P8", "flower", "banana", "beach-drone")
COLUMNS = (
    "| scene | seed | painted | held out: clean | true masks | with | without | painted pixels: clean | true masks "
    "| with | without | found | wrongly |\n|" + "---|" * 13
)
STATIC_COLUMNS = "| scene | seed | held out: without | with | photos with something left out at the end |\n|" + "---|" * 5


@dataclass(frozen=True)
class Painted:
    """Photos with somebody in them, and where (bool), by view."""

    views: Views
    where: dict[int, Annotated[Tensor, "H W"]]

    @property
    def masked(self) -> Views:
        """The same with the true masks."""
        masks = [torch.ones(image.shape[1:], dtype=torch.bool) for image in self.views.images]
        return replace(self.views, masks=tuple(~self.where[i] if i in self.where else m for i, m in enumerate(masks)))


def painted(views: Views, share: float, texture: Annotated[np.ndarray, "H W 3"], number: int) -> Painted:
    """An upright ellipse over `share` of every second seen photo, in a place of its own; `number` decides where."""
    random = np.random.default_rng(number)
    images, where = list(views.images), {}
    for i in (~views.held_out).nonzero()[:, 0].tolist()[number % 2 :: 2]:
        height, width = images[i].shape[1:]
        tall = min(math.sqrt(2 * share * height * width / math.pi), 0.46 * height)  # half axes
        wide = share * height * width / (math.pi * tall)
        x, y = random.uniform(wide, width - wide), random.uniform(tall, height - tall)
        box = [round(y - tall), round(y + tall), round(x - wide), round(x + wide)]
        top, bottom, left, right = np.clip(box, 0, [height, height, width, width])
        patch = np.zeros((height, width, 3), np.uint8)
        patch[top:bottom, left:right] = cv2.resize(texture, (int(right - left), int(bottom - top)), interpolation=cv2.INTER_AREA)
        rows, columns = np.mgrid[:height, :width] + 0.5
        inside = torch.from_numpy(((columns - x) / wide) ** 2 + ((rows - y) / tall) ** 2 <= 1)
        images[i] = torch.where(inside, torch.from_numpy(patch).permute(2, 0, 1), images[i])
        where[i] = inside
    return Painted(replace(views, images=tuple(images)), where)


def seeds_of(views: Views, known: Geometry) -> Gaussians:
    seen = ~views.held_out
    return seed(views[seen], known[seen])


def held_out(gaussians: Gaussians, known: Geometry, clean: Views) -> float:
    return measure(Scene(gaussians, known, clean))["mean"]["psnr"]


def there(gaussians: Gaussians, known: Geometry, clean: Views, where: dict[int, Tensor]) -> float:
    """Mean PSNR over the painted pixels against the photos without the paint."""
    values = [psnr(picture(gaussians, known, i), clean.rgb(i), inside) for i, inside in where.items()]
    return sum(values) / len(values)


def picture(gaussians: Gaussians, known: Geometry, i: int) -> Annotated[Tensor, "3 H W"]:
    return render(gaussians, known.cameras[[i]], device="cpu").rgb[0].clamp(0, 1)


def shares_of(found: Refined, views: Views, where: dict[int, Tensor]) -> tuple[float, float]:
    """Of the painted photos: which share had something left out; of the others likewise."""
    seen = (~views.held_out).nonzero()[:, 0].tolist()
    clean = [i for i in seen if i not in where]
    right = sum(i in found.distractors for i in where) / max(len(where), 1)
    return right, sum(i in found.distractors for i in clean) / max(len(clean), 1)


def moving_row(
    name: str, clean: Views, known: Geometry, share: float, texture: np.ndarray, options: Refinement, out: Path,
    trained: Gaussians,
) -> dict[str, Any]:  # fmt: skip
    """Training on one scene's painted photos, four ways."""
    dirty = painted(clean, share, texture, options.seed)
    plain = replace(options, robust=False)
    seeds = seeds_of(dirty.views, known)
    robust = refine(dirty.views, known, seeds, options)
    ways = {
        "clean": trained,
        "true_masks": refine(dirty.masked, known, seeds_of(dirty.masked, known), plain).gaussians,
        "with": robust.gaussians,
        "without": refine(dirty.views, known, seeds, plain).gaussians,
    }
    view = next(iter(dirty.where))
    shown = [dirty.views.rgb(view), *(picture(ways[way], known, view) for way in ("without", "with", "clean"))]
    strip = (torch.cat(shown, 2).permute(1, 2, 0).flip(2) * 255).round().to(torch.uint8).numpy()
    cv2.imwrite(str(out / f"{name}_{share:g}_{options.seed}.png"), strip)
    found, wrongly = shares_of(robust, clean, dirty.where)
    return {
        "scene": name, "seed": options.seed, "share": share, "found": found, "wrongly": wrongly,
        "held_out": {way: held_out(gaussians, known, clean) for way, gaussians in ways.items()},
        "there": {way: there(gaussians, known, clean, dirty.where) for way, gaussians in ways.items()},
    }  # fmt: skip


def moving_line(row: dict[str, Any]) -> str:
    both = [f"{row[key][way]:.2f}" for key in ("held_out", "there") for way in ("clean", "true_masks", "with", "without")]
    shares = f"{row['found']:.0%} | {row['wrongly']:.0%}"
    return f"| {row['scene']} | {row['seed']} | {row['share']:.0%} | {' | '.join(both)} | {shares} |"


def recovered(rows: list[dict[str, Any]], share: float) -> str:
    """How much of what the paint costs is got back, in the mean over the rows."""
    some = [row for row in rows if row["share"] == share]
    texts = []
    for key in ("held_out", "there"):
        mean = {way: sum(row[key][way] for row in some) / len(some) for way in some[0][key]}
        lost, back = mean["clean"] - mean["without"], mean["with"] - mean["without"]
        most = mean["true_masks"] - mean["without"]
        texts.append(f"{key}: {back:.2f} of {lost:.2f} dB ({back / lost:.0%}); true masks {most:.2f} dB")
    return f"{share:.0%} painted, {'; '.join(texts)}"


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("folder", type=Path)
    ask.add_argument("--out", type=Path, required=True)
    ask.add_argument("--scenes", nargs="*", default=SCENES)
    ask.add_argument("--shares", nargs="*", type=float, default=[0.03, 0.1], help="none: clean photos only")
    ask.add_argument("--seeds", nargs="*", type=int, default=[0, 1])
    ask.add_argument("--holdout", default="5:1")
    ask.add_argument("--steps", type=int, default=500)
    ask.add_argument("--max-size", type=int, default=256)
    options = ask.parse_args()
    make_parents(options.out / "moving.json")
    options.out.mkdir(exist_ok=True)
    warm_up()
    flat = {}
    for name in options.scenes:
        views, found = cameras_of(options.folder / name, 512, Progress())
        flat[name] = held_out_scene(views, found, options.holdout, options.max_size)
    rows: list[dict[str, Any]] = []
    static = []
    print(COLUMNS if options.shares else STATIC_COLUMNS, flush=True)
    for k, (name, (clean, known)) in enumerate(flat.items()):
        other = list(flat.values())[(k + 1) % len(flat)][0].images[0].permute(1, 2, 0).numpy()
        texture = other[:, other.shape[1] // 4 : other.shape[1] * 3 // 5]
        seeds = seeds_of(clean, known)
        for number in options.seeds:
            asked = Refinement(steps=options.steps, seed=number)
            trained = refine(clean, known, seeds, replace(asked, robust=False)).gaussians
            for share in options.shares:
                rows.append(moving_row(name, clean, known, share, texture, asked, options.out, trained))
                print(moving_line(rows[-1]), flush=True)
            looked = refine(clean, known, seeds, asked)
            values = f"{held_out(trained, known, clean):.2f} | {held_out(looked.gaussians, known, clean):.2f}"
            static.append(f"| {name} | {number} | {values} | {len(looked.distractors)} |")
            if not options.shares:
                print(static[-1], flush=True)
            (options.out / "moving.json").write_text(json.dumps(rows, indent=1) + "\n")
    if options.shares:
        print("\n".join(["", *(recovered(rows, share) for share in options.shares), "", STATIC_COLUMNS, *static]))


if __name__ == "__main__":
    main()
