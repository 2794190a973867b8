"""A mesh from a camera of its run, as a picture: left its colours, right its shape, lit from the camera's upper left.

    python -m tools.draw_mesh fountain.ply fountain/ 5 docs/images/mesh.jpg

The third word is the number of the camera in cameras.json.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from PIL import Image

from recon3d.core.cameras import fitted_size, resize_map
from recon3d.core.mesh import Mesh
from recon3d.io.cameras_json import read_cameras
from recon3d.io.mesh_files import read_by_trimesh
from recon3d.pipeline.parity import pinholes
from recon3d.reconstruction.meshing.surface import normals
from recon3d.rendering.cpu.triangles import draw_triangles

WIDTH = 800  # pixels of each half
FINER = 3  # drawn so many times as fine, then made smaller
LIGHT = (-0.4, -0.6, -0.7)  # towards the light, in the camera's axes
EMPTY = 1.0  # white where there is no mesh


def pictures(
    mesh: Mesh, camera_from_world: Annotated[np.ndarray, "4 4"], lens: Annotated[np.ndarray, "4"], size: tuple[int, int]
) -> list[Annotated[np.ndarray, "H W 3"]]:
    """The mesh's colours, and its shape in grey, float 0 to 1."""
    _, which = draw_triangles(mesh.vertices, mesh.faces, camera_from_world, lens, size)
    seen = which >= 0
    corners = mesh.faces[which[seen]]
    # The mean over a triangle is smooth enough: triangles are about as large as pixels.
    direction = normals(mesh)[corners].mean(1) @ camera_from_world[:3, :3].T
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    lit = 0.25 + 0.75 * np.clip(direction @ (np.array(LIGHT) / np.linalg.norm(LIGHT)), 0, 1)
    found = []
    for values in (mesh.colors[corners].mean(1) / 255, np.repeat(lit[:, None], 3, 1)):
        picture = np.full((*size, 3), EMPTY)
        picture[seen] = values
        found.append(picture)
    return found


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("mesh", type=Path)
    ask.add_argument("run", type=Path)
    ask.add_argument("camera", type=int)
    ask.add_argument("out", type=Path)
    options = ask.parse_args()
    cameras = pinholes(read_cameras(options.run / "cameras.json"))[[options.camera]]
    height, width = fitted_size(*cameras.size(0), WIDTH)
    fine = (FINER * height, FINER * width)
    drawn = cameras.resized(resize_map(cameras.size(0), fine)[None], torch.tensor([fine]))
    K = drawn.K[0].numpy()
    lens = np.array([K[0, 0], K[1, 1], K[0, 2], K[1, 2]])
    both = pictures(read_by_trimesh(options.mesh), drawn.camera_from_world[0].numpy(), lens, fine)
    small = [p.reshape(height, FINER, width, FINER, 3).mean((1, 3)) for p in both]
    Image.fromarray(np.rint(np.concatenate(small, 1) * 255).astype(np.uint8)).save(options.out, quality=88)


if __name__ == "__main__":
    main()
