"""report.json: what a run did, for programs. Its keys are stable (version 1, docs/report.schema.json); nothing here prints."""

from __future__ import annotations

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from recon3d.progress import Progress

VERSION = 1
LIBRARIES = ("torch", "numba", "numpy", "pycolmap", "opencv-python-headless", "pillow", "av", "gsplat")


def report(arguments: dict[str, Any], progress: Progress, parts: dict[str, Any], toolkit: str) -> dict[str, Any]:
    """The whole report: `parts` hold input, geometry, refinement, holdout, export and paths, as the pipeline found them."""
    return {
        "version": VERSION,
        "recon3d": toolkit,
        "arguments": arguments,
        **parts,
        "stages": [
            {"name": s.name, "seconds": round(s.seconds, 3), "peak_mb": round(s.peak_mb, 1), "resumed": s.resumed}
            for s in progress.stages
        ],
        "notes": progress.notes,
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Python, the platform, and the libraries that are installed."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def write_report(path: Path, content: dict[str, Any]) -> None:
    """As JSON without NaN or infinity, which JSON does not have."""
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
