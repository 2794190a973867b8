"""Records of an evaluation that never was, and its pictures: what a report must be able to show."""

import random
from pathlib import Path

import numpy as np

from recon3d.evaluation.records import Angles, Pictures, Record, Task, ViewFigures, write_record
from recon3d.io.pictures import write_picture

SCENES = ("fern", "fortress", "horns", "room & hall", "trex<b>")
METHODS = {"colmap+3dgs": (21.0, 40.0), "vggt+lift": (23.5, 1.4), "da3-giant": (25.0, 2.1), "ilrm": (24.2, 0.35)}
PROTOCOL = {"frames": "spread 8:4", "size": "256x448", "seed": "1", "cameras": "given"}
VERSIONS = {"recon3d": "0.9.0", "torch": "2.8.0", "pycolmap": "4.0.1", "commit": "fa79315", "data": "sha256 1f0e"}


def record(scene: str = "fern", method: str = "ilrm", views: int = 3, task: Task = "nvs", **more) -> Record:
    """An ok record, but for what is said otherwise."""
    known = {"status": "ok", "registered": views, "total": views, "protocol": PROTOCOL, "versions": VERSIONS}
    return Record(task=task, dataset="llff", scene=scene, views=views, method=method, **(known | more))


def failed(scene: str = "fern", method: str = "ilrm", views: int = 3, task: Task = "nvs", **more) -> Record:
    why = "no two images overlap: 0 of 3 pairs have more than 15 matches"
    return record(scene, method, views, task, **({"status": "failed", "why": why, "registered": 0} | more))


def write_invented(folder: Path) -> None:
    """Five scenes, 3, 6 and 12 views, four methods; COLMAP fails on some scenes from 3, nobody can use one scene."""
    for views in (3, 6, 12):
        for method, (level, seconds) in METHODS.items():
            for scene in SCENES:
                random.seed(f"{views} {method} {scene}")
                if method == "colmap+3dgs" and views == 3 and scene in SCENES[:2]:
                    write_record(folder, failed(scene, method, views))
                    write_record(folder, failed(scene, method, views, "poses"))
                    continue
                write_record(folder, _nvs(folder, scene, method, views, level, seconds))
                write_record(folder, _poses(scene, method, views, level, seconds))
            gone = {"status": "skipped", "why": "scenes/leaves.torch: the file ends after 31 kB of pixel data"}
            write_record(folder, record("leaves", method, views, **gone, registered=0))


def _nvs(folder: Path, scene: str, method: str, views: int, level: float, seconds: float) -> Record:
    psnr = level + 2.2 * np.log2(views / 3) + random.gauss(0, 1.6)
    kept = {
        name: f"pictures/{method}-{views}-{SCENES.index(scene)}-{name}.jpg" for name in ("truth", "render", "error")
    }
    _write_pictures(folder, kept, SCENES.index(scene), 10 ** (-psnr / 20))
    figures = {"psnr": psnr, "ssim": min(0.3 + psnr / 45, 0.99)}
    return record(
        scene, method, views, figures=figures, seconds=seconds * views**0.8 * random.uniform(0.9, 1.2),
        unavailable={"lpips": "vgg16-397923af.pth is not there: see recon3d doctor"},
        of_views=(ViewFigures("IMG_0004", figures), ViewFigures("IMG_0012", {"psnr": psnr + 1})),
        pictures=(Pictures("IMG_0004", **kept, psnr=psnr),),
    )  # fmt: skip


def _poses(scene: str, method: str, views: int, level: float, seconds: float) -> Record:
    pairs = views * (views - 1) // 2
    scale = {"colmap+3dgs": 1.5, "vggt+lift": 3.0, "da3-giant": 2.2, "ilrm": 6.0}[method]
    rotation, translation = ([min(random.expovariate(1 / s), 180.0) for _ in range(pairs)] for s in (scale, 2 * scale))
    return record(
        scene, method, views, "poses", seconds=seconds * views**0.8, pair_errors=Angles(tuple(rotation), tuple(translation)),
        figures={"ate": scale / 100},
    )  # fmt: skip


def _write_pictures(folder: Path, names: dict[str, str], seed: int, deviation: float) -> None:
    """Shaded blocks, the same with noise, and their difference."""
    random_numbers = np.random.default_rng(seed)
    y, x = np.mgrid[0:180, 0:240] / 180
    blocks = np.kron(random_numbers.random((6, 8, 3)), np.ones((30, 30, 1)))
    truth = np.clip(0.6 * blocks + 0.4 * np.stack([x / 1.4, y, 1 - y], -1), 0, 1)
    render = np.clip(truth + deviation * random_numbers.standard_normal(truth.shape), 0, 1)
    error = np.abs(render - truth).mean(-1, keepdims=True) * np.array([4.0, 2.0, 0.5])
    for name, picture in (("truth", truth), ("render", render), ("error", error)):
        write_picture(folder / names[name], np.uint8(np.clip(picture, 0, 1) * 255))
