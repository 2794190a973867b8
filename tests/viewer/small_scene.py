"""A small run folder on disk, made without a run."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from recon3d.core.splats import Splats
from recon3d.io.ply import write_ply
from tests.io.input_files import picture, save

NAMES = ("a.jpg", "left/b.png", "c.jpg")


def some_splats(count: int = 50, seed: int = 0, mode="default") -> Splats:
    rng = np.random.default_rng(seed)
    quats = rng.normal(size=(count, 4))
    return Splats(
        means=rng.normal(size=(count, 3)).astype(np.float32),
        quats=(quats / np.linalg.norm(quats, axis=1, keepdims=True)).astype(np.float32),
        scales=rng.uniform(0.01, 0.1, (count, 3)).astype(np.float32),
        opacities=rng.uniform(0.1, 0.9, count).astype(np.float32),
        sh=rng.normal(size=(count, 4, 3)).astype(np.float32) * 0.3,
        mode=mode,
    )


def camera_rows(names=NAMES) -> list[dict]:
    """Cameras five units before the origin, beside each other, looking along z."""
    K = [[100.0, 0, 32], [0, 100, 24], [0, 0, 1]]
    rows = [[[1.0, 0, 0, -0.5 * i], [0, 1, 0, 0], [0, 0, 1, 5]] for i in range(len(names))]
    return [
        {"name": name, "width": 64, "height": 48, "K": K, "camera_from_world": matrix, "distortion": None}
        for name, matrix in zip(names, rows, strict=True)
    ]


def run_folder(folder: Path, cameras: list[dict] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_ply(folder / "scene.ply", some_splats())
    document = {"version": 1, "convention": "opencv", "unit": "arbitrary", "images": cameras or camera_rows()}
    (folder / "cameras.json").write_text(json.dumps(document))
    for i, name in enumerate(NAMES):
        save(folder / "images" / name, picture(seed=i))
    save(folder / "images" / "a.jpg", np.asarray(Image.fromarray(picture()).resize((1600, 1200))))
    report = {"input": {"kind": "photos", "used": list(NAMES)}, "splats": {"count": 50, "degree": 1, "mode": "default"}}
    (folder / "report.json").write_text(json.dumps(report))
    return folder


def figure(count: int, seed: int = 0) -> np.ndarray:
    """Points on a standing figure, 0.5 x 1.8 x 0.4 about the origin: a narrow box with a head and feet."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(-0.5, 0.5, (count, 3)) * (0.5, 1.8, 0.4)
    side = rng.integers(0, 2, count)
    points[np.arange(count), 2 * side] = np.sign(points[np.arange(count), 2 * side]) * np.array([0.25, 0.2])[side]
    return points


def splats_at(points: np.ndarray, size: np.ndarray | float, seed: int = 0) -> Splats:
    """Opaque round splats of any colours."""
    n = len(points)
    rng = np.random.default_rng(seed)
    scales = np.broadcast_to(np.reshape(size, (-1, 1)), (n, 3))
    colors = rng.uniform(-1, 1, (n, 1, 3))
    quats = np.tile(np.float32([1, 0, 0, 0]), (n, 1))
    opacities = np.full(n, 0.95, np.float32)
    return Splats(points.astype(np.float32), quats, scales.astype(np.float32), opacities, colors.astype(np.float32))


def before_a_backdrop(folder: Path) -> Path:
    """A file with a figure before a shell of large splats, 12 units away."""
    body = figure(1500)
    shell = np.random.default_rng(1).normal(size=(500, 3))
    shell = 12 * shell / np.linalg.norm(shell, axis=1, keepdims=True)
    sizes = np.r_[np.full(len(body), 0.03), np.full(len(shell), 0.5)]
    write_ply(folder / "figure.ply", splats_at(np.concatenate([body, shell]), sizes))
    return folder / "figure.ply"
