"""Splats in GLB with KHR_gaussian_splatting (Khronos, ratified 2026): physical values in float32, for engines and maps.

Our files are y up (RUB, as glTF has it): the half turn from our axes is in the numbers, since viewers do not turn harmonics
with a node. The container is in gltf.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from scipy.spatial.transform import Rotation

from recon3d.core.harmonics import C0
from recon3d.core.splats import FIELDS, Mode, Splats
from recon3d.errors import InputError
from recon3d.io import gltf
from recon3d.io.axes import HALF_TURN, SYSTEMS, given_system, rdf_from
from recon3d.io.bad_rows import kept_rows, not_finite
from recon3d.io.gltf import Document, unreadable
from recon3d.io.neighbours import logarithmic
from recon3d.io.spz import read_embedded

NAME = "KHR_gaussian_splatting"
DISPLAY, LINEAR = "srgb_rec709_display", "lin_rec709_display"
PROPERTIES = {
    "kernel": "ellipse", "colorSpace": DISPLAY, "projection": "perspective", "sortingMethod": "cameraDistance",
}  # fmt: skip
COEFFICIENTS = [(degree, n) for degree in range(4) for n in range(2 * degree + 1)]
MODES: tuple[Mode, ...] = ("default", "antialiased", "2dgs")
MARK = "recon3d"  # our place in asset.extras
RUB, LUF = 4, 7  # of SYSTEMS
PLAYCANVAS = "splat-transform"  # the generator whose files look along +z, x left
SPZ = "KHR_gaussian_splatting_compression_spz_2"  # within the extension: an SPZ in place of the attributes
DRAFT_OF_SPZ = "KHR_spz_gaussian_splats_compression"  # beside none, in files of Cesium of 2025
MEANT = 1e-4  # how far a node's columns may be from orthogonal, or its scales from one, and still be taken as such
FEWEST_BYTES = 24  # of a splat in a file that is not compressed; fewer mean that many primitives share their numbers
FREE_SPLATS, MOST_TIMES = 1 << 16, 64  # splats whatever the file's size; how often nodes may show each of a larger scene
Note = Callable[[str], None]


def read_glb(path: Path | str, note: Note | None = None, axes: str | None = None) -> tuple[Splats, str]:
    """The splats of a GLB in our axes, float32, and a sentence that says which axes were taken and why.

    All primitives of its scene, moved as their nodes say. `note` is told what was changed or passed over. InputError where
    it holds no splats, lies about its sizes, or holds what cannot be rendered (mirrored or skewed nodes among it).
    """
    path = Path(path)
    document = gltf.read_document(path)
    with gltf.lawful(path):
        placed = [(one, matrix) for one, matrix in gltf.placed_primitives(document) if _holds_splats(one)]
        if not placed:
            used = ", ".join(str(name) for name in document.content.get("extensionsUsed", [])) or "no extension"
            raise InputError(path, f"it holds no splats ({used:.80})", f"Give a GLB with {NAME}")
        parts = _parts(document, [one for one, _ in placed], note)
        moved = [_moved(path, part, matrix) for part, (_, matrix) in zip(parts, placed, strict=True)]
        extras = document.content["asset"].get("extras")
        mark = extras.get(MARK, {}) if isinstance(extras, dict) else {}
        mode = mark.get("mode", moved[0].mode)
        system, why = _system(document, mark, axes)
    splats = replace(_joined(moved), mode=mode if mode in MODES else "default")
    return splats.moved(rdf_from(system)), why


def _holds_splats(primitive: dict[str, Any]) -> bool:
    return not {NAME, DRAFT_OF_SPZ}.isdisjoint(primitive.get("extensions", {}))


def _parts(document: Document, primitives: list[dict[str, Any]], note: Note | None) -> list[Splats]:
    """The splats of primitives, which several nodes may show; InputError where they are more than the bytes can mean."""
    path, held = document.path, len(document.data)
    distinct: dict[int, Splats] = {}
    needed = 0
    for primitive in primitives:
        if id(primitive) in distinct:
            continue
        spz = _spz_part(document, primitive)
        part = _splats(document, primitive, note) if spz is None else read_embedded(spz, path, note)
        needed += len(part) * (FEWEST_BYTES if spz is None else 1)
        if needed > held + FREE_SPLATS:
            raise unreadable(path, f"it declares more splats than its {held} bytes can hold")
        distinct[id(primitive)] = part
    shown, owned = (sum(len(distinct[one]) for one in which) for which in (map(id, primitives), distinct))
    if shown > max(FREE_SPLATS, MOST_TIMES * owned):
        raise unreadable(path, f"its nodes show more splats ({shown}) than make sense for the {owned} that it holds")
    return [distinct[id(primitive)] for primitive in primitives]


def _spz_part(document: Document, primitive: dict[str, Any]) -> bytes | None:
    """The SPZ that a primitive holds instead of attributes; None where it holds those. InputError for other compressions."""
    told = primitive["extensions"]
    inner = told.get(NAME, {}).get("extensions", {}) if NAME in told else {SPZ: told[DRAFT_OF_SPZ]}
    if not inner:
        return None
    if SPZ not in inner:
        what = f"its splats are compressed by {', '.join(inner):.80}, and {SPZ} is read"
        raise InputError(document.path, what, "Export it without compression")
    return gltf.viewed(document, inner[SPZ]["bufferView"]).tobytes()


def _system(document: Document, mark: dict[str, Any], axes: str | None) -> tuple[int, str]:
    """The system of the file's numbers: of our own files, else as `axes` says, else of the program that wrote it, else RUB."""
    if mark.get("axes") == "RUB":
        return RUB, "RUB, as the file's own record says" + (" (--axes was not needed)" if axes else "")
    if axes is not None:
        system = given_system(axes)
        return system, f"{SYSTEMS[system][0]}, as --axes says; the file does not"
    generator = str(document.content["asset"].get("generator", ""))
    if generator.startswith(PLAYCANVAS):
        return LUF, f"LUF, as {generator:.40} writes"
    return RUB, "RUB (y up), as glTF has it; the file does not say. If it is turned: --axes luf or rdf"


