"""recon3d: photos or a video to a 3D scene, in one command. The public API is loaded lazily, so that importing is quick."""

__version__ = "0.1.0"
