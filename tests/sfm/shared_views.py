"""Views of a folder of shared photos, read with Pillow alone, so that tests of sfm need no part of io."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from recon3d.core.lens import Lens
from recon3d.core.views import Views
from tests.shared_folder import shared


def evenly(count: int, total: int) -> list[int]:
    """The indices of "k views" in the shared tables: round(linspace(0, n - 1, k)), half to even."""
    return np.round(np.linspace(0, total - 1, count)).astype(int).tolist()


def views_of(pictures: dict[str, np.ndarray], lens: Lens | None = None, known: np.ndarray | None = None) -> Views:
    """Views of rgb pictures [H, W, 3] of one camera, at full size."""
    n = len(pictures)
    sizes = torch.tensor([p.shape[:2] for p in pictures.values()])
    cameras = {tuple(size): i for i, size in enumerate(sorted({tuple(s) for s in sizes.tolist()}))}
    return Views(
        names=tuple(pictures),
        images=tuple(torch.from_numpy(p.copy()).permute(2, 0, 1) for p in pictures.values()),
        masks=None,
        pixel_from_photo=torch.eye(3, dtype=torch.float64).repeat(n, 1, 1),
        photo_sizes=sizes,
        camera_index=torch.tensor([cameras[tuple(size)] for size in sizes.tolist()]),
        held_out=torch.zeros(n, dtype=torch.bool),
        sources=tuple(range(n)),
        lenses=(lens,) * n,
        focal_priors=(None,) * n,
        known_camera_from_world=None if known is None else torch.from_numpy(known),
    )


def grey_pictures(views: Views):
    """The `pictures` argument of sfm for views whose images are their photos at full size, without masks."""

    def picture(i: int, longest: int):
        return np.asarray(Image.fromarray(views.images[i].permute(1, 2, 0).numpy()).convert("L")), None

    return picture


def scene_views(scene: str, count: int | None = None) -> Views:
    """A shared scene, all photos or `count` of them; skips where it is absent."""
    folder = shared(f"data/{scene}/images")
    files: list[Path] = sorted(folder.iterdir())
    chosen = files if count is None else [files[i] for i in evenly(count, len(files))]
    return views_of({f.name: np.asarray(Image.open(f).convert("RGB")) for f in chosen})
