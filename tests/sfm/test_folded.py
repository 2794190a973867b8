"""Models of two like places: folded into one they are told by name, as they are nothing is said."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from recon3d.core.geometry import Geometry, Tracks
from recon3d.progress import Progress
from recon3d.sfm.attempts import attempt
from recon3d.sfm.folded import folded
from recon3d.sfm.models import Model
from recon3d.sfm.settings import DEFAULT, GLOBAL
from tests.sfm.folded_scenes import LAYOUTS, capture
from tests.sfm.synthetic_matches import synthetic_views, write_database


def told(layout: str, is_folded: bool, seed: int, own: int = 300):
    geometry, names = capture(layout, is_folded, seed, own)
    return folded(geometry, names, ~np.eye(len(names), dtype=bool)), names


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_photos_of_one_of_two_like_places_are_named_where_these_are_folded(layout, seed):
    found, names = told(layout, True, seed)
    assert found is not None
    halves = {letter: {name for name in names if name[0] == letter} for letter in "ab"}
    assert set(found.photos) in halves.values()
    assert {name[0] for name in found.among} == {"a", "b"} - {found.photos[0][0]}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("layout", LAYOUTS)
def test_nothing_is_said_of_them_as_they_are(layout, seed):
    assert told(layout, False, seed)[0] is None


@pytest.mark.parametrize("layout", LAYOUTS)
def test_two_places_of_which_nothing_is_their_own_cannot_be_told_apart(layout):
    """What a folded model of them shows is what a true one of one place would show."""
    assert told(layout, True, 0, own=3)[0] is None


def test_pairs_that_were_not_compared_say_nothing():
    geometry, names = capture("corridor", True, 0)
    first = np.array([name[0] == "a" for name in names])
    assert folded(geometry, names, first[:, None] == first) is None


@pytest.mark.slow
@pytest.mark.parametrize(("layout", "settings"), [("corridor", DEFAULT), ("rooms", DEFAULT), ("rooms", GLOBAL)])
def test_colmap_joins_them_the_acceptance_test_believes_it_and_the_check_does_not(tmp_path, layout, settings):
    """The mapper given the matches that two like places give: what is alike joins both."""
    truth, names = capture(layout, True, 0)
    views = synthetic_views(truth, lens_known=True)
    write_database(tmp_path / "matches.db", views, truth)
    tried = attempt(tmp_path / "matches.db", views, settings, 1, 0, Progress())
    assert tried.refused is None and tried.model is not None and tried.measured is not None
    assert len(tried.model.views) == len(names) and tried.measured.agreement > 0.99
    found = folded(geometry_of(tried.model, truth), names, ~np.eye(len(names), dtype=bool))
    assert found is not None and len({name[0] for name in found.photos}) == 1 and 2 * len(found.photos) == len(names)


def geometry_of(model: Model, truth: Geometry) -> Geometry:
    """A model of all views with the true lenses."""
    poses = replace(truth.cameras, camera_from_world=torch.from_numpy(model.camera_from_world))
    points, tracks = torch.from_numpy(model.points), (torch.from_numpy(x) for x in (model.view, model.point, model.xy))
    empty = torch.zeros(len(points), 3, dtype=torch.uint8)
    return Geometry(poses, points, empty, torch.from_numpy(model.errors), Tracks(*tracks), source="colmap")
