"""Small photos and videos on disk for the tests of inputs."""

from pathlib import Path

import numpy as np
from PIL import Image


def picture(height: int = 48, width: int = 64, seed: int = 0) -> np.ndarray:
    """A smooth coloured rgb picture [H,W,3], another for each seed."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def save(path: Path, pixels: np.ndarray | None = None, **options) -> Path:
    """Write a picture, its folders made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture() if pixels is None else pixels).save(path, **options)
    return path


def save_with_exif(path: Path, tags: dict[int, object], detail: dict[int, object], pixels: np.ndarray | None = None) -> Path:
    """Write a photo with tags of the main IFD and of the Exif IFD."""
    exif = Image.Exif()
    for tag, value in tags.items():
        exif[tag] = value
    exif.get_ifd(0x8769).update(detail)
    return save(path, pixels, exif=exif.tobytes())


def write_video(path: Path, frames: list[np.ndarray], rate: int = 10, rotation: int | None = None) -> Path:
    """MPEG-4 of rgb frames. `rotation`: degrees counterclockwise that a player turns them by."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.bit_rate, stream.gop_size = "yuv420p", 4_000_000, 12
        if rotation is not None:
            stream.set_display_rotation(rotation)
        for pixels in frames:
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path
