"""Splats in the PLY of 3D Gaussian Splatting (Kerbl et al. 2023): logs and logits there, physical values here.

The axes of the file are our world's; nothing is turned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np

from recon3d.atomic import atomic_file
from recon3d.core.splats import Mode, Splats
from recon3d.errors import InputError
from recon3d.io import ply_table
from recon3d.io.neighbours import linear_scales
from recon3d.io.ply_values import COLORS, DISPLAY_COLORS, REST_COUNTS, linear_opacities, physical, stored_columns

# A logit of 40 is 1 - 4e-18: float32 reads it as exactly 1, and no reader meets an infinity.
LOGIT_BOUND = 40.0
MODE_COMMENT = "SplatRenderMode:"
LOGIT_COMMENT = "opacity is a logit"  # written where the values alone would not tell
LOG_COMMENT = "scale is a logarithm"
ORIGIN_COMMENT = "origin"  # then x y z, of the frame that the positions stand in
MODE_WORDS: dict[Mode, str] = {"default": "default", "antialiased": "mip", "2dgs": "2dgs"}


def write_ply(path: Path | str, splats: Splats) -> None:
    """Write splats as little-endian float32, their origin as a comment. The bytes depend on the values (and the mode) only.

    Raises ValueError where a value cannot be rendered, or does not fit float32.
    """
    path = Path(path)
    splats.check(f"writing {path}")
    columns = column_names(splats.sh.shape[1] - 1)
    comment = f"comment {MODE_COMMENT} {MODE_WORDS[splats.mode]}\n" if splats.mode != "default" else ""
    if linear_opacities(logits_of(splats.opacities)):  # a head's may lie between 0.50 and 0.73
        comment += f"comment {LOGIT_COMMENT}\n"
    if len(splats) and splats.scales.min() > 1 and linear_scales(np.log(splats.scales), splats.means):
        comment += f"comment {LOG_COMMENT}\n"
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

    sh, logits = values(splats.sh), logits_of(splats.opacities[part])
    with np.errstate(over="ignore"):
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


def logits_of(opacities: Annotated[np.ndarray, "G"]) -> Annotated[np.ndarray, "G"]:
    """What the file holds for opacities, before it is rounded to float32."""
    wide = opacities.astype(np.float64)
    with np.errstate(divide="ignore"):
        return np.clip(np.log(wide) - np.log1p(-wide), -LOGIT_BOUND, LOGIT_BOUND)


def read_ply(
    path: Path | str,
    note: Callable[[str], None] | None = None,
    opacity_as_is: bool = False,
    scales_as_is: bool = False,
) -> Splats:
    """The splats of a PLY, float32: any byte order, ASCII, doubles, any order of properties, degrees 0 to 4 (cut to 3).

    What programs store otherwise is mended (ply_values.py): opacities without the logit unless `opacity_as_is`, scales without
    the logarithm unless `scales_as_is`. Doubles far from zero are held about an origin. `note` is told what of the file was
    changed. InputError where the file is none, lies about its length, lacks a property or holds more than a few values that
    cannot be rendered.
    """
    path = Path(path)
    with ply_table.opened(path) as file:
        header = ply_table.read_header(file, path)
        element = _splats(path, header)
        stored = stored_columns(ply_table.rows(file, path, header, element), dict(element.properties))
    origin = origin_of(path, header.comments)
    opacity_as_is = opacity_as_is or LOGIT_COMMENT in header.comments
    splats = physical(path, stored, origin, opacity_as_is, scales_as_is or LOG_COMMENT in header.comments, note)
    if note and "f_rest_71" in element.names:
        note(f"{path}: its harmonics of degree 4 were cut to degree 3")
    return splats if splats.mode == "2dgs" else replace(splats, mode=mode_of(header.comments))


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
    left_out = {"nx", "ny", "nz"}
    if "scale_1" in names and "scale_2" not in names:
        left_out.add("scale_2")
    if not names & set(COLORS) and names >= set(DISPLAY_COLORS):
        left_out |= set(COLORS)
    missing = [n for n in column_names(0) if n not in left_out and n not in names]
    if missing:
        raise InputError(path, f"it holds no splats (no property {', '.join(missing[:4])})", remedy)
    rest = sum(name.startswith("f_rest_") for name in names)
    if rest not in REST_COUNTS or any(f"f_rest_{i}" not in names for i in range(rest)):
        raise InputError(path, f"it has {rest} properties f_rest, which is no whole number of degrees", remedy)
    if element.count == 0:
        raise InputError(path, "it holds no splats (a count of 0)", remedy)
    return element
