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
    """A way to do a stage. `needs` is the module without which it cannot run."""

    run: str
    licence: str
    about: str
    needs: str

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


# `auto` is the first row whose why_not() is None.
GEOMETRY = {
    "colmap": Row(
        "recon3d.sfm.registration:geometry",
        licence="BSD-3-Clause",
        about="structure from motion; needs overlap",
        needs="pycolmap",
    ),
}

SPLATS = {
    "points": Row(
        "recon3d.reconstruction.seeding:seed",
        licence="Apache-2.0",
        about="Gaussians at sparse points, at points of plane-sweep stereo, and far behind",
        needs="scipy",
    ),
}

QUALITY = {
    "preview": Quality(max_size=384, steps=300, max_gaussians=20_000),
    "standard": Quality(max_size=512, steps=1000, max_gaussians=50_000),
    "high": Quality(max_size=768, steps=4000, max_gaussians=200_000),
}
