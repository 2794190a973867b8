"""Splats in SPZ, the compressed form of phones and maps: a byte or a few for each number. Reads versions 1 to 4, writes 3 and 4.

Where the axes of a file point is decided in axes.py, how its bytes lie in spz_layout.py.
Source: the format's public description (Niantic, MIT), with what its library does where the description is silent.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from recon3d.core.outliers import outlying
from recon3d.core.splats import Splats
from recon3d.errors import InputError
from recon3d.io import spz_layout as layouts
from recon3d.io.axes import HALF_TURN, RDF, rdf_from, taken_system
from recon3d.io.bad_rows import kept_rows, not_finite
from recon3d.io.spz_layout import Layout, unreadable

MOST_STEPS = (1 << 23) - 1  # a coordinate is a signed number of 24 bits
MOST_FRACTIONAL_BITS = 24  # written; a step of 6e-8 is float32's own at 1
COLOR_STEPS = 0.15 * 255  # bytes for 1 of f_dc, with 127.5 for 0
SCALE_STEPS, SCALE_ORIGIN = 16, -10.0  # bytes for 1 of a natural logarithm, and which logarithm is byte 0
HARMONIC_STEPS = 128  # bytes for 1, with 128 for 0
USUAL_BITS = (5, 4)  # of harmonics of degree 1 and of the others, where file size counts
LARGEST_IN_THREE = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])  # which components of xyzw are kept
KEPT_COEFFICIENTS = 15  # degree 3; a file of degree 4 is cut to it
NOTED = 0.01  # of the splats; fewer are changed without a word
ROWS_AT_ONCE = 1 << 16  # bounds what lies in memory beside the splats themselves
Note = Callable[[str], None]


def read_spz(path: Path | str, note: Note | None = None, axes: str | None = None) -> tuple[Splats, str]:
    """The splats of an SPZ in RDF, float32, and a sentence that says which axes were taken and why.

    A file that does not say its axes is taken as RUB, or as `axes` ("rdf", "rub") says. `note` is told what the
    file holds that was changed or passed over. InputError where it is none, is cut off, or lies about its sizes.
    """
    path = Path(path)
    layout = layouts.read_layout(path)
    records = _known_records(layout, path, note)
    system, why = taken_system(path, records.get(layouts.COORDINATES), axes, note)
    return _splats(layout, path, system, records, note), why


def read_embedded(data: bytes, path: Path, note: Note | None) -> Splats:
    """The splats of an SPZ that lies within the file at `path`, in the axes of that file. InputError as in `read_spz`."""
    layout = layouts.layout_of(io.BytesIO(data), path)
    return _splats(layout, path, RDF, _known_records(layout, path, note), note)


def _splats(layout: Layout, path: Path, system: int, records: Mapping[int, Any], note: Note | None) -> Splats:
    """The splats of a layout whose axes are those of `system`; those left out that cannot be rendered."""
    origin = np.array(records.get(layouts.ORIGIN_RECORD, (0.0, 0.0, 0.0)))
    kept = min(layouts.COEFFICIENTS[layout.degree], KEPT_COEFFICIENTS)
    shapes = {"means": (3,), "quats": (4,), "scales": (3,), "opacities": (), "sh": (1 + kept, 3)}
    held = {name: np.empty((layout.count, *shape), np.float32) for name, shape in shapes.items()}
    for part in _parts(layout.count):
        some = _decoded(layout, part)
        some = some if system == RDF else some.moved(rdf_from(system))
        for name, array in held.items():
            array[part] = getattr(some, name)
    origin = origin if system == RDF else rdf_from(system) @ origin
    splats = Splats(**held, mode="antialiased" if layout.flags & layouts.ANTIALIASED else "default", origin=origin)
    rows = kept_rows(path, {"means": not_finite(splats.means)}, note)
    if note and layout.degree > 3:
        note(f"{path}: its harmonics of degree 4 were cut to degree 3")
    if note and splats.mode == "antialiased" and layout.version < 3:
        note(
            f"{path}: it is marked as trained with antialiasing, which some writers of version {layout.version} always do"
        )
    return splats if rows.all() else splats[rows]


def _parts(count: int) -> Iterator[slice]:
    return (slice(start, min(start + ROWS_AT_ONCE, count)) for start in range(0, count, ROWS_AT_ONCE))


def _known_records(layout: Layout, path: Path, note: Note | None) -> dict[int, Any]:
    """What the records of the coordinate system (a number) and the origin say; others are passed over with a note."""
    found: dict[int, Any] = {}
    for kind, payload in layout.records:
        if kind == layouts.COORDINATES and len(payload) == 4:
            found[kind] = int.from_bytes(payload, "little")
        elif kind == layouts.COORDINATES:
            raise unreadable(path, f"its record of axes takes {len(payload)} bytes instead of 4")
        elif kind == layouts.ORIGIN_RECORD and len(payload) == layouts.ORIGIN.size:
            found[kind] = layouts.ORIGIN.unpack(payload)
            if not np.isfinite(found[kind]).all():
                raise unreadable(path, "its record of the origin is not finite")
        elif note and kind != layouts.SAFE_ORBIT:
            note(f"{path}: its record of the unknown type {kind:#x} was passed over")
    return found


def _decoded(layout: Layout, part: slice) -> Splats:
    """Some of the splats, in the axes of the file."""
    rows = {name: array[part] for name, array in layout.arrays.items()}
    count = len(rows["alphas"])
    kept = min(layouts.COEFFICIENTS[layout.degree], KEPT_COEFFICIENTS)
    sh = np.empty((count, 1 + kept, 3), np.float32)
    sh[:, 0] = (rows["colors"] - 127.5) / COLOR_STEPS
    sh[:, 1:] = rows["harmonics"][:, : 3 * kept].reshape(count, kept, 3).astype(np.float32) / HARMONIC_STEPS - 1
    return Splats(
        _decoded_positions(rows["positions"], layout.fractional_bits),
        (_rotations_of_four if layout.version >= 3 else _rotations_of_three)(rows["rotations"]),
        np.exp(rows["scales"] / SCALE_STEPS + SCALE_ORIGIN).astype(np.float32),
        (rows["alphas"][:, 0] / 255).astype(np.float32),
        sh,
    )


def _decoded_positions(rows: Annotated[np.ndarray, "G 9"], fractional_bits: int) -> Annotated[np.ndarray, "G 3"]:
    if rows.shape[1] == 6:  # version 1
        return np.ascontiguousarray(rows).view("<f2").astype(np.float32)
    wide = np.zeros((len(rows), 3, 4), np.uint8)
    wide[:, :, 1:] = rows.reshape(-1, 3, 3)
    # The number stands in the upper three bytes, so that the shift carries its sign down.
    return ((wide.view("<i4")[:, :, 0] >> 8) * 2.0**-fractional_bits).astype(np.float32)


def _rotations_of_four(rows: Annotated[np.ndarray, "G 4"]) -> Annotated[np.ndarray, "G 4"]:
    """wxyz, unit, of the 32 bits of version 3 on: which of xyzw is the largest, then sign and 9 bits of each other one."""
    packed = np.ascontiguousarray(rows).view("<u4")[:, 0]
    largest = packed >> 30
    fields = packed[:, None] >> np.array([20, 10, 0], np.uint32)
    values = (fields & 511) / 511 * math.sqrt(0.5) * np.where(fields & 512, -1, 1)
    xyzw = np.empty((len(packed), 4))
    np.put_along_axis(xyzw, LARGEST_IN_THREE[largest], values, 1)
    rest = np.sqrt(np.maximum(1 - (values**2).sum(1), 0))
    np.put_along_axis(xyzw, largest[:, None].astype(np.int64), rest[:, None], 1)
    return _unit_wxyz(xyzw)


def _rotations_of_three(rows: Annotated[np.ndarray, "G 3"]) -> Annotated[np.ndarray, "G 4"]:
    """wxyz, unit, of the x, y, z of versions 1 and 2; w is not negative."""
    xyz = rows / 127.5 - 1
    return _unit_wxyz(np.concatenate([xyz, np.sqrt(np.maximum(1 - (xyz**2).sum(1, keepdims=True), 0))], 1))


def _unit_wxyz(xyzw: Annotated[np.ndarray, "G 4"]) -> Annotated[np.ndarray, "G 4"]:
    return (xyzw / np.linalg.norm(xyzw, axis=1, keepdims=True))[:, [3, 0, 1, 2]].astype(np.float32)


def write_spz(
    path: Path | str,
    splats: Splats,
    version: Literal[3, 4] = 4,
    sh_bits: Literal[8, 5] = 8,
    axes: Literal["rdf", "rub"] = "rdf",
    note: Note | None = None,
) -> None:
    """Write splats. `sh_bits` 5 keeps 5 bits of harmonics of degree 1 and 4 of the others, for half the size.

    "rdf" keeps our axes and says so in a record (version 4; version 3 has no place that readers see); "rub" is the letter
    of the specification. An origin is a record of its own. The positions get as many fractional bits as the scene's bounds
    allow. `note` is told what the format cannot hold. Raises ValueError where a value cannot be rendered, InputError where
    the scene is too large.
    """
    path = Path(path)
    if version not in (3, 4) or sh_bits not in (8, 5) or axes not in ("rdf", "rub"):
        raise ValueError(f"SPZ of version {version} with {sh_bits} bits and axes {axes} is not written")
    splats.check(f"writing {path}")
    if not len(splats):
        raise InputError(path, "there are no splats to write", "Give a scene with splats")
    flags = layouts.ANTIALIASED if splats.mode == "antialiased" else 0
    records = _records(splats.origin, axes) if version == 4 else ()
    layout = Layout(version, len(splats), splats.degree, _fractional_bits(path, splats.means), flags, records=records)
    arrays = {name: np.empty((len(splats), width), np.uint8) for name, width in layout.widths.items()}
    for part in _parts(len(splats)):
        moved = splats[part] if axes == "rdf" else splats[part].moved(HALF_TURN)
        for name, rows in _encoded(moved, layout.fractional_bits, sh_bits).items():
            arrays[name][part] = rows
    layouts.write_layout(path, replace(layout, arrays=arrays))
    if note:
        for line in _losses(splats, version, axes):
            note(f"{path}: {line}")


def _records(origin: Annotated[np.ndarray, "3"], axes: str) -> tuple[tuple[int, bytes], ...]:
    records = ((layouts.COORDINATES, RDF.to_bytes(4, "little")),) if axes == "rdf" else ()
    if not origin.any():
        return records
    return (*records, (layouts.ORIGIN_RECORD, layouts.ORIGIN.pack(*(origin if axes == "rdf" else HALF_TURN @ origin))))


def _fractional_bits(path: Path, means: Annotated[np.ndarray, "G 3"]) -> int:
    """As many as the largest coordinate leaves of 23, at most 24. InputError where it has no place without any."""
    largest = float(np.abs(means).max())
    if largest > MOST_STEPS:
        worst = int(np.abs(means).max(1).argmax())
        at = ", ".join(f"{x:.4g}" for x in means[worst])
        remedy = "Make the scene smaller with --scale" + (", or leave it out with --crop" if outlying(means).any() else "")
        raise InputError(path, f"splat {worst} lies at ({at}), and SPZ holds coordinates up to {MOST_STEPS}", remedy)
    if largest * 2**MOST_FRACTIONAL_BITS <= MOST_STEPS:
        return MOST_FRACTIONAL_BITS
    return math.floor(math.log2(MOST_STEPS / largest))


def _encoded(splats: Splats, fractional_bits: int, sh_bits: int) -> dict[str, np.ndarray]:
    """The arrays of bytes of some splats, in their own axes."""
    steps = np.rint(splats.means.astype(np.float64) * 2.0**fractional_bits).astype("<i4")
    scales = (np.log(splats.scales.astype(np.float64)) - SCALE_ORIGIN) * SCALE_STEPS
    return {
        "positions": steps.view(np.uint8).reshape(-1, 3, 4)[:, :, :3].reshape(-1, 9),
        "alphas": _bytes(splats.opacities[:, None] * 255.0),
        "colors": _bytes(splats.sh[:, 0].astype(np.float64) * COLOR_STEPS + 127.5),
        "scales": _bytes(scales),
        "rotations": _encoded_rotations(splats.quats),
        "harmonics": _encoded_harmonics(splats.sh[:, 1:], sh_bits),
    }


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _encoded_harmonics(sh: Annotated[np.ndarray, "G S-1 3"], sh_bits: int) -> Annotated[np.ndarray, "G 3(S-1)"]:
    """A byte each, coefficient by coefficient, r g b within; with fewer bits, multiples of a coarser step about 128."""
    coarse = np.ones((sh.shape[1], 1))
    if sh_bits != 8:
        coarse[:3], coarse[3:] = (2 ** (8 - bits) for bits in USUAL_BITS)
    return _bytes(np.rint(sh * (HARMONIC_STEPS / coarse)) * coarse + HARMONIC_STEPS).reshape(len(sh), -1)


def _encoded_rotations(quats: Annotated[np.ndarray, "G 4"]) -> Annotated[np.ndarray, "G 4"]:
    xyzw = quats[:, [1, 2, 3, 0]].astype(np.float64)
    largest = np.abs(xyzw).argmax(1)
    xyzw *= np.where(np.take_along_axis(xyzw, largest[:, None], 1) < 0, -1, 1)
    xyzw /= np.linalg.norm(xyzw, axis=1, keepdims=True)
    kept = np.take_along_axis(xyzw, LARGEST_IN_THREE[largest], 1)
    fields = np.minimum(np.rint(np.abs(kept) * (511 / math.sqrt(0.5))), 511).astype(np.uint32)
    fields |= np.where(kept < 0, 512, 0).astype(np.uint32)
    packed = largest.astype(np.uint32) << 30 | fields[:, 0] << 20 | fields[:, 1] << 10 | fields[:, 2]
    return packed.astype("<u4").view(np.uint8).reshape(-1, 4)


def _losses(splats: Splats, version: int, axes: str) -> Iterator[str]:
    """A line for each thing that a reader of the file will not find in it."""
    if version == 3:
        letters = "x right, y down, z forward" if axes == "rdf" else "x right, y up, z back"
        yield f"SPZ 3 cannot say its axes; these are {letters}: read it with --axes {axes}"
    thinnest, widest = (math.exp(b / SCALE_STEPS + SCALE_ORIGIN) for b in (-0.5, 255.5))
    shares = {
        f"are thinner than {thinnest:.2g}, the least that SPZ holds, and were widened": splats.scales.min(1) < thinnest,
        f"are wider than {widest:.3g}, the most that SPZ holds, and were narrowed": splats.scales.max(1) > widest,
        "have colours brighter or darker than SPZ holds, which were cut": np.abs(splats.sh[:, 0]).max(1)
        > 128 / COLOR_STEPS,
        "have harmonics beyond the -1 to 1 of SPZ, which were cut": np.abs(splats.sh[:, 1:]).max((1, 2), initial=0)
        > 1 + 0.5 / HARMONIC_STEPS,
    }
    for what, changed in shares.items():
        if changed.mean() > NOTED:
            yield f"{100 * changed.mean():.1f} % of its splats {what}"
    if splats.mode == "2dgs":
        yield "SPZ cannot say that the splats are flat (2DGS); they keep a thin third axis"
