"""Cameras found once for several tasks: kept with the seconds that they took, which a later task counts as its own."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from recon3d.atomic import atomic_file
from recon3d.pipeline.artefacts import Arrays

T = TypeVar("T")
STAGE = "geometry"  # what is kept; splats and their refinement are each method's own


class Kept:
    """A pipeline's keeper (pipeline.artefacts.Keeper) of the geometry stage in a file named by what it follows from."""

    def __init__(self, folder: Path, follows_from: str) -> None:
        self.path = folder / f"{hashlib.sha256(follows_from.encode('utf-8', 'surrogateescape')).hexdigest()[:24]}.npz"
        self.saved = 0.0  # seconds that reading it spared

    def kept(self, name: str, make: Callable[[], T], pack: Callable[[T], Arrays], unpack: Callable[[Arrays], T]) -> T:
        if name != STAGE:
            return make()
        if self.path.exists():
            with np.load(self.path, allow_pickle=False) as stored:
                arrays = dict(stored)
            self.saved = float(arrays.pop("seconds"))
            return unpack(arrays)
        began = time.perf_counter()
        made = make()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(self.path) as temporary:
            np.savez(temporary, seconds=time.perf_counter() - began, **pack(made))  # type: ignore[arg-type]
        return made