def _splats(document: Document, primitive: dict[str, Any], note: Note | None) -> Splats:
    """The splats of a primitive, in its own axes."""
    path, told = document.path, primitive["extensions"][NAME]
    given = {name: told.get(name, usual) for name, usual in PROPERTIES.items()}
    if given["kernel"] != PROPERTIES["kernel"] or given["colorSpace"] not in (DISPLAY, LINEAR):
        what = f"its splats are of the kernel {given['kernel']!s:.40} with colours in {given['colorSpace']!s:.40}"
        raise InputError(path, what, "Export it with ellipses and display colours")
    for name in ("projection", "sortingMethod"):
        if note and given[name] != PROPERTIES[name]:
            note(f"{path}: its {name} {given[name]!s:.40} was passed over")
    if primitive.get("mode") != gltf.POINTS:
        raise unreadable(path, "its splats are no primitive of points")

    def values(name: str, kind: str, stored: set[tuple[int, bool]]) -> np.ndarray:
        return gltf.values(document, primitive["attributes"][name], kind, stored)

    means = values("POSITION", "VEC3", gltf.FLOATS | gltf.UNSIGNED | gltf.SIGNED | gltf.PLAIN)
    with np.errstate(invalid="ignore"):  # numbers that are none are left out below
        xyzw = values(f"{NAME}:ROTATION", "VEC4", gltf.FLOATS | gltf.SIGNED).astype(np.float64)
        lengths = np.linalg.norm(xyzw, axis=1, keepdims=True)
        quats = np.where(lengths > 0, xyzw / np.where(lengths > 0, lengths, 1), 0)[:, [3, 0, 1, 2]].astype(np.float32)
    plain = {(code, False) for code, _ in gltf.UNSIGNED}
    scales = values(f"{NAME}:SCALE", "VEC3", gltf.FLOATS | gltf.UNSIGNED | plain)
    opacities = values(f"{NAME}:OPACITY", "SCALAR", gltf.FLOATS | gltf.UNSIGNED)[:, 0].copy()
    names = [f"{NAME}:SH_DEGREE_{degree}_COEF_{n}" for degree, n in COEFFICIENTS]
    held = [name in primitive["attributes"] for name in names]
    if sum(held) not in (1, 4, 9, 16) or not all(held[: sum(held)]):
        raise unreadable(path, f"its harmonics have {sum(held)} coefficients, which is no whole number of degrees")
    sh = [values(name, "VEC3", gltf.FLOATS) for name in names[: sum(held)]]
    if any(len(array) != len(means) for array in (quats, scales, opacities, *sh)):
        raise unreadable(path, "its attributes are of different lengths")
    finite = ~(not_finite(means) | not_finite(scales))
    if logarithmic(scales[finite], means[finite]):
        with np.errstate(over="ignore"):
            scales = np.exp(scales)
        if note:
            note(f"{path}: its scales are logarithms, as a draft of {NAME} had them: mended")
    colors = np.stack(sh, 1)
    bad = {
        "means": not_finite(means), "rotations": ~quats.any(1) | not_finite(quats),
        "scales": not_finite(scales) | (scales < 0).any(1), "opacities": ~((opacities >= 0) & (opacities <= 1)),
        "colours": not_finite(colors),
    }  # fmt: skip
    kept = kept_rows(path, bad, note)
    scales = np.maximum(scales, np.finfo(np.float32).tiny)
    splats = Splats(np.array(means), quats, scales, opacities, colors)
    splats = splats if kept.all() else splats[kept]
    return _displayed(path, splats, note) if given["colorSpace"] == LINEAR else splats


