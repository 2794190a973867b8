"""Views and a database of matches made from synthetic geometry, so that mapping is tested without photos."""

from pathlib import Path

import numpy as np
import torch

from recon3d.core.geometry import Geometry
from recon3d.core.lens import Lens
from recon3d.core.synthetic import Synthetic, synthetic_geometry
from recon3d.core.views import Views
from recon3d.sfm.features import cameras_of, colmap_camera, image_id, image_name
from recon3d.sfm.pycolmap import colmap
from tests.sfm.shared_views import views_of

SCENE = Synthetic(views=5, points=400, height=960, width=1280, arc=60, pixel_noise=0.5)


def synthetic_views(geometry: Geometry, lens_known: bool = True, poses: np.ndarray | None = None) -> Views:
    """Views of black pictures with the synthetic lens; `poses` [N,4,4] are given ones, NaN where unknown."""
    height, width = geometry.cameras.size(0)
    lens = Lens.pinhole(geometry.cameras.K[0].numpy(), height, width) if lens_known else None
    black = {f"{i}.png": np.zeros((height, width, 3), np.uint8) for i in range(len(geometry))}
    return views_of(black, lens, poses)


def write_database(path: Path, views: Views, geometry: Geometry) -> None:
    """Observations as features, in a shuffled order, and as verified matches of every pair of views."""
    assert geometry.tracks is not None
    generator = np.random.default_rng(0)
    file = colmap.Database.open(path)
    owner = {}
    for number, camera in enumerate(cameras_of(views, 2000), 1):
        file.write_camera(colmap_camera(camera, number), use_camera_id=True)
        owner |= dict.fromkeys(camera.views, number)
    rows = [generator.permutation(torch.nonzero(geometry.tracks.view == v)[:, 0].numpy()) for v in range(len(views))]
    points = [geometry.tracks.point.numpy()[r] for r in rows]
    for view, r in enumerate(rows):
        image = colmap.Image(name=image_name(view), camera_id=owner[view], image_id=image_id(view))
        file.write_image(image, use_image_id=True)
        file.write_keypoints(image_id(view), geometry.tracks.xy[r].float().numpy())
    for i in range(len(views)):
        for j in range(i + 1, len(views)):
            _, a, b = np.intersect1d(points[i], points[j], return_indices=True)
            matches = np.stack([a, b], 1).astype(np.uint32)
            verified = colmap.TwoViewGeometry()
            verified.config, verified.inlier_matches = 2, matches  # 2: calibrated
            file.write_matches(image_id(i), image_id(j), matches)
            file.write_two_view_geometry(image_id(i), image_id(j), verified)
    file.close()


def synthetic_scene(folder: Path, scene: Synthetic = SCENE, **given) -> tuple[Path, Views, Geometry]:
    """A database in `folder`, its views, and the truth."""
    geometry = synthetic_geometry(scene)
    views = synthetic_views(geometry, **given)
    write_database(folder / "matches.db", views, geometry)
    return folder / "matches.db", views, geometry
