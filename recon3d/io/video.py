"""Videos: which frames to use, and their upright pixels. Memory does not grow with the length. Loads no torch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np

from recon3d.errors import InputError
from recon3d.io.video_colors import dynamic_range, srgb

SUFFIXES = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".mts", ".m2ts", ".3gp", ".ogv")
SHARPNESS_SIZE = 640  # longest side in pixels at which frames are compared: noise and compression blocks weigh less there
PIXEL_LIMIT = 2**26  # of a frame, 67 million: twice that of 8K


@dataclass(frozen=True)
class Frame:
    """A frame of a video: its number in the order of showing, from 0, and its time stamp (None where the file has none)."""

    index: int
    stamp: int | None


@dataclass(frozen=True)
class Clip:
    """What a look through a video gave."""

    frames: tuple[Frame, ...]  # the chosen ones, in order
    total: int  # frames that could be decoded
    size: tuple[int, int]  # (height, width), upright
    hdr: str | None = None  # "HLG" or "PQ": its frames are brought to SDR


def choose_frames(path: Path, max_images: int, fps: float | None = None, advance: Any = None) -> Clip:
    """The sharpest frame of each of at most `max_images` equal spans of time, or of 1/fps seconds where those are longer.

    One pass over the video, holding one frame at a time; `advance(done, total)` is told of it. Raises InputError.
    """
    with opened_video(path) as (container, stream):
        stamps = [p.pts for p in container.demux(stream) if p.size]
        times = None if None in stamps else sorted(stamps)
        if not stamps:
            raise _no_frames(path)
        unit = float(stream.time_base or 1)
    start, span = (0, float(len(stamps))) if times is None else _span(times)
    wanted = len(stamps) if fps is None or times is None else max(1, round(span * unit * fps))
    windows = min(max_images, wanted, len(stamps))
    best: dict[int, tuple[float, Frame]] = {}
    total, size, hdr = 0, (0, 0), None
    for frame, picture in frames_of(path):
        at = frame.index if times is None or frame.stamp is None else frame.stamp - start
        window = min(windows - 1, max(0, int(at / span * windows)))
        value = sharpness(picture)
        if window not in best or value > best[window][0]:
            best[window] = (value, frame)
        if total == 0:
            size, hdr = _upright(picture).shape[:2], dynamic_range(picture)
        total += 1
        if advance is not None:
            advance(min(total, len(stamps)), len(stamps))
    if total == 0:
        raise _no_frames(path)
    return Clip(tuple(best[w][1] for w in sorted(best)), total, (size[0], size[1]), hdr)


def frames_of(path: Path, seek_to: int | None = None) -> Iterator[tuple[Frame, Any]]:
    """Every frame that can be decoded, from the start or from the key frame before a time stamp (indices then start there).

    Damaged packets are passed over. Yields PyAV's frames, not upright.
    """
    from av.error import EOFError as EndOfFile
    from av.error import InvalidDataError

    with opened_video(path) as (container, stream):
        if seek_to is not None:
            container.seek(seek_to, stream=stream, backward=True)
        count = itertools.count()
        for packet in container.demux(stream):
            try:
                decoded = packet.decode()
            except (InvalidDataError, EndOfFile):
                continue
            for picture in decoded:
                yield Frame(next(count), picture.pts), picture


def read_frame(path: Path, frame: Frame) -> Annotated[np.ndarray, "H W 3"]:
    """The upright frame, rgb uint8. Raises InputError where the video does not hold it any more."""
    if frame.stamp is not None:
        for found, picture in frames_of(path, seek_to=frame.stamp):
            if found.stamp == frame.stamp:
                return _upright(picture)
            if found.stamp is not None and found.stamp > frame.stamp:
                break
    # No time stamps, or an index that leads past the frame: count from the start.
    for found, picture in frames_of(path):
        if found.stamp == frame.stamp and (frame.stamp is not None or found.index == frame.index):
            return _upright(picture)
    raise InputError(path, f"frame {frame.index} cannot be read again", "Leave the video alone while a run is working")


def sharpness(picture: Any) -> float:
    """Variance of the Laplacian of a frame's brightness, at a size that forgives noise."""
    grey = picture.reformat(format="gray").to_ndarray()
    scale = min(1.0, SHARPNESS_SIZE / max(grey.shape))
    if scale < 1:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return float(cv2.Laplacian(grey, cv2.CV_32F).var())


def _upright(picture: Any) -> np.ndarray:
    """sRGB uint8 [H,W,3], turned as the video's rotation tag says."""
    rgb = srgb(picture)
    return np.ascontiguousarray(np.rot90(rgb, round(picture.rotation / 90)))  # counterclockwise, as PyAV counts


def _span(times: list[int]) -> tuple[int, float]:
    """Start of the first frame and the time until the end of the last, in the units of the time stamps."""
    first, last = times[0], times[-1]
    return first, float(last - first) * len(times) / max(1, len(times) - 1) if last > first else 1.0


@contextmanager
def opened_video(path: Path) -> Iterator[tuple[Any, Any]]:
    """PyAV's container and its video stream; what goes wrong inside becomes an InputError that names the file."""
    import av
    from av.error import FFmpegError

    try:
        with av.open(str(path), metadata_errors="replace") as container:
            if not container.streams.video:
                raise _no_frames(path)
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise InputError(path, "its frames are stored in a way that nothing here decodes", "Convert it to MP4 (H.264)")
            stream.thread_type = "AUTO"
            if stream.width * stream.height > PIXEL_LIMIT:
                what = f"too large: frames of {stream.width}x{stream.height} pixels"
                raise InputError(path, what, "Make the video smaller")
            yield container, stream
    except FFmpegError as error:
        remedy = "Copy it again, or convert it to MP4 (H.264)"
        raise InputError(path, f"not a video that can be read ({error.strerror})", remedy) from error


def _no_frames(path: Path) -> InputError:
    return InputError(path, "a video without frames", "Give a video that plays, or photos")
