"""Splats in `.splat`: 32 bytes each, no header, no harmonics, in no order that means anything but how far they matter.

The axes of the file are our world's; nothing is turned. Source: the layout that web viewers agree on (antimatter15/splat).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from recon3d.atomic import atomic_file
from recon3d.core.harmonics import C0
from recon3d.core.splats import Splats
from recon3d.errors import InputError
from recon3d.io.bad_rows import kept_rows, not_finite

ROW = np.dtype([("mean", "<f4", 3), ("scale", "<f4", 3), ("rgba", "u1", 4), ("quat", "u1", 4)])
ROWS_AT_ONCE = 1 << 18


def read_splat(path: Path | str, note: Callable[[str], None] | None = None) -> Splats:
    """The splats of a `.splat`, float32, of degree 0; `note` is told of those that cannot be rendered and were left out.

    InputError where its length is none of whole splats, or many cannot be rendered.
    """
    path = Path(path)
    size = path.stat().st_size
    if size == 0 or size % ROW.itemsize:
        raise InputError(
            path,
            f"it takes {size} bytes, which is no number of splats of {ROW.itemsize}",
            "Export or copy the file again",
        )
    rows = np.fromfile(path, ROW)
    quats = rows["quat"].astype(np.float64) - 128
    lengths = np.linalg.norm(quats, axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        splats = Splats(
            np.ascontiguousarray(rows["mean"], np.float32),
            (quats / lengths).astype(np.float32),
            np.maximum(rows["scale"], np.finfo(np.float32).tiny, dtype=np.float32),
            (rows["rgba"][:, 3] / 255).astype(np.float32),
            ((rows["rgba"][:, None, :3] / 255 - 0.5) / C0).astype(np.float32),
        )
    scales = rows["scale"]
    bad = {
        "means": not_finite(rows["mean"]), "scales": not_finite(scales) | (scales < 0).any(1),
        "rotations of 0, 0, 0, 0": lengths[:, 0] == 0,
    }  # fmt: skip
    kept = kept_rows(path, bad, note)
    return splats if kept.all() else splats[kept]


def write_splat(path: Path | str, splats: Splats) -> None:
    """Write splats of degree 0, those of the greatest opacity times size first, as viewers load the file from its front.

    Raises ValueError where a value cannot be rendered or the splats have harmonics, which the format cannot hold.
    """
    path = Path(path)
    splats.check(f"writing {path}")
    if splats.degree:
        raise ValueError(f"writing {path}: .splat holds no harmonics, and the splats have degree {splats.degree}")
    if not len(splats):
        raise InputError(path, "there are no splats to write", "Give a scene with splats")
    order = splats.by_weight()
    with atomic_file(path) as temporary, open(temporary, "wb") as file:
        for start in range(0, len(order), ROWS_AT_ONCE):
            some = splats[order[start : start + ROWS_AT_ONCE]]
            rows = np.empty(len(some), ROW)
            rows["mean"], rows["scale"] = some.means, some.scales
            rows["rgba"][:, :3] = _bytes((0.5 + C0 * some.sh[:, 0].astype(np.float64)) * 255)
            rows["rgba"][:, 3] = _bytes(some.opacities.astype(np.float64) * 255)
            rows["quat"] = _bytes(some.quats.astype(np.float64) * 128 + 128)
            file.write(rows.tobytes())


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
