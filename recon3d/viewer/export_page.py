"""A scene to one HTML file: the viewer's page with the splats as SOG, the cameras, the photos and the report inside."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from recon3d.atomic import refuse_existing
from recon3d.pipeline.edits import Edits, moved_camera
from recon3d.pipeline.export import Coding, Opened, opened, written_and_checked
from recon3d.progress import Progress
from recon3d.viewer.framing import framed
from recon3d.viewer.page import write_page
from recon3d.viewer.scene_data import Point, about, page_origin, photo_in, read_report, scene_data, surface


def export_page(
    path: Path, out: Path, edits: Edits, coding: Coding, check: bool, overwrite: bool, progress: Progress
) -> dict[str, Any]:
    """Write the scene at `path` as one page; returns what was done. The check is that of the SOG inside. Raises InputError."""
    refuse_existing(out, overwrite)
    scene = opened(path, edits, coding, progress)
    photos = [photo_in(path / "images", camera.name) for camera in scene.cameras]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "scene.sog"
        origin = page_origin(framed(surface(scene.splats)))
        report = written_and_checked(file, "sog", moved(scene, origin), coding, check, progress, str(out))
        data = scene_data(
            path.resolve().stem,
            scene.splats,
            scene.cameras,
            photos,
            read_report(path / "report.json") if path.is_dir() else None,
            shown=("sog", file),
            origin=origin,
        )
        advice = write_page(out, data)
    if advice:
        progress.note(advice)
    return {"input": str(path), "output": str(out), **report, "format": "html", "bytes": out.stat().st_size}


def moved(scene: Opened, origin: Point) -> Opened:
    """The scene counted from `origin`: a SOG's sixteen bits then go into the subject, not into the way to it."""
    cameras = tuple(moved_camera(camera, np.eye(3), 1.0, -np.array(origin)) for camera in scene.cameras)
    return replace(scene, splats=about(scene.splats, origin), cameras=cameras)
