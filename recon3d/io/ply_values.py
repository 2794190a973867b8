"""The numbers of a splat PLY as they are stored, and what they mean: activations, and what programs store otherwise than 3DGS.

Recognised are opacities without the logit, scales without the logarithm, the filter of Mip-Splatting beside them, and colours
as red, green and blue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

from recon3d.core.harmonics import C0
from recon3d.core.origin import in_words, local_origin
from recon3d.core.splats import Splats
from recon3d.io.bad_rows import Rows, kept_rows, not_finite
from recon3d.io.neighbours import FEWEST, linear_scales

REST_COUNTS = {0: 0, 9: 3, 24: 8, 45: 15, 72: 24}  # f_rest columns -> coefficients of each colour beyond degree 0
KEPT_COEFFICIENTS = 15  # degree 3; a file of degree 4 is cut to it
COLORS, DISPLAY_COLORS = ("f_dc_0", "f_dc_1", "f_dc_2"), ("red", "green", "blue")
MEANS = ("x", "y", "z")
SCALES, ROTATION = ("scale_0", "scale_1", "scale_2"), ("rot_0", "rot_1", "rot_2", "rot_3")
FILTER = "filter_3D"
OPACITY_BOUND = 1e-6  # how near to 0 and 1 a mended opacity comes
FLAT = 1 / 1000  # a surfel's third axis, of the smaller of its two


@dataclass(frozen=True)
class Stored:
    """Columns of a file, before any activation; float32, wider where the file is."""

    means: Annotated[np.ndarray, "G 3"]  # float64 of text as well, whatever it declares
    quats: Annotated[np.ndarray, "G 4"]  # unit, or 0 where the file has no rotation
    scales: Annotated[np.ndarray, "G 2..3"]
    opacities: Annotated[np.ndarray, "G"]
    sh: Annotated[np.ndarray, "G S 3"]
    filters: Annotated[np.ndarray, "G"] | None
    double: bool  # the file declares its means so
    white: float | None = None  # display colours stand in `sh`, and this is their 1; None: harmonics


def stored_columns(parts: Iterable[np.ndarray], kinds: Mapping[str, str | None]) -> Stored:
    """The columns of a table of splats that is read in parts; `kinds` are its properties' types."""
    columns = [np.concatenate(column) for column in zip(*(_columns(part) for part in parts), strict=True)]
    means, quats, scales, opacities, sh = columns[:5]
    white = None
    if COLORS[0] not in kinds:
        kind = kinds[DISPLAY_COLORS[0]] or ""
        white = float(np.iinfo(kind).max) if kind[:1] in ("i", "u") else 255.0 if np.nanmax(sh) > 1 else 1.0
    filters = columns[5] if len(columns) > 5 else None
    return Stored(means, quats, scales, opacities, sh, filters, "f8" in {kinds[name] for name in MEANS}, white)


def _columns(part: np.ndarray) -> tuple[np.ndarray, ...]:
    """The fields of `Stored` of some rows of the file, the last where there is one."""
    names = part.dtype.names or ()
    count = REST_COUNTS[sum(name.startswith("f_rest_") for name in names)]
    kept = min(count, KEPT_COEFFICIENTS)
    sh = np.empty((len(part), 1 + kept, 3), np.float32)
    sh[:, 0] = _together(part, COLORS if COLORS[0] in names else DISPLAY_COLORS)
    for channel in range(3):
        for k in range(kept):
            sh[:, 1 + k, channel] = part[f"f_rest_{channel * count + k}"]
    with np.errstate(over="ignore", invalid="ignore"):
        quats = _together(part, ROTATION).astype(np.float64)
        lengths = np.linalg.norm(quats, axis=1, keepdims=True)
        quats = (quats / np.where(lengths == 0, 1, lengths)).astype(np.float32)
    scales = _together(part, [name for name in SCALES if name in names])
    fields = _together(part, MEANS), quats, scales, _together(part, ["opacity"])[:, 0], sh
    return (*fields, _together(part, [FILTER])[:, 0]) if FILTER in names else fields


def _together(part: np.ndarray, names: Iterable[str]) -> Annotated[np.ndarray, "G n"]:
    """Some columns side by side: float32, float64 where one of them is wider."""
    columns = [part[name] for name in names]
    return np.stack(columns, -1).astype(np.result_type(np.float32, *columns))


