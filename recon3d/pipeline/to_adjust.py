"""Whether a run has cameras that bundle adjustment may adjust: a network predicted them, and not all were given."""

from __future__ import annotations

from recon3d.io.load import Loaded
from recon3d.pipeline.choices import GEOMETRY
from recon3d.pipeline.request import Request


def adjusts(request: Request, loaded: Loaded, geometry: str) -> bool:
    """Whether it is going to be tried; `geometry` is the row that was chosen."""
    return request.bundle_adjust != "off" and nothing_to_adjust(request, loaded, geometry) is None


def of_network(request: Request, loaded: Loaded, geometry: str) -> bool:
    """Whether a network gives the cameras."""
    finished_model = loaded.points is not None and request.cameras is None
    return not finished_model and GEOMETRY[geometry].weights is not None


def nothing_to_adjust(request: Request, loaded: Loaded, geometry: str) -> str | None:
    """Why there is nothing, or None."""
    if not of_network(request, loaded, geometry):
        return "the cameras are those of a finished model or of COLMAP, which adjusted them"
    if request.weights == "random":
        return "random weights predict nothing"
    return "all cameras are given" if bool(loaded.views.pose_known.all()) else None
