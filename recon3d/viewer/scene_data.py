"""A path to what the page shows of it: splats, cameras, photos, report. Loads no torch."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from PIL import Image, ImageOps

from recon3d.core.known_camera import KnownCamera
from recon3d.core.origin import center_of
from recon3d.core.splats import Splats
from recon3d.io.ply import write_ply
from recon3d.io.splat_files import STORED, SplatFile, read_splats
from recon3d.pipeline.export import cameras_beside, splat_file
from recon3d.viewer.framing import framed
from recon3d.viewer.messages import CameraMessage, FrameMessage, Kind, SceneMessage, SplatsMessage
from recon3d.viewer.report_page import sections

PHOTO_SIDE = 512  # pixels of the longest side
PHOTO_QUALITY = 85
OPAQUE = 0.3  # splats fainter than this are no surface, and frame no view
SAMPLED = 100_000  # splats that the frame and the depths are taken from; medians need no more
FAR = 1.5  # radii of the subject from the origin, up to which half floats (10 bits) tell its surfaces apart
Point = tuple[float, float, float]
ORIGIN: Point = (0.0, 0.0, 0.0)
MAX_REPORT = 16 << 20  # bytes; a run with 1000 photos writes 200 kB


@dataclass(frozen=True)
class SceneData:
    """What the page gets. `splats` are the bytes of a file, or the file where it goes as it is."""

    message: SceneMessage
    splats: bytes | Path | None
    photos: tuple[Path | None, ...]  # of message.cameras


def open_scene(path: Path, axes: str | None = None) -> tuple[SceneData, tuple[str, ...]]:
    """The scene at a path, a splat file or the folder of a run, and what was mended in its file. Raises InputError."""
    source, cameras = splat_file(path), cameras_beside(path)
    file = read_splats(source, axes)
    cameras = [camera.moved(-file.splats.origin) for camera in cameras]
    photos = [photo_in(path / "images", camera.name) for camera in cameras]
    report = read_report(path / "report.json") if path.is_dir() else None
    data = scene_data(path.resolve().stem, file.splats, cameras, photos, report, shown=passed(source, file))
    return data, file.notes


def scene_data(
    title: str,
    splats: Splats | None,
    cameras: Sequence[KnownCamera] = (),
    photos: Sequence[Path | None] = (),
    report: dict[str, Any] | None = None,
    *,
    shown: tuple[Kind, bytes | Path] | None = None,
    origin: Point = ORIGIN,
    version: int = 1,
    live: bool = False,
) -> SceneData:
    """What the page shows of splats in memory. `shown` is the same splats as a file that the page opens, in our axes and
    counted from `origin` (a PLY is made of them where it is not given or lies far from its origin); cameras without a
    place or a lens are left out.
    """
    usable = [i for i, camera in enumerate(cameras) if camera.lens is not None and camera.camera_from_world is not None]
    placed = [cameras[i] for i in usable]
    kept = tuple(photos[i] if photos else None for i in usable)
    centers = np.stack([_center(camera) for camera in placed]) if placed else np.zeros((0, 3))
    points = surface(splats) if splats is not None else np.zeros((0, 3))
    frame = framed(points if len(points) else centers)
    file = None
    if splats is not None:
        kind, content = shown or ("ply", b"")
        if shown is None or origin != page_origin(frame):
            origin = page_origin(frame)
            kind, content = "ply", ply_bytes(about(splats, origin))
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        file = (
            content,
            SplatsMessage(version, kind, size, len(splats), splats.degree, splats.mode, turn=True, origin=origin),
        )
    message = SceneMessage(
        version=version,
        title=title,
        splats=file and file[1],
        cameras=tuple(
            camera_message(camera, photo is not None, points, frame) for camera, photo in zip(placed, kept, strict=True)
        ),
        first_camera=_middle(centers) if placed else None,
        frame=frame,
        report=sections(report) if report else (),
        live=live,
    )
    return SceneData(message, file and file[0], kept)


def page_origin(frame: FrameMessage) -> Point:
    """What the page's centres are to be counted from: phones hold them as half floats, which tear a scene that is far
    from its origin and end at 65 504.
    """
    return frame.center if np.linalg.norm(frame.center) > FAR * frame.radius else ORIGIN


def about(splats: Splats, origin: Point) -> Splats:
    """Splats with their centres counted from `origin`."""
    return replace(splats, means=(splats.means.astype(np.float64) - origin).astype(np.float32))


def passed(path: Path, file: SplatFile) -> tuple[Kind, bytes | Path] | None:
    """The file itself where the page's renderer reads it as we do; None where it does not, and a PLY must be made."""
    if file.notes or file.axes != STORED:  # what was mended or turned here would not be there
        return None
    if file.format == "compressed ply" or (file.format == "ply" and _is_plain(path)):
        return "ply", path
    if file.format == "sog" and path.suffix.lower() == ".sog":
        return "sog", path
    return None


