"""Writing a video."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc


def write_film(path: Path, frames: Iterable[np.ndarray], fps: int) -> None:
    """sRGB uint8 [H,W,3] frames of one even size as H.264 in MP4 (yuv420p, which every player takes).

    Tagged as what it is: without tags players take BT.601 or BT.709 by the size of the frames.
    """
    with av.open(str(path), "w", format="mp4") as file:
        stream = None
        for pixels in frames:
            if stream is None:
                stream = file.add_stream("libx264", rate=Fraction(fps))
                stream.height, stream.width, stream.pix_fmt = pixels.shape[0], pixels.shape[1], "yuv420p"
                stream.options = {"crf": "18"}
                context = stream.codec_context
                context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
                context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.IEC61966_2_1
            rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            yuv = rgb.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)
            for packet in stream.encode(yuv):
                file.mux(packet)
        if stream is not None:
            for packet in stream.encode():
                file.mux(packet)
