"""The one door to pycolmap: `from recon3d.sfm.pycolmap import colmap`."""

import signal
import threading

# zlib and torch come first: pycolmap's wheel (4.2.1) brings a zlib of its own, and where that is the first one loaded,
# the next PNG that Pillow writes ends the process (tests/sfm/test_pycolmap.py).
import zlib  # noqa: F401

import torch  # noqa: F401

import pycolmap as colmap  # isort: skip

# Its wheel takes SIGTERM for a crash, with a stack of thirty lines: whoever listened before does so again.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM) or signal.SIG_DFL)

# glog's levels are info, warning, error, fatal. COLMAP logs to stderr, where a user reads one line of ours; what fails
# raises, or is counted by us.
colmap.logging.minloglevel = 3

__all__ = ["colmap"]
