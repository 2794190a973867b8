"""Predicted cameras adjusted to synthetic matches, against the true cameras; and what cannot be improved stays."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from recon3d.core.geometry import Tracks
from recon3d.core.lens import Lens
from recon3d.core.rotations import rotation_from_vector
from recon3d.core.synthetic import Synthetic, synthetic_geometry
from recon3d.metrics.poses import pair_errors
from recon3d.progress import Progress
from recon3d.sfm.bundle_adjustment import Adjustment, Predicted, bundle_adjusted
from recon3d.sfm.held_back_tracks import HeldTracks, fit_of, triangulated_by
from tests.sfm.synthetic_matches import SCENE, synthetic_scene, synthetic_views, write_database
from tests.sfm.test_attempts import turned

FEW = replace(SCENE, views=4, points=250, outliers=0.02)


def predicted(truth, degrees: float, longer: float = 1.0, fixed: int = 0) -> Predicted:
    """True cameras disturbed but for the first ones, which are known; focal lengths that differ from view to view."""
    cameras = turned(truth, degrees, 0).camera_from_world
    cameras[:fixed] = truth.cameras.camera_from_world[:fixed].numpy()
    lenses = []
    for i, K in enumerate(truth.cameras.K.clone()):
        K[0, 0] *= longer * (1 + 0.01 * (i % 2) * (longer != 1))
        K[1, 1] = K[0, 0]
        lenses.append(Lens.pinhole(K.numpy(), *truth.cameras.size(i)))
    return Predicted(cameras, tuple(lenses), np.arange(len(cameras)) < fixed)


def adjusted(folder, scene: Synthetic, degrees: float, longer: float = 1.0, fixed: int = 0) -> tuple[Adjustment, torch.Tensor]:
    """What comes of it, and the true cameras."""
    database, views, truth = synthetic_scene(folder, scene, lens_known=False)
    found = bundle_adjusted(database, views, predicted(truth, degrees, longer, fixed), 2000, 1, 0, Progress())
    return found, truth.cameras.camera_from_world


def test_disturbed_cameras_come_back_and_share_one_focal_length(tmp_path):
    found, true = adjusted(tmp_path, FEW, 3.0, longer=1.05)
    assert found.model is not None and found.model.views == (0, 1, 2, 3)
    assert float(pair_errors(torch.from_numpy(found.model.camera_from_world), true).worst.max()) < 0.3
    assert len({lens.params for lens in found.model.lenses}) == 1
    assert found.before is not None and found.after is not None
    assert found.after.median_px < 1 < 5 < found.before.median_px


@pytest.mark.parametrize("fixed", [1, 3])
def test_known_cameras_stay_and_the_others_come_to_their_world(tmp_path, fixed):
    found, true = adjusted(tmp_path, FEW, 3.0, fixed=fixed)
    assert found.model is not None
    cameras = torch.from_numpy(found.model.camera_from_world)
    assert torch.allclose(cameras[:fixed], true[:fixed], rtol=0, atol=1e-12)
    assert float(pair_errors(cameras, true).worst.max()) < 0.3
    if fixed > 1:
        assert float((cameras - true).abs().max()) < 0.02


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_right_cameras_stay_as_they_are(tmp_path, noise):
    found, _ = adjusted(tmp_path, replace(FEW, pixel_noise=noise), 0.0)
    assert found.model is None and found.refused == "tracks held back from it do not tell that it is better"


def test_wrong_tracks_move_nothing(tmp_path):
    found, _ = adjusted(tmp_path, replace(FEW, points=80, outliers=1.0), 1.0)
    assert found.model is None and found.refused


def test_cameras_that_only_turn_are_not_moved_apart(tmp_path):
    """Photos from one place tell no baseline: the small ones that were predicted stay as they are."""
    truth = synthetic_geometry(FEW)
    pose, chance = truth.cameras.camera_from_world[1], torch.Generator().manual_seed(0)
    turns = rotation_from_vector(0.1 * torch.randn(4, 3, generator=chance, dtype=torch.float64))
    poses = pose.repeat(4, 1, 1)
    poses[:, :3] = turns @ pose[:3]
    cameras = replace(truth.cameras, camera_from_world=poses)
    pixels, _ = cameras.project(truth.points)
    view, point = (cameras.shows(truth.points)).nonzero(as_tuple=True)
    noise = 0.5 * torch.randn(len(view), 2, generator=chance, dtype=torch.float64)
    turning = replace(truth, cameras=cameras, tracks=Tracks(view, point, pixels[view, point] + noise))
    views = synthetic_views(turning, lens_known=False)
    write_database(tmp_path / "matches.db", views, turning)
    guessed = predicted(truth, 0.5)
    small = guessed.camera_from_world.copy()
    small[:, :3] = poses[:, :3].numpy()
    small[:, :3, 3] += 0.05 * np.random.default_rng(0).normal(size=(4, 3))
    guessed = replace(guessed, camera_from_world=small)
    found = bundle_adjusted(tmp_path / "matches.db", views, guessed, 2000, 1, 0, Progress())
    assert found.model is None and found.refused


def test_held_back_tracks_are_triangulated_where_they_are_and_outliers_leave_them_there():
    """Projections of known points: half a pixel of noise leaves a median of a half, and one wild observation in five tells."""
    truth = synthetic_geometry(Synthetic(views=5, points=200, height=960, width=1280, missing=0.0))
    assert truth.tracks is not None
    lenses = {i: Lens.pinhole(truth.cameras.K[i].numpy(), 960, 1280) for i in range(5)}
    poses = dict(enumerate(truth.cameras.camera_from_world.numpy()))
    view, point, xy = truth.tracks.view.numpy(), truth.tracks.point.numpy(), truth.tracks.xy.numpy().copy()
    exact = triangulated_by(poses, lenses, HeldTracks(view, point, xy))
    assert np.abs(exact.points - truth.points.numpy()).max() < 1e-6 and fit_of(exact).median_px < 1e-6
    xy[view == 2] += 200
    wild = triangulated_by(poses, lenses, HeldTracks(view, point, xy))
    assert np.median(np.abs(wild.points - truth.points.numpy())) < 0.01
    assert fit_of(wild).agreeing == pytest.approx((view != 2).mean(), abs=0.05)
