"""Splats in the PLY of 3D Gaussian Splatting (Kerbl et al. 2023): logs and logits there, physical values here.

The axes of the file are our world's; nothing is turned.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np

from recon3d.atomic import atomic_file
from recon3d.core.origin import in_words
from recon3d.core.splats import Mode, Splats
from recon3d.errors import InputError
from recon3d.io import ply_table

# A logit of 40 is 1 - 4e-18: float32 reads it as exactly 1, and no reader meets an infinity.
LOGIT_BOUND = 40.0
MODE_COMMENT = "SplatRenderMode:"
LOGIT_COMMENT = "opacity is a logit"  # written where the values alone would not tell
ORIGIN_COMMENT = "origin"  # then x y z, of the frame that the positions stand in
MODE_WORDS: dict[Mode, str] = {"default": "default", "antialiased": "mip", "2dgs": "2dgs"}
REST_COUNTS = {0: 0, 9: 3, 24: 8, 45: 15, 72: 24}  # f_rest columns -> coefficients of each colour beyond degree 0
KEPT_COEFFICIENTS = 15  # degree 3; a file of degree 4 is cut to it
FEWEST, OPACITY_BOUND = 32, 1e-6  # splats that tell opacities from logits; how near to 0 and 1 a mended opacity comes
FLAT = 1 / 1000  # a surfel's third axis, of the smaller of its two


def write_ply(path: Path | str, splats: Splats) -> None:
    """Write splats as little-endian float32, their origin as a comment. The bytes depend on the values (and the mode) only.

    Raises ValueError where a value cannot be rendered, or does not fit float32.
    """
    path = Path(path)
    splats.check(f"writing {path}")
    columns = column_names(splats.sh.shape[1] - 1)
    comment = f"comment {MODE_COMMENT} {MODE_WORDS[splats.mode]}\n" if splats.mode != "default" else ""
    if linear(splats.opacities):  # what a head gives may lie between 0.50 and 0.73, and would be taken for unmended
        comment += f"comment {LOGIT_COMMENT}\n"
    if splats.origin.any():
        comment += f"comment {ORIGIN_COMMENT} {' '.join(repr(float(x)) for x in splats.origin)}\n"
    header = (
        f"ply\nformat binary_little_endian 1.0\n{comment}element vertex {len(splats)}\n"
        + "".join(f"property float {name}\n" for name in columns)
        + "end_header\n"
    )
    with atomic_file(path) as temporary, open(temporary, "wb") as file:
        file.write(header.encode("ascii"))
        for start in range(0, len(splats), ply_table.ROWS_AT_ONCE):
            part = slice(start, start + ply_table.ROWS_AT_ONCE)
            table = _table(splats, part)
            if not np.isfinite(table).all():
                raise ValueError(f"writing {path}: a value is too large for float32")
            file.write(table.tobytes())


def column_names(rest: int) -> list[str]:
    """The properties in the order of 3DGS, with `rest` coefficients of each colour beyond degree 0."""
    return (
        ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2"]
        + [f"f_rest_{i}" for i in range(3 * rest)]
        + ["opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"]
    )


def _table(splats: Splats, part: slice) -> Annotated[np.ndarray, "G columns"]:
    """Rows of the file, float32: logs and logits are taken in float64, so that only the storage rounds."""

    def values(array: np.ndarray) -> np.ndarray:
        return array[part].astype(np.float64)

    sh, opacities = values(splats.sh), values(splats.opacities)
    with np.errstate(divide="ignore", over="ignore"):
        logits = np.clip(np.log(opacities) - np.log1p(-opacities), -LOGIT_BOUND, LOGIT_BOUND)
        return np.concatenate(
            [
                values(splats.means),
                np.zeros((len(sh), 3)),
                sh[:, 0],
                # channel-major: all of red, then green, then blue
                sh[:, 1:].transpose(0, 2, 1).reshape(len(sh), -1),
                logits[:, None],
                np.log(values(splats.scales)),
                values(splats.quats),
            ],
            axis=1,
        ).astype("<f4")


def read_ply(path: Path | str, note: Callable[[str], None] | None = None, opacity_as_is: bool = False) -> Splats:
    """The splats of a PLY, float32: any byte order, ASCII, doubles, any order of properties, degrees 0 to 4 (cut to 3).

    Opacities that were stored without the logit are mended, unless `opacity_as_is`. Doubles far from zero are held about an
    origin. `note` is told what of the file was changed. InputError where the file is none, lies about its length, lacks a
    property or holds a value that cannot be rendered.
    """
    path = Path(path)
    try:
        file = open(path, "rb")  # noqa: SIM115 - the with stands below, so that only opening counts as missing
    except OSError as error:
        raise InputError(path, f"it cannot be read ({error.strerror})", "Give the path of a PLY file") from error
    with file:
        header = ply_table.read_header(file, path)
        element = _splats(path, header)
        surfel = "scale_2" not in element.names
        parts = [_physical(part, surfel) for part in ply_table.rows(file, path, header, element)]
    positions, quats, scales, opacities, sh, clamped = (np.concatenate(column) for column in zip(*parts, strict=True))
    _check_values(path, means=positions, quats=quats, scales=scales, opacities=opacities, sh=sh)
    if not opacity_as_is and LOGIT_COMMENT not in header.comments and linear(opacities):
        opacities = np.clip(logit_of(opacities), OPACITY_BOUND, 1 - OPACITY_BOUND)
        if note:
            note(f"{path}: opacities are stored without the logit (all within 0 to 1): mended; --opacity as-is keeps them")
    if note and surfel:
        note(f"{path}: flat splats (2DGS, no scale_2): the third axis is set thin")
    if note and clamped.any():
        note(f"{path}: {int(clamped.sum())} opacities are exactly 0 or 1")
    if note and "f_rest_71" in element.names:
        note(f"{path}: its harmonics of degree 4 were cut to degree 3")
    origin = origin_of(path, header.comments)
    mode = "2dgs" if surfel else mode_of(header.comments)
    splats = Splats(positions.astype(np.float32), quats, scales, opacities, sh, mode, origin)
    kept = splats.placed(positions + origin) if not header.order or element.kind("x") == "f8" else splats
    off = float(np.abs(kept.positions - (positions + origin)).max())
    if note and element.kind("x") == "f8" and off > 0:
        about = f"about the origin {in_words(kept.origin)} " if kept.origin.any() else ""
        note(f"{path}: its positions in double precision are held {about}in single precision: off by up to {off:.2g} units")
    return kept


def linear(opacities: Annotated[np.ndarray, "G"]) -> bool:
    """Whether what was read as logits were opacities: all of 32 and more within 0 to 1, so that readers see 0.50 to 0.73.

    Trained scenes hold values below and above that. A constant column other than 1 may be meant.
    """
    values = logit_of(opacities)
    within = len(values) >= FEWEST and values.min() >= -1e-6 and values.max() <= 1 + 1e-6
    return bool(within and (np.ptp(values) > 0 or abs(values[0] - 1) < 1e-6))


def logit_of(opacities: Annotated[np.ndarray, "G"]) -> Annotated[np.ndarray, "G"]:
    """The number in the file (float32) that was read as this opacity."""
    with np.errstate(divide="ignore"):
        wide = opacities.astype(np.float64)
        return (np.log(wide) - np.log1p(-wide)).astype(np.float32)


def mode_of(comments: tuple[str, ...]) -> Mode:
    """How the splats were trained, as writers say it in comments (the last one counts); "default" where none does."""
    spellings: dict[str, Mode] = {
        "splatrendermode: mip": "antialiased",
        "splatrendermode: default": "default",
        "splatrendermode: 2dgs": "2dgs",
        "postshot.anti_aliasing=1": "antialiased",
        "postshot.anti_aliasing=0": "default",
        "antialiased 1": "antialiased",
        "antialiased 0": "default",
    }
    mode: Mode = "default"
    for comment in comments:
        mode = spellings.get(" ".join(comment.lower().split()), mode)
    return mode


def origin_of(path: Path, comments: tuple[str, ...]) -> Annotated[np.ndarray, "3"]:
    """Where in the world the positions' frame stands, as a comment says; (0, 0, 0) where none does."""
    for comment in comments:
        words = comment.split()
        if words[:1] == [ORIGIN_COMMENT] and len(words) == 4:
            try:
                origin = np.array([float(word) for word in words[1:]])
            except ValueError:
                continue  # somebody's sentence that begins with this word
            if not np.isfinite(origin).all():
                raise InputError(path, "its comment of the origin is not finite", "Export it again")
            return origin
    return np.zeros(3)


