"""Small photos and videos on disk for the tests of inputs, and where to cut files off."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from recon3d.core.lens import Lens
from recon3d.io.colmap_model import write_model


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


def turned(i: int) -> np.ndarray:
    """A camera_from_world [4,4] of view i."""
    pose = np.eye(4)
    c, s = np.cos(0.1 * i), np.sin(0.1 * i)
    pose[:3] = [[c, 0, s, 0.3 * i], [0, 1, 0, 0.1], [-s, 0, c, 2.0]]
    return pose


def write_cameras_json(path: Path, names: list[str], size: tuple[int, int] = (48, 64), **more) -> Path:
    """A cameras.json, written by hand, of pictures of (height, width) `size`; `more` goes into every image."""
    K = [[60.0, 0, size[1] / 2], [0, 60.0, size[0] / 2], [0, 0, 1]]
    rows = [
        {"name": n, "width": size[1], "height": size[0], "K": K, "camera_from_world": turned(i)[:3].tolist()} | more
        for i, n in enumerate(names)
    ]
    path.write_text(json.dumps({"version": 1, "convention": "opencv", "unit": "arbitrary", "images": rows}))
    return path


def write_transforms_json(path: Path, names: list[str], size: tuple[int, int] = (48, 64), **more) -> Path:
    """A transforms.json of pictures `names` beside it; `more` goes into every frame."""
    opengl = np.diag([1.0, -1, -1, 1])
    frames = [
        {"file_path": n, "transform_matrix": (np.linalg.inv(turned(i)) @ opengl).tolist()} | more
        for i, n in enumerate(names)
    ]
    head = {"fl_x": 60.0, "fl_y": 60.0, "cx": size[1] / 2, "cy": size[0] / 2, "w": size[1], "h": size[0]}
    path.write_text(json.dumps(head | {"frames": frames}))
    return path


def write_blender_folder(folder: Path, **counts: int) -> Path:
    """A folder as NeRF's synthetic data: `train=3` makes train/r_0.png to r_2.png and transforms_train.json without sizes."""
    opengl = np.diag([1.0, -1, -1, 1])
    for s, (split, count) in enumerate(counts.items()):
        frames = []
        for i in range(count):
            alpha = np.full((48, 64, 1), 255, np.uint8)
            save(folder / split / f"r_{i}.png", np.dstack([picture(seed=100 * s + i), alpha]))
            save(folder / split / f"r_{i}_depth_0001.png")
            pose = (np.linalg.inv(turned(10 * s + i)) @ opengl).tolist()
            frames.append({"file_path": f"./{split}/r_{i}", "rotation": 0.01, "transform_matrix": pose})
        document = {"camera_angle_x": 0.9, "frames": frames}
        (folder / f"transforms_{split}.json").write_text(json.dumps(document))
    return folder


def write_colmap_model(folder: Path, names: list[str], size: tuple[int, int] = (48, 64)) -> Path:
    """A COLMAP model of one SIMPLE_RADIAL camera with a point that the first two views see."""
    folder.mkdir(parents=True)
    seen = min(2, len(names))
    write_model(
        folder, names, [Lens("SIMPLE_RADIAL", (60.0, size[1] / 2, size[0] / 2, -0.05), *size)] * len(names),
        np.zeros(len(names), int), np.stack([turned(i) for i in range(len(names))]), np.array([[0.1, 0.2, 3.0]]),
        np.array([[1, 2, 3]], np.uint8), np.array([0.5]), np.arange(seen), np.zeros(seen, int),
        np.full((seen, 2), 20.0),
    )  # fmt: skip
    return folder


def cuts(length: int) -> list[int]:
    """Lengths to cut a file to: every byte of its beginning and its end, and every seventh between, which meets all places of
    numbers of 2, 4 and 8 bytes."""
    return sorted({*range(min(length, 120)), *range(0, length, 7), *range(max(0, length - 40), length)})
