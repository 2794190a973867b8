"""What the simple test calls sky (reconstruction/sky.py): on photos, and on procedural scenes whose sky is known.

    python -m tools.benchmarks.sky ../shared/data --out out/sky

Depth of photos is recon3d-small's, that of procedural scenes true with 5 % noise, their sky as far off as the farthest surface.
Prints tables in markdown; the folder gets a sheet of pictures, sky in magenta, to look at.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from recon3d.data.batch import rendered
from recon3d.data.shots import drawn
from recon3d.io.detect import detect
from recon3d.io.load import load_views
from recon3d.io.photos import read_photo
from recon3d.io.pictures import write_picture
from recon3d.models import checkpoints
from recon3d.models.pictures import Pass
from recon3d.models.weights import table as weights_table
from recon3d.progress import Progress
from recon3d.reconstruction.sky import sky_of
from tools.ablation_joint import noise

SCENES = ("street", "fountain-P11", "herz-jesu-P8", "beach-drone", "lund", "kitchen", "room", "flower", "banana")
PHOTOS, SHOWN = 12, 8  # of a scene
VIEWS, PICTURE, NOISE = 4, (144, 192), 0.05  # of procedural scenes
CELL = (192, 144)  # of the sheet


def of_photos(folder: Path, names: Sequence[str]) -> tuple[list[str], list[np.ndarray]]:
    """Rows of the table, and of the sheet."""
    source = checkpoints.checkpoint("recon3d-small", weights_table()["recon3d-small"], None, Progress())
    network, answer = checkpoints.network(source, 0, None, "cpu"), source.row.resolve("answer")
    rows, sheet = [], []
    for name in names:
        views = load_views(detect((folder / name,)), max_size=384, max_images=PHOTOS, progress=Progress()).views
        said = answer(network, [read_photo(s)[0] for s in views.sources], Pass(size=224, chunk=1, device="cpu"))
        found = []
        for image, depth in zip(views.images, said.geometry.depth, strict=True):
            at_size = F.interpolate(depth[None, None], image.shape[1:], mode="bilinear")[0, 0]
            found.append(sky_of(image, at_size))
        shares = torch.tensor([100 * float(sky.double().mean()) for sky in found])
        rows.append(f"| {name} | {len(views)} | {shares.mean():.1f} | {shares.min():.1f} | {shares.max():.1f} |")
        sheet.append(strip([painted(*pair) for pair in zip(views.images, found, strict=True)]))
    return rows, sheet


def of_procedural(seeds: Sequence[int]) -> str:
    """Shares of true sky that are found, and of surfaces that are called sky."""
    sky = hit = surface = wrong = worst = 0
    for seed in seeds:
        batch = rendered(drawn([seed, 5], VIEWS, PICTURE), 2)
        true = batch.depth[0]
        depth = torch.where(true > 0, true, true.max()) * noise(true, seed, NOISE)
        for v in range(VIEWS):
            found = sky_of((255 * batch.images[0, v]).round().to(torch.uint8), depth[v])
            nothing = true[v] == 0
            sky, hit = sky + int(nothing.sum()), hit + int((found & nothing).sum())
            surface, wrong = surface + int((~nothing).sum()), wrong + int((found & ~nothing).sum())
            worst = max(worst, float((found & ~nothing).double().mean()))
    return f"| {len(seeds)} | {100 * hit / sky:.1f} | {100 * wrong / surface:.2f} | {100 * worst:.1f} |"


def painted(image: Tensor, sky: Tensor) -> np.ndarray:
    pixels = image.permute(1, 2, 0).numpy().copy()
    pixels[sky.numpy()] = (255, 0, 255)
    return cv2.resize(pixels, CELL, interpolation=cv2.INTER_AREA)


def strip(pictures: Sequence[np.ndarray]) -> np.ndarray:
    blank = np.zeros_like(pictures[0])
    return np.hstack([*pictures[:SHOWN], *[blank] * (SHOWN - len(pictures))])


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("folder", type=Path, help="of scenes with images/")
    ask.add_argument("--out", type=Path, required=True)
    ask.add_argument("--scenes", nargs="*", default=SCENES)
    ask.add_argument("--procedural", type=int, default=40, help="so many procedural scenes")
    options = ask.parse_args()
    rows, sheet = of_photos(options.folder, options.scenes)
    print("| photos of | photos | called sky, % | least | most |\n| --- | --- | --- | --- | --- |")
    print("\n".join(rows))
    print("\n| procedural scenes | sky found, % | of surfaces called sky, % | at most of a picture, % |")
    print("| --- | --- | --- | --- |")
    print(of_procedural(range(options.procedural)))
    write_picture(options.out / "sky.png", np.vstack(sheet))


if __name__ == "__main__":
    main()