def _splats(path: Path, header: ply_table.Header) -> ply_table.Element:
    """The element that holds splats; InputError where there is none. Surfels (2DGS) may lack the third scale."""
    remedy = "Give a PLY of 3D Gaussian Splatting"
    element = header.element("vertex")
    if element is None:
        raise InputError(path, "it has no element named vertex", remedy)
    names = set(element.names)
    if "packed_position" in names:
        raise InputError(path, "it is a compressed PLY, which is not read here", "Export it as a plain PLY")
    surfel = "scale_1" in names and "scale_2" not in names
    needed = [n for n in column_names(0) if n not in ("nx", "ny", "nz") and not (surfel and n == "scale_2")]
    missing = [n for n in needed if n not in names]
    if missing:
        raise InputError(path, f"it holds no splats (no property {', '.join(missing[:4])})", remedy)
    rest = sum(name.startswith("f_rest_") for name in names)
    if rest not in REST_COUNTS or any(f"f_rest_{i}" not in names for i in range(rest)):
        raise InputError(path, f"it has {rest} properties f_rest, which is no whole number of degrees", remedy)
    if element.count == 0:
        raise InputError(path, "it holds no splats (a count of 0)", remedy)
    return element


def _physical(part: np.ndarray, surfel: bool) -> tuple[np.ndarray, ...]:
    """means, quats, scales, opacities, sh (float32) and which logits were infinite, of some rows of the file."""

    def columns(*names: str) -> np.ndarray:
        return np.stack([part[name].astype(np.float64) for name in names], -1)

    count = REST_COUNTS[sum(name.startswith("f_rest_") for name in part.dtype.names or ())]
    kept = min(count, KEPT_COEFFICIENTS)
    sh = np.empty((len(part), 1 + kept, 3), np.float32)
    sh[:, 0] = columns("f_dc_0", "f_dc_1", "f_dc_2")
    for channel in range(3):
        for k in range(kept):
            sh[:, 1 + k, channel] = part[f"f_rest_{channel * count + k}"]
    logits = part["opacity"].astype(np.float64)
    quats = columns("rot_0", "rot_1", "rot_2", "rot_3")
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        scales = np.exp(columns("scale_0", "scale_1") if surfel else columns("scale_0", "scale_1", "scale_2"))
        if surfel:
            scales = np.concatenate([scales, scales.min(1, keepdims=True) * FLAT], 1)
        quats /= np.linalg.norm(quats, axis=1, keepdims=True)
        opacities = np.exp(-np.logaddexp(0, -logits))
        scales = np.maximum(scales, np.finfo(np.float32).tiny).astype(np.float32)
    return columns("x", "y", "z"), quats.astype(np.float32), scales, opacities.astype(np.float32), sh, np.isinf(logits)


def _check_values(path: Path, **values: np.ndarray) -> None:
    for name, array in values.items():
        bad = int((~np.isfinite(array.reshape(len(array), -1))).any(1).sum())
        if bad:
            raise InputError(
                path,
                f"the {name} of {bad} of its {len(array)} splats are not finite numbers",
                "Export it again, or remove those splats in an editor",
            )
