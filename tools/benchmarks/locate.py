"""How near `recon3d locate` puts a photo to where the run of all photos has it, and whether photos of other scenes are refused.

    python -m tools.benchmarks.locate ../shared/data --out out/locate

Scenes hold `images/`. Each is run with all photos (cameras only), and again without one of three of them, evenly spread over
those with a camera; that photo is then located in the second run. Both worlds are brought together by the cameras that they
share. An error is an angle between the axes of both cameras and a distance between their centres, in shares of the scene's
size: the largest distance between two cameras of the full run. "Sure" is the standard deviation that is told, in the same
shares. "Cropped" is the middle of the photo at its full size, without EXIF: a lens of 1.25 times the focal length, which
nothing tells. Then the photos that were left out of all scenes are looked for in every other one. Finished runs in the folder are
kept, so that a second call measures `locate` alone.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from recon3d.core.rotations import rotation_angle
from recon3d.core.scene import Scene
from recon3d.core.similarity import Similarity, mean_rotation
from recon3d.core.synthetic import synthetic_gaussians
from recon3d.errors import InputError
from recon3d.io.cameras_json import read_cameras
from recon3d.io.detect import detect
from recon3d.io.load import load_views
from recon3d.io.pictures import write_picture
from recon3d.io.undistortion import undistorted_photo
from recon3d.pipeline.choices import QUALITY
from recon3d.pipeline.locate import locate
from recon3d.pipeline.outputs import full_size_cameras, output_names, write_cameras_files
from recon3d.progress import Progress
from recon3d.reconstruction.world_frame import upright
from recon3d.sfm.registration import assembled, geometry
from recon3d.sfm.settings import attempts

SCENES = ("fountain-P11", "herz-jesu-P8", "flower", "beach-drone", "banana", "kitchen", "street")
WITHOUT_CAMERAS = ("lund", "room")  # scenes whose photos are looked for in the others only
OUT_OF_EACH = 3


@dataclass(frozen=True)
class Row:
    """One photo located in the run of the others, against the run of all."""

    scene: str
    photo: str
    cameras: str  # of the run without it, of all photos
    refused: str | None
    angle: float = float("nan")  # degrees
    away: float = float("nan")  # of the scene's size
    sure: float = float("nan")  # standard deviation, of the scene's size
    others: float = float("nan")  # how far the shared cameras of both runs are apart, median, of the scene's size
    matches: int = 0
    photos: int = 0
    error: float = 0.0
    agreement: float = 0.0
    lens: str = ""


def made(photos: Sequence[Path], folder: Path, name: str, seed: int) -> Path:
    """The folder of a run of these photos, but for its splats and renders. One that is there is taken as it is."""
    if (folder / "report.json").is_file():
        return folder
    views = load_views(detect(photos)).views
    settings = attempts(QUALITY["standard"].matching, len(views))
    found = geometry(views, settings=settings, device="cpu", seed=seed, sequence=False, where=name, progress=Progress())
    flat, known = assembled(views, found, 512, "colmap")
    scene = Scene(synthetic_gaussians(10), known, flat).transformed(upright(known))
    names = output_names(flat.names)
    for i, output in enumerate(names):
        write_picture(folder / "images" / output, undistorted_photo(flat, i))
    write_cameras_files(scene, full_size_cameras(scene), names, folder, "keep")
    (folder / "report.json").write_text(json.dumps({"geometry": {"settings": found.settings}}))
    return folder


def cropped(photo: Path, path: Path) -> Path:
    """The middle four fifths of a photo, enlarged to its size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(photo) as whole:
        width, height = whole.size
        box = (width / 10, height / 10, width * 9 / 10, height * 9 / 10)
        whole.convert("RGB").resize((width, height), Image.Resampling.LANCZOS, box=box).save(path, quality=95)
    return path


def left_out(folder: Path, count: int) -> list[str]:
    """The photos of a scene that are taken away one after the other."""
    names = list(poses_of(folder))
    return [names[i] for i in np.round(np.linspace(0, len(names) - 1, count + 2)).astype(int)[1:-1]]


def poses_of(folder: Path) -> dict[str, torch.Tensor]:
    """camera_from_world by the names of the photos."""
    return {c.name: torch.from_numpy(np.asarray(c.camera_from_world)) for c in read_cameras(folder / "cameras.json")}


def centers(poses: torch.Tensor) -> torch.Tensor:
    return -(poses[:, :3, :3].transpose(1, 2) @ poses[:, :3, 3:])[:, :, 0]


