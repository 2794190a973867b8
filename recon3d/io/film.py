"""Writing a video."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def write_film(path: Path, frames: Iterable[np.ndarray], fps: int) -> None:
    """uint8 [H,W,3] frames of one even size as H.264 in MP4 (yuv420p, which every player takes)."""
    with av.open(str(path), "w", format="mp4") as file:
        stream = None
        for pixels in frames:
            if stream is None:
                stream = file.add_stream("libx264", rate=Fraction(fps))
                stream.height, stream.width, stream.pix_fmt = pixels.shape[0], pixels.shape[1], "yuv420p"
                stream.options = {"crf": "18"}
            for packet in stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")):
                file.mux(packet)
        if stream is not None:
            for packet in stream.encode():
                file.mux(packet)
