"""What a place far from zero costs: held-out PSNR with known cameras about zero, and with the same cameras in UTM.

    python -m tools.benchmarks.far ../shared/data/fountain-P11

Preview quality, photos 4, 12, ... held out, one seed. Prints a table in markdown.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch

from recon3d.core.cameras import Cameras
from recon3d.io.cameras_json import read_cameras, write_cameras
from recon3d.io.detect import detect
from recon3d.pipeline.reconstruct import reconstruct
from recon3d.pipeline.request import Request
from recon3d.progress import Progress

PLACES = {"about zero": np.zeros(3), "UTM": np.array([500_000.0, 0.0, 4_650_000.0])}


def held_out_psnr(scene: Path, shift: np.ndarray) -> tuple[float, float]:
    """dB and SSIM of the held-out photos with the scene's own cameras, moved by `shift`."""
    known = [camera.moved(shift) for camera in read_cameras(scene / "cameras.json")]
    lenses = [camera.lens for camera in known if camera.lens is not None]
    poses = [camera.camera_from_world for camera in known if camera.camera_from_world is not None]
    cameras = Cameras(
        torch.from_numpy(np.stack(poses)),
        torch.from_numpy(np.stack([lens.K for lens in lenses])),
        torch.tensor([[lens.height, lens.width] for lens in lenses]),
        torch.zeros(len(lenses), dtype=torch.int64),
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "cameras.json"
        write_cameras(file, [camera.name for camera in known], cameras)
        request = Request(cameras=file, quality="preview", holdout="8:4", seed=0)
        found = reconstruct(request, detect([scene / "images"]), Progress()).holdout
    assert found is not None
    return found["mean"]["psnr"], found["mean"]["ssim"]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("scene", type=Path, help="a folder with images/ and cameras.json of undistorted photos")
    scene = parser.parse_args().scene
    print("| cameras | held out, dB | SSIM |\n| --- | --- | --- |")
    for place, shift in PLACES.items():
        psnr, ssim = held_out_psnr(scene, shift)
        print(f"| {place} | {psnr:.2f} | {ssim:.3f} |", flush=True)


if __name__ == "__main__":
    main()
