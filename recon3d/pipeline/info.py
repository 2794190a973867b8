"""What a splat file holds, in numbers. Loads no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from recon3d.core.harmonics import C0
from recon3d.core.outliers import outliers_told
from recon3d.pipeline.export import Coding, cameras_beside, splat_file


def info(path: Path, coding: Coding) -> dict[str, Any]:
    """What a splat file holds: format, counts, bounds, mode, size, and whether its values are sane. Raises InputError."""
    source, cameras = splat_file(path), cameras_beside(path)
    read = coding.read(source)
    splats = read.splats
    positions = splats.positions
    dense = positions[splats.opacities >= 0.1] if (splats.opacities >= 0.1).any() else positions
    low, high = np.percentile(dense, (1, 99), axis=0)
    far = outliers_told(positions)
    notes = [*read.notes, *([f"{source}: {far}"] if far else [])]
    color = np.clip(0.5 + C0 * splats.sh[:, 0], 0, 1)
    return {
        "file": str(source), "format": read.format, "bytes": source.stat().st_size, "splats": len(splats),
        "degree": splats.degree, "mode": splats.mode, "axes": read.axes,
        "low": positions.min(0).tolist(), "high": positions.max(0).tolist(), "origin": splats.origin.tolist(),
        "low_of_98_percent": low.tolist(), "high_of_98_percent": high.tolist(),
        "median_scale": float(np.median(splats.scales)), "median_opacity": float(np.median(splats.opacities)),
        "mean_color": [round(float(c), 4) for c in color.mean(0)], "cameras": len(cameras), "notes": notes,
    }  # fmt: skip
