"""Whether refinement fits each photo's exposure: as asked, or by what the photos' EXIF says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from recon3d.io.exif import Exif

STOPS = 1.0  # apart: from here on exposures are fitted


def why_fitted(asked: Literal["auto", "on", "off"], photos: Sequence[Exif]) -> str | None:
    """Why the exposures of these photos are fitted ("3 cameras, 2.3 stops apart"); None where they are not.

    What a photo does not say of itself is no reason. A camera is a maker and a model: a zoom is no second camera.
    """
    if asked != "auto":
        return "asked for" if asked == "on" else None
    cameras = {exif.camera[:2] for exif in photos if any(exif.camera[:2])}
    values = [exif.exposure_value for exif in photos if exif.exposure_value is not None]
    apart = max(values) - min(values) if values else 0.0
    reasons = [f"{len(cameras)} cameras"] if len(cameras) > 1 else []
    reasons += [f"{apart:.1f} stops apart"] if apart > STOPS else []
    return ", ".join(reasons) or None
