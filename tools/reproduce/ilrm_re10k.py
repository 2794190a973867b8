"""Repeats the published figure of iLRM on RealEstate10K: 28.65 dB for two views of 256 x 256.

    python tools/reproduce/ilrm_re10k.py re10k/test evaluation_index_re10k.json --weights re10k_2view.ckpt

`re10k/test` holds chunks in pixelSplat's format and their index.json; the second file is pixelSplat's evaluation index of
two context and three target views (7194 entries, of which 720 are null). Without --weights the published file is taken
from the hub; `random` runs it through without one. Exit code 1 where a whole run ends outside of the tolerance.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from recon3d.data.dataset import DataSet, chosen, opened
from recon3d.data.frames import Choice, FrameList, read_frames
from recon3d.data.posed_scene import PosedScene, Skipped, cropped_cameras, views
from recon3d.data.rules import RULES
from recon3d.errors import InputError
from recon3d.metrics.image import psnr
from recon3d.models.checkpoints import RANDOM, checkpoint, network
from recon3d.models.ilrm.network import Ilrm
from recon3d.models.ilrm.normalisation import normalised, normalised_from_world
from recon3d.models.weights import table
from recon3d.progress import Progress
from recon3d.rendering.render import backend_for, rasterize

ROW = "ilrm-re10k-2v"
EXPECTED, TOLERANCE = 28.65, 0.05  # dB: paper, table 1; half of what two roundings and another rasterizer may move
EVALUATED = 6474  # entries of the index that are not null
SIZE = (256, 256)


@dataclass(frozen=True)
class Clip:
    key: str
    images: Tensor  # n 3 256 256, context views first
    K: Tensor  # n 3 3, pixels
    world_from_camera: Tensor  # n 4 4
    contexts: int


def clips(found: DataSet, frames: FrameList, skipped: Counter) -> Iterator[Clip]:
    """The clips that the list names, in the order of the chunks; why others are left out is counted."""
    for item in chosen(found, frames, RULES["depthsplat"], SIZE):
        try:
            if isinstance(item, Skipped):
                skipped[kind_of(item.reason)] += 1
            else:
                yield clip_of(*item)
        except InputError as error:
            skipped[error.what] += 1


def kind_of(reason: str) -> str:
    """A reason without the numbers that differ from scene to scene."""
    return re.sub(r"\d+(\.\d+)?", "N", reason)


def clip_of(scene: PosedScene, choice: Choice) -> Clip:
    images = torch.stack(views(scene, choice.frames, SIZE).images).float() / 255
    cameras = cropped_cameras(scene, choice.frames, SIZE)
    return Clip(scene.name, images, cameras.K.float(), cameras.world_from_camera, len(choice.context))


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
        frames, data = read_frames(options.index), opened(options.chunks)
        source = checkpoint(ROW, table()[ROW], options.weights, Progress(lambda e: print(e.text, file=sys.stderr)))
        ilrm = network(source, 0, None, options.device)
        assert isinstance(ilrm, Ilrm)
        skipped: Counter = Counter()
        found = {c.key: measured(ilrm, c, options.device) for c in clips(data, frames, skipped)}
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
