"""recon3d: photos or a video to a 3D scene, in one command. The public API is loaded lazily, so that importing is quick."""

from typing import TYPE_CHECKING

from recon3d.version import __version__ as __version__

if TYPE_CHECKING:
    from recon3d.pipeline.api import load_scene, load_views, locate, reconstruct, render, render_each, save

__all__ = ["load_scene", "load_views", "locate", "reconstruct", "render", "render_each", "save"]


def __getattr__(name: str):
    if name not in __all__:
        raise AttributeError(f"module 'recon3d' has no attribute '{name}'")
    from recon3d.pipeline import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
