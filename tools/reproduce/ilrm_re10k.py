"""Repeats the published figure of iLRM on RealEstate10K: 28.65 dB for two views of 256 x 256.

    python tools/reproduce/ilrm_re10k.py re10k/test evaluation_index_re10k.json --weights re10k_2view.ckpt

`re10k/test` holds chunks in pixelSplat's format and their index.json; the second file is pixelSplat's evaluation index of
two context and three target views (7194 entries, of which 720 are null). Without --weights the published file is taken
from the hub; `random` runs it through without one. Exit code 1 where a whole run ends outside of the tolerance.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from recon3d.errors import InputError, check_exists
from recon3d.metrics.image import psnr
from recon3d.models.checkpoints import RANDOM, checkpoint, network
from recon3d.models.ilrm.network import Ilrm
from recon3d.models.ilrm.normalisation import normalised, normalised_from_world
from recon3d.models.ilrm.preprocessing import preprocessed
from recon3d.models.weights import table
from recon3d.progress import Progress
from recon3d.rendering.render import backend_for, rasterize

ROW = "ilrm-re10k-2v"
EXPECTED, TOLERANCE = 28.65, 0.05  # dB: paper, table 1; half of what two roundings and another rasterizer may move
EVALUATED = 6474  # entries of the index that are not null
SIZE = (256, 256)
STORED = (360, 640)  # height and width of the stored frames: others are skipped, as the published loaders do
WIDEST = 100.0  # degrees of the field of view, likewise


@dataclass(frozen=True)
class Clip:
    key: str
    images: Tensor  # n 3 256 256, context views first
    K: Tensor  # n 3 3, pixels
    world_from_camera: Tensor  # n 4 4
    contexts: int


def index_of(path: Path) -> dict[str, Any]:
    check_exists(path)
    content = path.read_bytes()
    return json.loads(gzip.decompress(content) if path.suffix == ".gz" else content)


def clips(folder: Path, index: dict[str, Any], skipped: Counter) -> Iterator[Clip]:
    """The clips that the index names, chunk by chunk; why others are left out is counted."""
    places = json.loads((folder / "index.json").read_text())
    for name in sorted(set(places.values())):
        for stored in torch.load(folder / name, weights_only=True):
            entry = index.get(stored["key"])
            if entry is None:
                skipped["not in the index"] += 1
            elif reason := why_skipped(stored, entry):
                skipped[reason] += 1
            else:
                yield clip_of(stored, entry)
    missing = sum(1 for key, entry in index.items() if entry is not None and key not in places)
    if missing:
        skipped["not in the chunks"] = missing


def why_skipped(stored: dict[str, Any], entry: dict[str, Any]) -> str | None:
    """The published loader's rules."""
    fields = 2 * torch.rad2deg(torch.atan(0.5 / stored["cameras"][:, :2]))
    if float(fields.max()) > WIDEST:
        return f"field of view over {WIDEST:g} degrees"
    if max(entry["context"] + entry["target"]) >= len(stored["images"]):
        return "frames missing"
    first = Image.open(io.BytesIO(stored["images"][0].numpy().tobytes()))
    return None if (first.height, first.width) == STORED else "other sizes"


def clip_of(stored: dict[str, Any], entry: dict[str, Any]) -> Clip:
    frames = entry["context"] + entry["target"]
    photos = [np.asarray(Image.open(io.BytesIO(stored["images"][i].numpy().tobytes())).convert("RGB")) for i in frames]
    pictures = preprocessed(photos, SIZE, table()[ROW].config)
    values = stored["cameras"][frames].double()
    K = torch.eye(3, dtype=torch.float64).repeat(len(frames), 1, 1)
    K[:, [0, 1], [0, 1]] = values[:, :2] * torch.tensor(STORED[::-1])
    K[:, :2, 2] = values[:, 2:4] * torch.tensor(STORED[::-1])
    camera_from_world = torch.eye(4, dtype=torch.float64).repeat(len(frames), 1, 1)
    camera_from_world[:, :3] = values[:, 6:].unflatten(1, (3, 4))
    K = (pictures.network_from_photo @ K).float()
    return Clip(stored["key"], pictures.images, K, torch.linalg.inv(camera_from_world), len(entry["context"]))


@torch.inference_mode()
def measured(ilrm: Ilrm, clip: Clip, device: str) -> float:
    """Mean PSNR of the target views, in dB: predicted and drawn in the units of the checkpoint, on white."""
    similarity = normalised_from_world(clip.world_from_camera[: clip.contexts], ilrm.config)
    cameras = normalised(clip.world_from_camera, similarity)
    given = (x[None, : clip.contexts].to(device) for x in (clip.images, clip.K, cameras))
    g = ilrm(*given)
    targets = slice(clip.contexts, None)
    rgb, _, alpha = rasterize(
        g.means[0], g.quats[0], g.scales[0], g.opacities[0], g.sh[0], torch.linalg.inv(cameras[targets]).to(device),
        clip.K[targets].to(device), SIZE[1], SIZE[0], backend=backend_for(device),
    )  # fmt: skip
    drawn = (rgb + 1 - alpha[:, None]).clamp(0, 1).cpu()
    values = [psnr(a, b) for a, b in zip(drawn, clip.images[targets], strict=True)]
    return sum(values) / len(values)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chunks", type=Path)
    parser.add_argument("index", type=Path)
    parser.add_argument("--weights", help="the published file, or the word random")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", type=Path, help="every clip's figure")
    options = parser.parse_args()
    try:
        index = index_of(options.index)
        check_exists(options.chunks / "index.json", "Give the folder with the chunks and their index.json")
        source = checkpoint(ROW, table()[ROW], options.weights, Progress(lambda e: print(e.text, file=sys.stderr)))
        ilrm = network(source, 0, None, options.device)
        assert isinstance(ilrm, Ilrm)
        skipped: Counter = Counter()
        found = {c.key: measured(ilrm, c, options.device) for c in clips(options.chunks, index, skipped)}
    except InputError as error:
        print(f"ilrm_re10k: error: {error}", file=sys.stderr)
        return 2
    mean = sum(found.values()) / max(len(found), 1)
    print(f"{len(found)} clips, {mean:.2f} dB; published {EXPECTED} of {EVALUATED}, tolerance {TOLERANCE}")
    print("\n".join(f"skipped {count}: {reason}" for reason, count in skipped.items()))
    if options.json is not None:
        options.json.write_text(json.dumps({"mean": mean, "clips": found, "skipped": skipped}, indent=1) + "\n")
    if options.weights == RANDOM or len(found) < EVALUATED:
        print("no comparison: " + ("the weights are random" if options.weights == RANDOM else "the set is not whole"))
        return 0
    return 0 if abs(mean - EXPECTED) <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
