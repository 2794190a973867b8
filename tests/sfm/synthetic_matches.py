"""Views and a database of matches made from synthetic geometry, so that mapping is tested without photos."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from recon3d.core.cameras import Cameras
from recon3d.core.geometry import Geometry, Tracks
from recon3d.core.lens import Lens
from recon3d.core.synthetic import Synthetic, look_at, synthetic_geometry
from recon3d.core.views import Views
from recon3d.sfm.features import cameras_of, colmap_camera, image_id, image_name
from recon3d.sfm.pycolmap import colmap
from recon3d.sfm.settings import MIN_MATCHES
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


@dataclass(frozen=True)
class Capture:
    """A ball of points seen by cameras of own focal lengths, from so far away that it is equally large to all of them."""

    focals: Sequence[float]  # of the longest side, one a view
    arc: float = 60.0  # degrees; the cameras stand on it in any order
    points: int = 300
    depth: float = 1.0  # of the ball along the view, where 0 is a plane across it
    shared: bool = False  # one camera
    noise: float = 0.5  # pixels
    outliers: float = 0.0  # share of observations put anywhere
    seed: int = 0


def captured(capture: Capture) -> Geometry:
    """The cameras, points and tracks of a capture, 1280 x 960 pixels."""
    chance = torch.Generator().manual_seed(capture.seed)
    n, height, width = len(capture.focals), 960, 1280

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=chance, dtype=torch.float64)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=chance, dtype=torch.float64)

    focal = torch.tensor(capture.focals, dtype=torch.float64)
    angle = torch.deg2rad(torch.linspace(-capture.arc / 2, capture.arc / 2, n))[torch.randperm(n, generator=chance)]
    rise = -0.1 - 0.01 * capture.arc * uniform(n)
    centers = torch.stack([angle.sin(), rise, -angle.cos()], -1) * (3 / 0.7) * focal[:, None]
    K = torch.eye(3, dtype=torch.float64).repeat(n, 1, 1)
    K[:, 0, 0] = K[:, 1, 1] = focal * width
    K[:, 0, 2], K[:, 1, 2] = width / 2, height / 2
    camera_from_world = torch.stack([look_at(c, torch.zeros(3)) for c in centers])
    cameras = Cameras(camera_from_world, K, torch.tensor([[height, width]]).repeat(n, 1), torch.arange(n))
    points = torch.nn.functional.normalize(normal(capture.points, 3), dim=1) * uniform(capture.points, 1) ** (1 / 3)
    points[:, 2] *= capture.depth
    exact, depth = cameras.project(points)
    inside = (depth > 0) & (exact > 0).all(-1) & (exact < cameras.sizes.flip(1)[:, None]).all(-1)
    view, point = inside.nonzero(as_tuple=True)
    wrong = uniform(len(view), 1) < capture.outliers
    anywhere = uniform(len(view), 2) * torch.tensor([width, height])
    xy = torch.where(wrong, anywhere, exact[view, point] + capture.noise * normal(len(view), 2))
    colors, errors = torch.zeros(len(points), 3, dtype=torch.uint8), torch.zeros(len(points), dtype=torch.float64)
    return Geometry(cameras, points, colors, errors, Tracks(view, point, xy), source="synthetic")


def captured_scene(folder: Path, capture: Capture) -> tuple[Path, Views, Geometry]:
    """A database of the matches that COLMAP's verification leaves of a capture's, its views, and the truth."""
    geometry = captured(capture)
    views = synthetic_views(geometry, lens_known=False)
    if not capture.shared:
        views = replace(views, camera_index=torch.arange(len(views)))
    database = folder / "matches.db"
    write_database(database, views, geometry)
    file = colmap.Database.open(database)
    file.clear_two_view_geometries()
    file.close()
    how, options = colmap.GeometricVerifierOptions(), colmap.TwoViewGeometryOptions()
    how.num_threads = 1
    options.min_num_inliers, options.ransac.random_seed = MIN_MATCHES, capture.seed
    colmap.geometric_verification(database, how, two_view_geometry_options=options)
    return database, views, geometry
