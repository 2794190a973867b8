"""Attempts on synthetic matches, against the true cameras."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from recon3d.core.synthetic import Synthetic
from recon3d.metrics.poses import pair_errors
from recon3d.progress import Progress
from recon3d.sfm.acceptance import agreement, focal_of
from recon3d.sfm.attempts import Guess, attempt, attempt_from, with_given_lenses
from recon3d.sfm.features import cameras_of, image_id
from recon3d.sfm.held_back import view_matches
from recon3d.sfm.matching import read_keypoints, read_matches
from recon3d.sfm.models import global_models, poses_of, starting_at
from recon3d.sfm.pycolmap import colmap
from recon3d.sfm.settings import DEFAULT, GLOBAL, RELAXED
from tests.sfm.synthetic_matches import SCENE, Capture, captured_scene, synthetic_scene, write_database
from tests.sfm.true_models import true_model


@pytest.mark.parametrize("settings", [DEFAULT, RELAXED, GLOBAL])
@pytest.mark.parametrize("lens_known", [True, False])
def test_synthetic_cameras_are_found_within_half_a_degree(tmp_path, settings, lens_known):
    database, views, truth = synthetic_scene(tmp_path, lens_known=lens_known)
    found = attempt(database, views, settings, 1, 0, Progress())
    assert found.refused is None and found.model is not None and found.measured is not None
    assert found.model.views == (0, 1, 2, 3, 4)
    errors = pair_errors(torch.from_numpy(found.model.camera_from_world), truth.cameras.camera_from_world)
    assert float(errors.worst.max()) < 0.5
    assert found.measured.agreement > 0.99


def test_an_accepted_model_is_completed_with_the_points_that_were_held_back(tmp_path):
    database, views, truth = synthetic_scene(tmp_path)
    found = attempt(database, views, DEFAULT, 1, 0, Progress())
    assert found.model is not None
    seen_by_three = torch.bincount(truth.tracks.point) >= 3
    assert len(found.model.points) >= 0.98 * int(seen_by_three.sum())


def test_three_views_are_found_by_points_that_only_two_of_them_see(tmp_path):
    """With the default settings no point counts that is not seen by three."""
    database, views, truth = synthetic_scene(tmp_path, replace(SCENE, views=3, missing=0.35, points=600))
    found = attempt(database, views, RELAXED, 1, 0, Progress())
    assert found.model is not None
    tracks_of_two = (torch.from_numpy(found.model.point).bincount() == 2).sum()
    assert int(tracks_of_two) > 100
    errors = pair_errors(torch.from_numpy(found.model.camera_from_world), truth.cameras.camera_from_world)
    assert float(errors.rotation.max()) < 0.5


def test_no_model_of_random_matches_is_believed(tmp_path):
    """Observations put anywhere: whatever the mapper makes of them, held-back matches do not agree."""
    database, views, _ = synthetic_scene(tmp_path, Synthetic(views=3, points=80, outliers=1.0))
    found = attempt(database, views, RELAXED, 1, 0, Progress())
    assert found.model is None and found.refused


@pytest.mark.parametrize("settings", [RELAXED, GLOBAL])
def test_two_attempts_with_one_thread_and_one_seed_give_the_same_bits(tmp_path, settings):
    database, views, _ = synthetic_scene(tmp_path, lens_known=False)
    a, b = (attempt(database, views, settings, 1, 5, Progress()) for _ in range(2))
    assert a.model is not None and b.model is not None
    assert a.model.camera_from_world.tobytes() == b.model.camera_from_world.tobytes()
    assert a.model.points.tobytes() == b.model.points.tobytes()
    assert a.measured == b.measured


def test_a_starting_focal_length_changes_only_cameras_that_nothing_tells_of(tmp_path):
    _, views, _ = synthetic_scene(tmp_path, lens_known=False)
    unknown, known = (
        cameras_of(some, 2000) for some in (views, replace(views, focal_priors=(300.0,) * len(views)))
    )
    assert starting_at(0.8, unknown)[0].lens.params == (0.8 * 1280, 640, 480, 0.0)
    assert starting_at(0.8, known) == known


def test_the_global_mapper_keeps_the_lenses_that_were_given_to_some_of_the_views(tmp_path):
    """It adjusts those of all or of none."""
    _, views, truth = synthetic_scene(tmp_path)
    views = replace(views, lenses=(*views.lenses[:2], None, None, None))
    (tmp_path / "mixed").mkdir()
    write_database(tmp_path / "mixed" / "matches.db", views, truth)
    cameras = cameras_of(views, 2000)
    found = global_models(tmp_path / "mixed" / "matches.db", 5, cameras, 1, 0, Progress())[0]
    assert found.lenses[0] != views.lenses[0]
    kept = with_given_lenses(found, cameras, True)
    assert kept.views == (0, 1, 2, 3, 4) and kept.lenses[:2] == views.lenses[:2]
    errors = pair_errors(torch.from_numpy(kept.camera_from_world), truth.cameras.camera_from_world)
    assert float(errors.worst.max()) < 0.3


def test_the_global_mapper_joins_telephoto_views_as_the_incremental_one_does(tmp_path):
    focals = np.random.default_rng(3).permutation(np.geomspace(0.7, 6.0, 13)).tolist()
    database, views, truth = captured_scene(tmp_path, Capture(focals, points=150, seed=3))
    found = attempt(database, views, GLOBAL, 1, 0, Progress())
    assert found.model is not None and found.model.views == tuple(range(13))
    errors = pair_errors(torch.from_numpy(found.model.camera_from_world), truth.cameras.camera_from_world)
    assert float(errors.rotation.median()) < 0.5


def test_poses_of_a_model_are_named_by_view(tmp_path):
    database, views, _ = synthetic_scene(tmp_path)
    found = attempt(database, views, DEFAULT, 1, 0, Progress())
    assert found.model is not None
    assert sorted(poses_of(found.model)) == list(found.model.views)


def turned(truth, degrees: float, seed: int) -> Guess:
    """The true cameras, each turned by about so much and moved by as much as that is at their distance from each other."""
    chance = np.random.default_rng(seed)
    cameras = truth.cameras.camera_from_world.numpy().copy()
    centers = truth.cameras.centers_in_world.numpy()
    apart = np.linalg.norm(centers - centers.mean(0), axis=1).mean()
    size = np.radians(degrees) / np.sqrt(3)
    for camera, center in zip(cameras, centers, strict=True):
        camera[:3, :3] = Rotation.from_rotvec(size * chance.normal(size=3)).as_matrix() @ camera[:3, :3]
        camera[:3, 3] = -camera[:3, :3] @ (center + apart * size * chance.normal(size=3))
    focal = float(truth.cameras.K[0, 0, 0]) / max(truth.cameras.size(0))
    return Guess("someone", cameras, np.full(len(cameras), 1.05 * focal))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_guessed_cameras_six_degrees_off_are_pulled_into_place(tmp_path, seed):
    database, views, truth = synthetic_scene(tmp_path, replace(SCENE, views=4, seed=seed, outliers=0.02), lens_known=False)
    found = attempt_from(database, views, turned(truth, 6.0, seed), RELAXED, 1, 0, Progress())
    assert found.refused is None and found.model is not None and found.model.views == (0, 1, 2, 3)
    errors = pair_errors(torch.from_numpy(found.model.camera_from_world), truth.cameras.camera_from_world)
    assert float(errors.worst.max()) < 0.5


def test_guessed_cameras_that_random_matches_are_pulled_to_are_not_believed(tmp_path):
    database, views, truth = synthetic_scene(tmp_path, Synthetic(views=3, points=80, outliers=1.0), lens_known=False)
    found = attempt_from(database, views, turned(truth, 1.0, 0), RELAXED, 1, 0, Progress())
    assert found.model is None and found.refused


def test_a_guess_for_a_view_without_matches_is_left_out(tmp_path):
    """COLMAP's mapper knows no view that overlaps with none."""
    database, views, truth = synthetic_scene(tmp_path, replace(SCENE, views=4), lens_known=False)
    file = colmap.Database.open(database)
    for other in (0, 1, 2):
        file.delete_inlier_matches(image_id(other), image_id(3))
    file.close()
    found = attempt_from(database, views, turned(truth, 2.0, 0), RELAXED, 1, 0, Progress())
    assert found.refused is None and found.model is not None and found.model.views == (0, 1, 2)


