"""What a file of cameras says about one photo, before the photo itself is opened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

from recon3d.core.lens import Lens


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