def _displayed(path: Path, splats: Splats, note: Note | None) -> Splats:
    """Colours of light -> of the display: exact for the mean colour, by the curve's slope there for the harmonics."""
    color = 0.5 + C0 * splats.sh[:, :1].astype(np.float64)
    shown = gltf.srgb_from_linear(color)
    slope = (gltf.srgb_from_linear(color + 1e-4) - gltf.srgb_from_linear(color - 1e-4)) / 2e-4
    sh = np.concatenate([(shown - 0.5) / C0, splats.sh[:, 1:] * slope], 1).astype(np.float32)
    if note:
        note(
            f"{path}: its colours are linear and were made display colours; how they change with the view is approximate"
        )
    return replace(splats, sh=sh)


def _moved(path: Path, splats: Splats, matrix: Annotated[np.ndarray, "4 4"]) -> Splats:
    """Splats of a node in the world of the file. A node that scales its axes apart shears them: they are taken apart anew."""
    linear, shift = matrix[:3, :3], matrix[:3, 3]
    lengths = np.linalg.norm(linear, axis=0)
    if not (np.isfinite(matrix).all() and lengths.min() > 0):
        raise unreadable(path, "a node moves its splats by a matrix that has no inverse")
    turn = linear / lengths
    if np.abs(turn.T @ turn - np.eye(3)).max() > MEANT or np.linalg.det(turn) < 0:
        raise InputError(
            path, "a node mirrors or skews its splats, which glTF leaves undefined", "Apply its transform first"
        )
    if np.ptp(lengths) <= MEANT * lengths.max():
        return splats.moved(turn, float(lengths.mean()), shift)
    turned = splats.moved(turn, 1.0)
    axes = linear @ Rotation.from_quat(splats.quats[:, [1, 2, 3, 0]]).as_matrix() * splats.scales[:, None]
    squares, vectors = np.linalg.eigh(axes @ axes.transpose(0, 2, 1))
    vectors[:, :, 0] *= np.linalg.det(vectors)[:, None]
    return replace(
        turned.placed(splats.positions @ linear.T + shift),
        quats=Rotation.from_matrix(vectors).as_quat()[:, [3, 0, 1, 2]].astype(np.float32),
        scales=np.sqrt(np.maximum(squares, np.finfo(np.float32).tiny)).astype(np.float32),
    )


def _joined(parts: list[Splats]) -> Splats:
    """Several primitives as one; those of a lower degree get harmonics of 0."""
    if len(parts) == 1:
        return parts[0]
    most = max(part.sh.shape[1] for part in parts)
    parts = [replace(p, sh=np.pad(p.sh, ((0, 0), (0, most - p.sh.shape[1]), (0, 0)))) for p in parts]
    means, quats, scales, opacities, sh = (np.concatenate([getattr(p, name) for p in parts]) for name in FIELDS)
    splats = Splats(means, quats, scales, opacities, sh)
    return splats.placed(np.concatenate([p.positions for p in parts])) if any(p.origin.any() for p in parts) else splats


def write_glb(path: Path | str, splats: Splats) -> None:
    """Write splats as one primitive of points at their origin, with the colours that viewers without the extension show.

    The mode has no place in the extension: `asset.extras` keeps it. Raises ValueError where a value cannot be rendered,
    InputError where the file would be too large.
    """
    path = Path(path)
    splats.check(f"writing {path}")
    if not len(splats):
        raise InputError(path, "there are no splats to write", "Give a scene with splats")
    turned = splats.moved(HALF_TURN)
    marks = {MARK: {"axes": "RUB", "mode": splats.mode}}
    gltf.write_points(path, dict(_attributes(turned)), {NAME: PROPERTIES}, marks, turned.origin)


def _attributes(splats: Splats) -> Iterator[tuple[str, Annotated[np.ndarray, "G n"]]]:
    yield "POSITION", splats.means
    colors = 0.5 + C0 * splats.sh[:, 0].astype(np.float64)
    yield "COLOR_0", np.concatenate([gltf.light(colors), gltf.unsigned(splats.opacities[:, None])], 1)
    yield f"{NAME}:ROTATION", splats.quats[:, [1, 2, 3, 0]]
    yield f"{NAME}:SCALE", splats.scales
    yield f"{NAME}:OPACITY", splats.opacities[:, None]
    for (degree, n), k in zip(COEFFICIENTS, range(splats.sh.shape[1]), strict=False):
        yield f"{NAME}:SH_DEGREE_{degree}_COEF_{n}", splats.sh[:, k]