def test_cameras_that_the_matches_do_not_tell_are_not_believed(tmp_path):
    """Two pairs of views without a match from one pair to the other: each pair agrees, wherever the other stands."""
    database, views, truth = synthetic_scene(tmp_path, replace(SCENE, views=4))
    file = colmap.Database.open(database)
    for first in (0, 1):
        for second in (2, 3):
            file.delete_inlier_matches(image_id(first), image_id(second))
    file.close()
    found = attempt_from(database, views, turned(truth, 6.0, 0), RELAXED, 1, 0, Progress())
    assert found.model is None and found.refused is not None
    assert "the matches do not tell its cameras" in found.refused
    assert found.measured is not None and found.measured.agreement > 0.9


def test_ten_cameras_from_wide_to_telephoto_are_all_believed(tmp_path):
    """A fifth of the observations is put anywhere, which makes a third of the matches wrong: COLMAP's verification leaves less
    than one in a hundred of them among the right ones."""
    focals = np.random.default_rng(0).permutation(np.geomspace(0.7, 6.0, 10)).tolist()
    database, views, truth = captured_scene(tmp_path, Capture(focals, points=200, outliers=0.2))
    pairs, keypoints = read_matches(database), read_keypoints(database, 10)
    raw = view_matches([replace(pair, verified=pair.raw) for pair in pairs], keypoints)
    right = [agreement(true_model(truth), matches)[0].mean() for matches in (raw, view_matches(pairs, keypoints))]
    assert right[0] < 0.7 and right[1] > 0.99
    found = attempt(database, views, DEFAULT, 1, 0, Progress())
    assert found.refused is None and found.model is not None and found.model.views == tuple(range(10))
    assert found.measured is not None and found.measured.left_out == () and found.measured.agreement > 0.98
    assert np.bincount(found.model.view).min() > 80
    errors = pair_errors(torch.from_numpy(found.model.camera_from_world), truth.cameras.camera_from_world)
    assert float(errors.rotation.max()) < 1.0
    assert [focal_of(lens) for lens in found.model.lenses] == pytest.approx(focals, rel=0.1)


def test_a_narrow_scene_whose_focal_length_is_not_determined_is_refused_for_that(tmp_path):
    database, views, _ = captured_scene(tmp_path, Capture((3.0,) * 3, arc=8.0, depth=0.1, shared=True))
    found = attempt(database, views, RELAXED, 1, 0, Progress())
    assert found.model is None and found.refused is not None and "the focal length is known to " in found.refused