def ply_bytes(splats: Splats) -> bytes:
    """Splats as the bytes of a PLY."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene.ply"
        write_ply(path, splats)
        return path.read_bytes()


def _is_plain(path: Path) -> bool:
    """Little-endian float32 throughout: other layouts are left to our own reader."""
    with open(path, "rb") as file:
        head = file.read(1 << 14).split(b"end_header")[0].decode("latin-1")
    properties = [line for line in head.splitlines() if line.startswith("property")]
    return "format binary_little_endian" in head and all(line.startswith("property float ") for line in properties)


def read_report(path: Path) -> dict[str, Any] | None:
    """report.json of a run; None where there is none or it is no report."""
    try:
        if path.stat().st_size > MAX_REPORT:
            return None
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def photo_in(folder: Path, name: str) -> Path | None:
    """The picture of that name below a folder; None where there is none, or where the name leads out of the folder."""
    try:
        path = (folder / name).resolve()
        return path if path.is_relative_to(folder.resolve()) and path.is_file() else None
    except (OSError, ValueError):
        return None


def photo_jpeg(path: Path) -> bytes | None:
    """A picture as JPEG of at most PHOTO_SIDE pixels, without metadata; None where it cannot be read."""
    try:
        with Image.open(path) as image:
            image.draft("RGB", (PHOTO_SIDE, PHOTO_SIDE))
            small = ImageOps.exif_transpose(image).convert("RGB")
            small.thumbnail((PHOTO_SIDE, PHOTO_SIDE), Image.Resampling.LANCZOS)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    held = io.BytesIO()
    small.save(held, "JPEG", quality=PHOTO_QUALITY)
    return held.getvalue()


def surface(splats: Splats) -> Annotated[np.ndarray, "P 3"]:
    """Centres of the opaque splats (of all where none is), evenly thinned out; float64."""
    opaque = np.flatnonzero(splats.opacities >= OPAQUE)
    chosen = opaque if len(opaque) else np.arange(len(splats))
    return splats.means[chosen[:: max(1, len(chosen) // SAMPLED)]].astype(np.float64)


def camera_message(
    camera: KnownCamera, photo: bool, surface: Annotated[np.ndarray, "P 3"], frame: FrameMessage
) -> CameraMessage:
    """A camera with its lens taken as a pinhole, and the median depth of what it sees."""
    assert camera.lens is not None and camera.camera_from_world is not None
    lens, matrix = camera.lens, camera.camera_from_world
    points = surface @ matrix[:3, :3].T + matrix[:3, 3]
    ahead = points[points[:, 2] > 1e-6 * frame.radius]
    pixels = ahead @ lens.K.T
    seen = (pixels[:, :2] >= 0).all(1) & (pixels[:, :2] <= pixels[:, 2:] * (lens.width, lens.height)).all(1)
    depth = float(np.median(ahead[seen, 2])) if seen.any() else frame.radius
    return CameraMessage(
        name=camera.name,
        photo=photo,
        width=lens.width,
        height=lens.height,
        K=tuple(lens.K.ravel().tolist()),
        camera_from_world=tuple(np.asarray(matrix, np.float64).ravel().tolist()),
        depth=depth,
        held_out=camera.held_out,
    )


def _center(camera: KnownCamera) -> Annotated[np.ndarray, "3"]:
    matrix = camera.camera_from_world
    assert matrix is not None
    return center_of(matrix)


def _middle(centers: Annotated[np.ndarray, "N 3"]) -> int:
    """The camera in the middle of all: nearest to the median of their centres."""
    return int(np.linalg.norm(centers - np.median(centers, 0), axis=1).argmin())