def between(part: torch.Tensor, full: torch.Tensor) -> Similarity:
    """The similarity of two worlds by the same cameras [N,4,4] in both: that of the better half, found by turns, for a run may
    have put a few of its cameras elsewhere (kitchen without 13.jpg: two of 22)."""
    found = by_all(part, full)
    for _ in range(10):
        apart = (found.apply(centers(part)) - centers(full)).norm(dim=1)
        kept = apart.argsort()[: max(3, len(apart) // 2)]
        found = by_all(part[kept], full[kept])
    return found


def by_all(part: torch.Tensor, full: torch.Tensor) -> Similarity:
    """Turns tell the rotation, centres the rest."""
    rotation = mean_rotation(full[:, :3, :3].transpose(1, 2) @ part[:, :3, :3])
    a, b = centers(part), centers(full)
    turned = (a - a.mean(0)) @ rotation.T
    scale = float((turned * (b - b.mean(0))).sum() / turned.square().sum())
    return Similarity.of(scale, rotation, b.mean(0) - scale * (rotation @ a.mean(0)))


def rows_of(scene: str, photo: Path, shown: Sequence[Path], full: Path, part: Path, seed: int) -> list[Row]:
    """Locate pictures of one photo in the run without it."""
    all_poses, poses = poses_of(full), poses_of(part)
    cameras = f"{len(poses)}/{len(all_poses)}"
    try:
        found = {p.name: p for p in locate(part, shown, seed, Progress()).photos}
    except InputError as error:
        return [Row(scene, photo.name, cameras, error.what)] * len(shown)
    both = [name for name in poses if name in all_poses]
    shared, true = (torch.stack([p[name] for name in both]) for p in (poses, all_poses))
    moved = between(shared, true)
    everywhere = centers(torch.stack(list(all_poses.values())))
    size = float(torch.cdist(everywhere, everywhere).max())
    others = float((moved.apply(centers(shared)) - centers(true)).norm(dim=1).median()) / size
    rows = []
    for path in shown:
        one = next(p for name, p in found.items() if path.as_posix().endswith(name))
        if one.refused is not None:
            rows.append(Row(scene, photo.name, cameras, one.refused))
            continue
        pose, target = torch.from_numpy(np.asarray(one.camera_from_world)), all_poses[photo.name]
        angle = float(rotation_angle(target[:3, :3] @ (moved.rotation @ pose[:3, :3].T)))
        apart = float((moved.apply(centers(pose[None])) - centers(target[None])).norm()) / size
        sure = one.center_deviation * float(moved.scale) / size
        rows.append(Row(
            scene, photo.name, cameras, None, angle, apart, sure, others, one.matches, one.photos, one.error, one.agreement,
            one.lens_source,
        ))  # fmt: skip
    return rows


def table(rows: Sequence[Row]) -> str:
    lines = [
        "| scene | photo | cameras without it | angle ° | centre, % | sure, % | other cameras, % | matches (photos) | px | agree "
        "| lens |",
        "|" + " --- |" * 11,
    ]
    for r in rows:
        measured = f"refused: {r.refused} |" + " |" * 7
        if r.refused is None:
            measured = (
                f"{r.angle:.3f} | {r.away:.2%} | {r.sure:.2%} | {r.others:.2%} | {r.matches} ({r.photos}) | {r.error:.2f} "
                f"| {r.agreement:.3f} | {r.lens} |"
            )
        lines.append(f"| {r.scene} | {r.photo} | {r.cameras} | {measured}")
    return "\n".join(lines)


def believed_of_others(scene: Path, photos: Sequence[Path], seed: int) -> tuple[list[str], float]:
    """Which of the photos of other scenes are located in a scene, and in how many seconds all were looked for."""
    start = time.perf_counter()
    try:
        found = locate(scene, photos, seed, Progress()).photos
    except InputError:
        found = ()
    return [photo.name for photo in found if photo.refused is None], time.perf_counter() - start


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("folder", type=Path)
    ask.add_argument("--out", type=Path, required=True)
    ask.add_argument("--scenes", nargs="*", default=SCENES)
    ask.add_argument("--each", type=int, default=OUT_OF_EACH, help="photos that are left out of each scene")
    ask.add_argument("--seed", type=int, default=0)
    options = ask.parse_args()
    rows, taken = [], {}
    for name in options.scenes:
        photos = sorted((options.folder / name / "images").iterdir())
        full = made(photos, options.out / name / "all", name, options.seed)
        taken[name] = [options.folder / name / "images" / photo for photo in left_out(full, options.each)]
        for photo in taken[name]:
            part = made([p for p in photos if p != photo], options.out / name / photo.name, name, options.seed)
            shown = [photo, cropped(photo, options.out / "cropped" / name / photo.name)]
            rows += rows_of(name, photo, shown, full, part, options.seed)
            print(*rows[-2:], sep="\n", file=sys.stderr, flush=True)
    print(f"{table(rows[::2])}\n\nCropped:\n\n{table(rows[1::2])}\n")
    tried = [photo for name in sorted(p.name for p in options.folder.iterdir()) for photo in taken.get(name, [])]
    tried += [p for name in WITHOUT_CAMERAS for p in sorted((options.folder / name / "images").glob("*"))[: options.each]]
    for name in options.scenes:
        others = [photo for photo in tried if photo not in taken[name]]
        believed, seconds = believed_of_others(options.out / name / "all", others, options.seed)
        print(f"{name}: {len(believed)} of {len(others)} photos of other scenes believed {believed or ''} ({seconds:.0f} s)")


if __name__ == "__main__":
    main()
