"""What a file of cameras says about one photo, before the photo itself is opened."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np

from recon3d.core.lens import MODELS, Lens
from recon3d.core.origin import moved_pose


@dataclass(frozen=True)
class TakenPhoto:
    """The photo that an undistorted picture was made of."""

    name: str
    lens: Lens


@dataclass(frozen=True)
class KnownCamera:
    """A camera that was given, in whole or in part: its lens, its pose, or both."""

    name: str  # as the file spells it, with forward slashes
    lens: Lens | None  # of the photo as stored, whose size is the lens's
    camera_from_world: Annotated[np.ndarray, "4 4"] | None  # float64, OpenCV axes
    image: Path | None = None  # where a file that names its pictures says that this one lies
    mask: Path | None = None  # likewise
    held_out: bool = False  # the file reserves this view for testing
    in_metres: bool = False  # the file says that lengths in its world are metres
    unit_lens: Lens | None = None  # of a file that tells no size: for a longest side of 1, about the middle
    photo: TakenPhoto | None = None  # of a picture that was undistorted: what it was made of

    def as_taken(self) -> KnownCamera:
        """The camera of the photo that the picture was made of, where the file tells of it."""
        return self if self.photo is None else replace(self, name=self.photo.name, lens=self.photo.lens)

    def moved(self, shift: Annotated[np.ndarray, "3"]) -> KnownCamera:
        """The same camera in a world whose points are moved by `shift`."""
        if self.camera_from_world is None:
            return self
        return replace(self, camera_from_world=moved_pose(self.camera_from_world, shift))

    def sized(self, height: int, width: int) -> KnownCamera:
        """The camera of a photo of this size: a lens that was told in shares of the longest side becomes one in pixels."""
        if self.unit_lens is None:
            return self
        longest, names = max(height, width), MODELS[self.unit_lens.model][1]
        middle = {"cx": width / 2, "cy": height / 2}
        shares = zip(names, self.unit_lens.params, strict=True)
        params = tuple(v * longest + middle.get(n, 0) if n in ("f", "fx", "fy", "cx", "cy") else v for n, v in shares)
        return replace(self, lens=Lens(self.unit_lens.model, params, height, width), unit_lens=None)
