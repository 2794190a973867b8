"""What is held back from the mapper, and what remains."""

import numpy as np

from recon3d.sfm.held_back import ViewMatches, hold_back
from recon3d.sfm.matching import read_keypoints, read_matches
from tests.sfm.synthetic_matches import synthetic_scene


def test_a_fifth_of_the_tracks_is_held_back_whole_and_the_rest_remains(tmp_path):
    database, views, geometry = synthetic_scene(tmp_path)
    held = hold_back(database, tmp_path / "reduced.db", len(views), seed=0)
    xy = geometry.tracks.xy.float().double().numpy()
    point_of = {
        (int(v), *map(float, at)): int(p)
        for v, p, at in zip(geometry.tracks.view, geometry.tracks.point, xy, strict=True)
    }
    taken = {point_of[(int(v), *map(float, at))] for v, at in zip(held.first, held.xy_first, strict=True)}
    assert taken == {point_of[(int(v), *map(float, at))] for v, at in zip(held.second, held.xy_second, strict=True)}
    keypoints = read_keypoints(tmp_path / "reduced.db", len(views))
    left = set()
    for pair in read_matches(tmp_path / "reduced.db"):
        left |= {point_of[(pair.first, *map(float, at))] for at in keypoints[pair.first][pair.verified[:, 0]]}
    assert not taken & left
    assert taken | left == set(geometry.tracks.point.tolist())
    assert 0.15 < len(taken) / len(taken | left) < 0.25


def test_the_same_seed_holds_back_the_same_matches_and_another_one_others(tmp_path):
    database, views, _ = synthetic_scene(tmp_path)
    a, b, c = (hold_back(database, tmp_path / f"{i}.db", len(views), seed) for i, seed in enumerate((3, 3, 4)))
    assert np.array_equal(a.xy_first, b.xy_first)
    assert len(a) != len(c) or not np.array_equal(a.xy_first, c.xy_first)


def test_matches_are_grouped_by_pair_in_order():
    first, second = np.array([1, 0, 0, 1, 0]), np.array([2, 2, 1, 2, 2])
    matches = ViewMatches(first, second, np.zeros((5, 2)), np.zeros((5, 2)))
    groups = [(i, j, rows.tolist()) for i, j, rows in matches.by_pair()]
    assert groups == [(0, 1, [2]), (0, 2, [1, 4]), (1, 2, [0, 3])]
    assert list(matches[[]].by_pair()) == []


def test_thinned_matches_are_spread_evenly():
    n = 1000
    matches = ViewMatches(np.arange(n), np.arange(n) + 1, np.zeros((n, 2)), np.zeros((n, 2)))
    assert matches.thinned(5).first.tolist() == [0, 249, 499, 749, 999]
    assert matches.thinned(2000) is matches