def physical(
    path: Path,
    stored: Stored,
    origin: Annotated[np.ndarray, "3"],
    opacity_as_is: bool,
    scales_as_is: bool,
    note: Callable[[str], None] | None,
) -> Splats:
    """The splats that the numbers mean, those left out that cannot be rendered. `note` is told what was mended.

    The means stand about `origin`; wide ones that are far from zero are held about a place near them instead.
    InputError where more than a tenth cannot be rendered.
    """
    told = note or (lambda text: None)
    values, shift = stored.opacities, stored.scales
    means, held_about = near(stored.means, origin)
    finite = ~not_finite(np.column_stack([means, shift]))
    if not opacity_as_is and linear_opacities(values[~np.isnan(values)]):
        opacities = np.clip(values, OPACITY_BOUND, 1 - OPACITY_BOUND)
        told(f"{path}: opacities are stored without the logit (all within 0 to 1): mended; --opacity as-is keeps them")
    else:
        opacities = _in_parts(values, lambda some: np.exp(-np.logaddexp(0, -some)))
        edges = int(np.isinf(values).sum())
        if edges:
            told(f"{path}: {edges} opacities are exactly 0 or 1")
    if not scales_as_is and linear_scales(shift[finite], means[finite]):
        scales = shift
        told(f"{path}: scales are stored without the logarithm (as such they are fog): mended; --scales as-is keeps them")
    else:
        scales = _in_parts(shift, np.exp)
    if stored.filters is not None:
        scales, opacities = filtered(scales, opacities, stored.filters)
        told(f"{path}: its {FILTER} (Mip-Splatting) was put into scales and opacities")
    if scales.shape[1] == 2:
        scales = np.concatenate([scales, scales.min(1, keepdims=True) * FLAT], 1)
        told(f"{path}: flat splats (2DGS, no scale_2): the third axis is set thin")
    scales = np.maximum(scales, np.finfo(np.float32).tiny)
    with np.errstate(over="ignore"):
        fields = [f.astype(np.float32) for f in (means, stored.quats, scales, opacities, stored.sh)]
    if stored.white is not None:
        fields[4][:, 0] = (fields[4][:, 0].astype(np.float64) / stored.white - 0.5) / C0
    kept = kept_rows(path, _bad(*fields), note)
    splats = Splats(*fields, mode="2dgs" if shift.shape[1] == 2 else "default", origin=held_about)
    splats = splats if kept.all() else splats[kept]
    off = float(np.abs(splats.positions - (stored.means[kept] + origin)).max()) if stored.double else 0.0
    if off > 0:
        about = f"about the origin {in_words(held_about)} " if held_about.any() else ""
        told(f"{path}: its positions in double precision are held {about}in single precision: off by up to {off:.2g} units")
    return splats


def near(
    means: Annotated[np.ndarray, "G 3"], origin: Annotated[np.ndarray, "3"]
) -> tuple[Annotated[np.ndarray, "G 3"], Annotated[np.ndarray, "3"]]:
    """Means in float32 and the origin that they stand about: of wide ones, one near them (of those that are finite)."""
    if means.dtype == np.float32:
        return means, origin
    with np.errstate(over="ignore", invalid="ignore"):
        positions = means + origin
        nearer = local_origin(positions[~not_finite(positions)])
        return (positions - nearer).astype(np.float32), nearer


def _bad(
    means: np.ndarray, quats: np.ndarray, scales: np.ndarray, opacities: np.ndarray, sh: np.ndarray
) -> dict[str, Rows]:
    bad = {"means": means, "rotations": quats, "scales": scales, "opacities": opacities, "colours": sh}
    return {name: not_finite(values) for name, values in bad.items()} | {"rotations of 0, 0, 0, 0": (quats == 0).all(1)}


def _in_parts(values: np.ndarray, activation: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The activation in float64, so that only the storage rounds, and in parts, which bound what lies in memory."""
    out = np.empty(values.shape, np.float32)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        for start in range(0, len(values), 1 << 16):
            out[start : start + (1 << 16)] = activation(values[start : start + (1 << 16)].astype(np.float64))
    return out


def linear_opacities(values: Annotated[np.ndarray, "G"]) -> bool:
    """Whether opacities stand where logits should: all of 32 and more within 0 to 1, so that readers see 0.50 to 0.73.

    Trained scenes hold values below and above that. A constant column other than 1 may be meant.
    """
    within = len(values) >= FEWEST and values.min() >= -1e-6 and values.max() <= 1 + 1e-6
    return bool(within and (np.ptp(values) > 0 or abs(values[0] - 1) < 1e-6))


def filtered(
    scales: Annotated[np.ndarray, "G n"], opacities: Annotated[np.ndarray, "G"], filters: Annotated[np.ndarray, "G"]
) -> tuple[Annotated[np.ndarray, "G n"], Annotated[np.ndarray, "G"]]:
    """Splats blurred by their filter: variances add, and what a splat covers in sum stays.

    Source: Mip-Splatting, Yu et al. 2024, equation 9 (the 3D smoothing filter).
    """
    with np.errstate(over="ignore", invalid="ignore"):
        wide = np.sqrt(np.square(scales, dtype=np.float64) + np.square(filters[:, None], dtype=np.float64))
        return wide, opacities * np.where(wide > 0, scales / np.where(wide > 0, wide, 1), 1).prod(1)
