"""A network's matches in COLMAP's database: where its keypoints are, which become one, and which views they join."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from recon3d.core.matches import Matches, together
from recon3d.core.synthetic import Synthetic, synthetic_geometry
from recon3d.sfm.held_back import view_matches
from recon3d.sfm.held_back_tracks import tracks_of
from recon3d.sfm.match_database import joined, one_to_one, pairs_of, write_matches
from recon3d.sfm.matching import pairs_to_match, read_keypoints, read_matches
from recon3d.sfm.pycolmap import colmap
from tests.sfm.synthetic_matches import synthetic_views
from tests.sfm.synthetic_network_matches import as_pairs, as_tracks

SCENE = Synthetic(views=5, points=300, height=960, width=1280, arc=60, missing=0.1)
MADE = {"vggt": as_tracks, "mast3r": as_pairs}


@pytest.mark.parametrize("source", MADE)
def test_keypoints_lie_where_colmap_projects_the_points(tmp_path, source):
    """Photos of 1280 pixels, pictures of 500: pycolmap's camera of the database's size sees each point at its keypoint."""
    truth = synthetic_geometry(SCENE)
    views = synthetic_views(truth)
    path = tmp_path / "matches.db"
    assert write_matches(MADE[source](truth, longest=500), views, path, 1, 0) == 10
    with colmap.Database.open(path) as file:
        camera = file.read_camera(1)
    assert (camera.width, camera.height) == (500, 375)
    keypoints = read_keypoints(path, len(views))
    pairs = read_matches(path)
    tracks = tracks_of(view_matches(pairs, keypoints), set(range(5)))
    for i, pose in enumerate(truth.cameras.camera_from_world.numpy()):
        in_camera = truth.points.numpy() @ pose[:3, :3].T + pose[:3, 3]
        seen = np.array([camera.img_from_cam(x) for x in in_camera])
        apart = np.linalg.norm(seen[:, None] - keypoints[i], axis=2).min(0)
        assert len(apart) > 150 and apart.max() < 1e-3
    assert truth.tracks is not None
    seen_twice = np.unique(truth.tracks.point.numpy(), return_counts=True)[1] > 1
    assert 0.95 < tracks.count / seen_twice.sum() <= 1  # chance neighbours are taken for one, and such tracks left out
    assert sum(len(p.verified) for p in pairs) > 0.98 * sum(len(p.raw) for p in pairs)


def test_pairs_of_pixels_grow_to_tracks_where_they_nearly_meet(tmp_path):
    truth = synthetic_geometry(replace(SCENE, missing=0.0, points=100))
    views = synthetic_views(truth)
    lengths = {}
    for noise in (0.0, 0.3, 8.0):
        path = tmp_path / f"{noise}.db"
        write_matches(as_pairs(truth, noise=noise), views, path, 1, 0)
        tracks = tracks_of(view_matches(read_matches(path), read_keypoints(path, 5)), set(range(5)))
        lengths[noise] = np.bincount(tracks.track).mean()
    assert lengths[0.0] > 4.5 and lengths[0.3] > 4 and lengths[8.0] < 2.5


def test_what_is_near_becomes_one_keypoint_where_the_first_of_them_was():
    xy = np.array([[10.0, 10], [10.9, 10], [11.7, 10], [10, 10], [10, 10], [50, 50]])
    view = np.array([0, 0, 0, 1, 0, 0])
    keypoints, owner = joined(view, xy, 3, 1.0)
    assert [k.tolist() for k in keypoints] == [[[10, 10], [11.7, 10], [50, 50]], [[10, 10]], []]
    assert owner.tolist() == [0, 0, 1, 0, 0, 2]


def test_a_tracks_first_is_matched_with_all_and_the_others_as_sifts_would_be():
    count, start = 100, 70
    order = [start, *(view for view in range(count) if view != start)]
    one = Matches(torch.tensor(order), torch.zeros(count, dtype=torch.int64), torch.zeros(count, 2, dtype=torch.float64), 9, "")
    both = together([one, one])  # two tracks through the same keypoints: each pair once
    found = pairs_of(both, np.zeros(2 * count, np.int64), count)
    expected = set(pairs_to_match(count)) | {(min(start, v), max(start, v)) for v in range(count) if v != start}
    assert set(found) == expected and all(some.tolist() == [[0, 0]] for some in found.values())


def test_a_keypoint_has_one_match_in_another_view():
    rows = np.array([[0, 1, 5, 5], [0, 1, 5, 6], [0, 1, 7, 6], [0, 1, 8, 6], [0, 2, 5, 6]])
    assert one_to_one(rows).tolist() == [[0, 1, 5, 5], [0, 1, 7, 6], [0, 2, 5, 6]]
