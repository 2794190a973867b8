"""A scene to one HTML file: the viewer's page with the splats as SOG, the cameras, the photos and the report inside."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from recon3d.atomic import refuse_existing
from recon3d.pipeline.edits import Edits
from recon3d.pipeline.export import Coding, opened, written_and_checked
from recon3d.progress import Progress
from recon3d.viewer.page import write_page
from recon3d.viewer.scene_data import photo_in, read_report, scene_data


def export_page(
    path: Path, out: Path, edits: Edits, coding: Coding, check: bool, overwrite: bool, progress: Progress
) -> dict[str, Any]:
    """Write the scene at `path` as one page; returns what was done. The check is that of the SOG inside. Raises InputError."""
    refuse_existing(out, overwrite)
    scene = opened(path, edits, coding, progress)
    photos = [photo_in(path / "images", camera.name) for camera in scene.cameras]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "scene.sog"
        report = written_and_checked(file, "sog", scene, coding, check, progress, str(out))
        data = scene_data(
            path.resolve().stem,
            scene.splats,
            scene.cameras,
            photos,
            read_report(path / "report.json") if path.is_dir() else None,
            shown=("sog", file),
        )
        advice = write_page(out, data)
    if advice:
        progress.note(advice)
    return {"input": str(path), "output": str(out), **report, "format": "html", "bytes": out.stat().st_size}
