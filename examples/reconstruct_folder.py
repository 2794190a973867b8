"""Photos to splats with the Python API: python examples/reconstruct_folder.py datasets/sample/images scene.ply [STEPS]"""

import sys
from pathlib import Path

import recon3d


def main(photos: str, out: str, steps: str = "300") -> None:
    scene = recon3d.reconstruct(Path(photos), quality="preview", refine=steps, seed=0)
    assert scene.geometry is not None and scene.views is not None
    print(f"{len(scene.views)} photos have a camera, {len(scene.geometry.points)} points, {len(scene.gaussians)} splats")
    recon3d.save(scene, out)


if __name__ == "__main__":
    main(*sys.argv[1:])
