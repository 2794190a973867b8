"""What can be chosen by name: literal tables in the order in which a reader should meet their rows. Loads no torch.

A row names what it runs as "module:function", resolved when it is used (tests/house resolves them all).
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


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


@dataclass(frozen=True)
class Quality:
    """What --quality sets where it was not given."""

    max_size: int  # pixels, the longest side
    steps: int
    max_gaussians: int


# `auto` is the first row whose why_not() is None and whose licence allows commercial use (--allow-noncommercial: any).
# The rows of networks stand after COLMAP, which needs no weights, so auto never loads them by itself.
NETWORK = "recon3d.pipeline.sources:network"
GEOMETRY = {
    "colmap": Row(
        "recon3d.pipeline.sources:colmap",
        licence="BSD-3-Clause",
        about="structure from motion; needs overlap",
        needs="pycolmap",
    ),
    "vggt-1b": Row(
        NETWORK,
        licence="CC-BY-NC-4.0",
        about="any views, little overlap too; a GPU is advised",
        needs="torch",
        weights="vggt-1b",
        commercial=False,
    ),
    "vggt-1b-commercial": Row(
        NETWORK,
        licence="VGGT License v1",
        about="the same network with weights for commercial use, given out on request",
        needs="torch",
        weights="vggt-1b-commercial",
    ),
}

SPLATS = {
    "points": Row(
        "recon3d.reconstruction.seeding:seed",
        licence="Apache-2.0",
        about="Gaussians at sparse points, at points of plane-sweep stereo, and far behind",
        needs="scipy",
    ),
    "lift": Row(
        "recon3d.reconstruction.lift:lift",
        licence="Apache-2.0",
        about="a Gaussian for every pixel of a depth map that a network gave",
        needs="torch",
    ),
}

QUALITY = {
    "preview": Quality(max_size=384, steps=300, max_gaussians=20_000),
    "standard": Quality(max_size=512, steps=1000, max_gaussians=50_000),
    "high": Quality(max_size=768, steps=4000, max_gaussians=200_000),
}
