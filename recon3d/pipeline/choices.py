"""What can be chosen by name: literal tables in the order in which a reader should meet their rows. Loads no torch.

A row names what it runs as "module:function", resolved when it is used (tests/house resolves them all).
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from recon3d.sfm.settings import Matching


@dataclass(frozen=True)
class Row:
    """A way to do a stage. `needs` is the module without which it cannot run.

    `weights` is a key of recon3d.models.weights.table; the licence is then that of the weights.
    """

    run: str
    licence: str
    about: str
    needs: str
    weights: str | None = None
    commercial: bool = True  # whether the licence allows commercial use

    def why_not(self) -> str | None:
        """One sentence on why this row cannot run here, with the remedy; None where it can."""
        if importlib.util.find_spec(self.needs) is None:
            return f"{self.needs} is not installed: pip install {self.needs}"
        return None

    def load(self) -> Callable[..., Any]:
        module, name = self.run.split(":")
        return getattr(importlib.import_module(module), name)


def network(weights: str, licence: str, about: str, commercial: bool = True) -> Row:
    """A row of a network that is run by its published weights, or by others of its kind."""
    return Row("recon3d.pipeline.sources:network", licence, about, "torch", weights, commercial)


def head(run: str, weights: str, licence: str, about: str) -> Row:
    """A row of a network that makes Gaussians by its published weights; none of them is for commercial use."""
    return Row(f"recon3d.pipeline.splats:{run}", licence, about, "torch", weights, commercial=False)


# By tools/benchmarks/qualities.py: with 400 rounds fountain-P11's ten photos lose 0.5 dB of what they have after 100.
ROUNDS, LEAST_STEPS = 100, 1000


@dataclass(frozen=True)
class Quality:
    """What --quality sets where it was not given."""

    max_size: int  # pixels, the longest side
    matching: Matching  # how COLMAP's features are found
    steps: int
    max_gaussians: int
    max_on_a_gpu: int  # the same where splats are refined on CUDA, which hardly notices them; the photos bound them too

    def steps_for(self, photos: int) -> int:
        """Of refinement: of few photos more steps learn the photos and not the place."""
        return min(self.steps, max(LEAST_STEPS, ROUNDS * photos))


LINGBOT_LICENCE = "Apache-2.0 by the README of its code; its page on the hub states none"

# `auto` is the first row whose why_not() is None and whose licence allows commercial use (--allow-noncommercial: any): COLMAP,
# whose cameras are right to half a degree where they pass their test (docs/few_photos.md). Where none does, the cameras of the
# first network of GUESSING whose weights are here are pulled into place by COLMAP's matches, and must pass the same test.
# The network's depth is left out: that of recon3d-small is worse than stereo's (recon3d/checkpoints/recon3d-small.md).
GUESSING = ("da3-base", "da3-small", "recon3d-small")
GEOMETRY = {
    "colmap": Row(
        "recon3d.pipeline.sources:colmap",
        licence="BSD-3-Clause",
        about="structure from motion; needs overlap",
        needs="pycolmap",
    ),
    "recon3d-small": network("recon3d-small", "Apache-2.0", "comes with the toolkit, no download; coarse"),
    "da3-small": network("da3-small", "Apache-2.0", "any views, little overlap too; quick on a CPU"),
    "da3-base": network("da3-base", "Apache-2.0", "any views, little overlap too; good on a CPU"),
    "da3-large": network("da3-large", "CC-BY-NC-4.0", "any views, little overlap too", commercial=False),
    "da3-giant": network("da3-giant", "CC-BY-NC-4.0", "any views, little overlap too; wants a GPU", commercial=False),
    "vggt-1b": network("vggt-1b", "CC-BY-NC-4.0", "any views, little overlap too; wants a GPU", commercial=False),
    "vggt-1b-commercial": network("vggt-1b-commercial", "VGGT License v1", "the same network; weights given on request"),
    "lingbot-map": network("lingbot-map", LINGBOT_LICENCE, "long videos, frame by frame"),
    "stream-vggt": network("stream-vggt", "CC-BY-NC-SA-4.0", "videos, frame by frame", commercial=False),
    "dust3r-224": network("dust3r-224", "CC-BY-NC-SA-4.0", "pairs of small pictures, aligned", commercial=False),
    "dust3r-512": network("dust3r-512", "CC-BY-NC-SA-4.0", "pairs, aligned", commercial=False),
    "mast3r-512": network("mast3r-512", "CC-BY-NC-SA-4.0", "pairs, aligned, in metres", commercial=False),
}

STREAMING = ("lingbot-map", "stream-vggt")  # rows of GEOMETRY that go frame by frame and keep a cache of frames

NO_LICENCE = "none stated, so all rights are reserved"

# `auto` is `lift` where the geometry has depth, else `points`. The rows of heads stand after them, so auto never takes one.
SPLATS = {
    "points": Row(
        "recon3d.pipeline.splats:points",
        licence="Apache-2.0",
        about="Gaussians at sparse points, at points of plane-sweep stereo, and far behind",
        needs="scipy",
    ),
    "lift": Row(
        "recon3d.pipeline.splats:lifted",
        licence="Apache-2.0",
        about="a Gaussian for every pixel of a depth map that a network gave",
        needs="torch",
    ),
    "joint": Row(
        "recon3d.pipeline.splats:joint",
        licence="Apache-2.0",
        about="all views read by a few anchors, whose pixels become Gaussians; comes with the toolkit",
        needs="torch",
        weights="recon3d-joint",
    ),
    "ilrm-re10k-2v": head("ilrm", "ilrm-re10k-2v", NO_LICENCE, "iLRM for two views of a room"),
    "ilrm-dl3dv-16v": head("ilrm", "ilrm-dl3dv-16v", NO_LICENCE, "iLRM for 16 views of a place; wants a GPU"),
    "ilrm-dl3dv-32v": head("ilrm", "ilrm-dl3dv-32v", NO_LICENCE, "iLRM for 32 views of a place; wants a GPU"),
    "da3-giant": head("da3", "da3-giant", "CC-BY-NC-4.0", "a Gaussian for every pixel, by DA3's giant; wants a GPU"),
}

FEW = Matching(max_image_size=800, max_num_features=3072)

QUALITY = {
    "preview": Quality(384, FEW, steps=300, max_gaussians=20_000, max_on_a_gpu=50_000),
    "standard": Quality(512, Matching(max_image_size=1200), steps=1000, max_gaussians=100_000, max_on_a_gpu=200_000),
    "high": Quality(768, Matching(), steps=4000, max_gaussians=200_000, max_on_a_gpu=500_000),
}
