"""The order in which libraries load zlib, in processes of their own: a wrong one ends the process."""

import signal
import subprocess
import sys

import pytest

WRITE_PNG = """
import io
import numpy as np
from PIL import Image
picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
file = io.BytesIO()
Image.fromarray(picture).save(file, "PNG")
assert (np.asarray(Image.open(file)) == picture).all()
print("written")
"""


def run(code: str, timeout: float = 120) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=timeout)


def test_a_png_can_be_written_after_the_adapter_was_imported_first():
    done = run("from recon3d.sfm.pycolmap import colmap\n" + WRITE_PNG)
    assert (done.returncode, done.stdout.strip()) == (0, "written"), done.stderr


def test_a_png_can_be_written_when_pillow_was_imported_before_the_adapter():
    done = run("import PIL.Image\nfrom recon3d.sfm.pycolmap import colmap\n" + WRITE_PNG)
    assert (done.returncode, done.stdout.strip()) == (0, "written"), done.stderr


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the shadowed zlib was seen in the Linux wheel")
def test_pycolmap_imported_before_zlib_still_ends_the_process_at_the_next_png():
    """The reason for the adapter. Where it no longer holds, the order of imports there is idle."""
    # COLMAP's crash reporter allocates from the heap that is broken, and most often hangs there: the signal itself will do.
    default = "import signal\nsignal.signal(signal.SIGABRT, signal.SIG_DFL)\n"
    done = run("import pycolmap\n" + default + WRITE_PNG)
    if done.returncode == 0:
        pytest.skip("this pycolmap does not abort: the adapter's order of imports is no longer needed with it")
    assert done.returncode == -signal.SIGABRT and "double free" in done.stderr


def test_colmap_logs_nothing_to_stderr():
    code = """
from recon3d.sfm.pycolmap import colmap
colmap.logging.error("seen by nobody")
"""
    done = run(code)
    assert (done.returncode, done.stderr) == (0, "")
