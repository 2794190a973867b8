"""The acceptance test, on models whose truth is known: synthetic cameras, right or wrong on purpose."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from recon3d.core.lens import Lens
from recon3d.core.rotations import rotation_from_vector
from recon3d.core.synthetic import Synthetic, synthetic_geometry
from recon3d.sfm.acceptance import (
    Estimated,
    Measured,
    agreement,
    corner_distortion,
    evidence,
    lens_refusal,
    measure,
    refusal,
    triangulation_angles,
    unbelieved_views,
)
from recon3d.sfm.held_back import ViewMatches
from recon3d.sfm.models import Model, only_views
from tests.sfm.synthetic_matches import Capture, captured
from tests.sfm.true_models import true_model

GOOD = Measured(3, 3, 100, 10.0, 0.3, 200, 0.99, 0.9, 0.01, 0.01)
UNKNOWN = Estimated(np.ones(3, bool), np.zeros(3, int), False)
GIVEN = replace(UNKNOWN, focal=np.zeros(3, bool))


def truth(scene: Synthetic | None = None) -> tuple[Model, ViewMatches]:
    """A model of the true cameras and points, and the matches of views (0, 1) and (1, 2)."""
    geometry = synthetic_geometry(scene or Synthetic(views=3, points=200, height=960, width=1280, arc=40))
    assert geometry.tracks is not None
    tracks = geometry.tracks
    height, width = geometry.cameras.size(0)
    lens = Lens.pinhole(geometry.cameras.K[0].numpy(), height, width)
    view, point, xy = tracks.view.numpy(), tracks.point.numpy(), tracks.xy.numpy()
    model = Model(
        tuple(range(len(geometry))), geometry.cameras.camera_from_world.numpy(), (lens,) * len(geometry),
        geometry.points.numpy(), geometry.errors.numpy(), view, point, np.arange(len(view)), xy,
    )  # fmt: skip
    parts = []
    for i, j in ((0, 1), (1, 2)):
        _, a, b = np.intersect1d(point[view == i], point[view == j], return_indices=True)
        parts.append((np.full(len(a), i), np.full(len(a), j), xy[view == i][a], xy[view == j][b]))
    return model, ViewMatches(*(np.concatenate(p) for p in zip(*parts, strict=True)))


def turned(model: Model, view: int, degrees: float) -> Model:
    """The model with one camera turned on the spot about its y axis."""
    cameras = model.camera_from_world.copy()
    turn = rotation_from_vector(torch.tensor([0, np.radians(degrees), 0], dtype=torch.float64)).numpy()
    cameras[view, :3] = turn @ cameras[view, :3]
    return replace(model, camera_from_world=cameras)


def test_every_match_of_the_true_cameras_agrees():
    model, matches = truth()
    agrees, first, second = agreement(model, matches)
    assert agrees.all() and len(agrees) == len(matches)
    assert set(zip(first.tolist(), second.tolist(), strict=True)) == {(0, 1), (1, 2)}


def test_every_match_of_true_cameras_of_their_own_lenses_agrees():
    truth = captured(Capture((0.8, 1.5, 3.0, 1.5), points=150, noise=0.0, seed=1))
    assert truth.tracks is not None
    view, point, xy = (x.numpy() for x in (truth.tracks.view, truth.tracks.point, truth.tracks.xy))
    pairs = []
    for i, j in ((2, 3), (0, 1), (1, 2)):
        _, a, b = np.intersect1d(point[view == i], point[view == j], return_indices=True)
        pairs.append((np.full(len(a), i), np.full(len(a), j), xy[view == i][a], xy[view == j][b]))
    matches = ViewMatches(*(np.concatenate(p) for p in zip(*pairs, strict=True)))
    agrees, first, second = agreement(true_model(truth), matches)
    assert agrees.all() and (first == matches.first).all() and (second == matches.second).all()


@pytest.mark.parametrize("views", [[], [1], [0, 1, 2]])
def test_without_held_back_matches_nothing_agrees_and_nothing_disagrees(views):
    model, matches = truth()
    found = evidence(only_views(model, views), matches[:0], GIVEN)
    assert len(found.agrees) == 0 and measure(found).agreement == 0.0
    assert refusal(measure(found)) is not None


def test_the_share_that_agrees_is_the_share_of_matches_left_undisturbed():
    model, matches = truth()
    wrong = np.arange(len(matches)) % 4 == 0
    xy = matches.xy_second + 60.0 * wrong[:, None]  # to the right and down: off every near-horizontal epipolar line
    agrees, _, _ = agreement(model, replace(matches, xy_second=xy))
    assert (agrees == ~wrong).all()


def test_matches_behind_the_cameras_do_not_agree():
    """Cameras mirrored through the origin see every ray of the same match, at negative depth."""
    model, matches = truth()
    behind = model.camera_from_world.copy()
    behind[:, :3, 3] *= -1
    agrees, _, _ = agreement(replace(model, camera_from_world=behind), matches)
    assert not agrees.any()


def test_a_view_turned_by_five_degrees_is_not_believed_and_the_others_are():
    model, matches = truth()
    assert unbelieved_views(evidence(model, matches, GIVEN)) == {}
    against = unbelieved_views(evidence(turned(model, 2, 5.0), matches, GIVEN))
    assert list(against) == [2] and against[2].endswith("% of an image's matches agree, where 70% are needed")


def test_a_view_that_sees_few_points_is_not_believed():
    model, matches = truth()
    few = (model.view != 2) | (np.cumsum(model.view == 2) <= 19)
    thin = replace(
        model, view=model.view[few], point=model.point[few], feature=model.feature[few], xy=model.xy[few]
    )  # fmt: skip
    assert unbelieved_views(evidence(thin, matches, GIVEN)) == {2: "an image sees 19 points, where 20 are needed"}


def test_a_view_with_an_impossible_lens_of_its_own_is_not_believed_and_the_others_are():
    model, matches = truth(Synthetic(views=5, points=200, height=960, width=1280, arc=60))
    lens = model.lenses[4]
    long = replace(lens, params=(12 * 1280, 12 * 1280, *lens.params[2:]))
    own = Estimated(np.ones(5, bool), np.arange(5), False)
    wrong = replace(model, lenses=(*model.lenses[:4], long))
    assert unbelieved_views(evidence(wrong, matches, own)) == {
        4: "the focal length came out as 12.0 times the longest side, where 0.3 to 10 are possible"
    }


def test_a_model_of_some_views_keeps_the_points_that_two_of_them_see():
    model, _ = truth()
    kept = only_views(model, [0, 2])
    assert kept.views == (0, 2)
    seen = [set(model.point[model.view == v].tolist()) for v in (0, 2)]
    both = sorted(seen[0] & seen[1])
    assert np.array_equal(kept.points, model.points[both])
    assert np.bincount(kept.point).tolist() == [2] * len(both)
    rows = [np.flatnonzero((model.view == v) & np.isin(model.point, both)) for v in (0, 2)]
    assert np.array_equal(kept.xy, model.xy[np.concatenate(rows)])


def test_triangulation_angle_of_a_point_between_two_cameras_is_the_angle_at_the_point():
    """Cameras at (-1, 0, 0) and (1, 0, 0), a point at (0, 0, sqrt(3)): an equilateral triangle."""
    cameras = np.tile(np.eye(4), (2, 1, 1))
    cameras[:, 0, 3] = [1, -1]
    lens = Lens("SIMPLE_PINHOLE", (100.0, 50.0, 50.0), 100, 100)
    index = np.array([0, 1])
    model = Model(
        (0, 1), cameras, (lens, lens), np.array([[0, 0, np.sqrt(3)]]), np.zeros(1), index, index * 0, index,
        np.zeros((2, 2)),
    )  # fmt: skip
    assert triangulation_angles(model) == pytest.approx([60.0], abs=1e-9)


def test_corner_distortion_of_one_coefficient_is_k_times_the_squared_radius():
    lens = Lens("SIMPLE_RADIAL", (100.0, 60.0, 80.0, -0.2), 160, 120)
    assert corner_distortion(lens) == pytest.approx(0.2 * (0.6**2 + 0.8**2), rel=1e-12)


def test_the_true_model_is_accepted_and_measured_as_it_is():
    model, matches = truth()
    m = measure(evidence(model, matches, UNKNOWN))
    assert refusal(m) is None
    assert m.agreement == 1.0 and m.held_back == len(matches)
    assert m.focal == pytest.approx(0.5 / np.tan(np.radians(25)), rel=1e-12)
    assert m.focal_deviation < 0.001
    told = measure(evidence(model, matches, GIVEN))
    assert told.focal is None and told.focal_deviation == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"views": 2}, "only 2 of 3 images are joined, where 3 are needed"),
        ({"points_per_view": 19}, "an image sees 19 points, where 20 are needed"),
        ({"angle": 1.2}, "rays meet at 1.2 degrees in the median, where 1.5 are needed"),
        ({"agreement": 0.5}, "50% of 200 held-back matches agree, where 90% are needed"),
        (
            {"views": 1, "left_out": ("a", "b")},
            "only 1 of 3 images are joined, where 3 are needed (2 were left out: a)",
        ),
    ],
)
def test_a_refusal_says_what_was_measured_against_which_limit(change, words):
    assert refusal(GOOD) is None
    assert refusal(replace(GOOD, **change)) == words


@pytest.mark.parametrize(
    ("focal", "k", "deviation", "words"),
    [
        (5.6, 0.0, 0.05, None),
        (12.0, 0.0, 0.01, "the focal length came out as 12.0 times the longest side, where 0.3 to 10 are possible"),
        (0.2, 0.0, 0.01, "the focal length came out as 0.2 times the longest side, where 0.3 to 10 are possible"),
        (1.0, 0.0, 0.3, "the focal length is known to 30%, where 10% are needed"),
        (5.6, 5.0, 0.01, None),
        (1.0, 2.0, 0.01, "the lens would move a corner by 100%, where 40% are possible"),
    ],
)
def test_a_lens_is_refused_for_what_was_measured_against_which_limit(focal, k, deviation, words):
    assert lens_refusal(Lens("SIMPLE_RADIAL", (100 * focal, 50.0, 50.0, k), 100, 100), deviation) == words


def test_two_views_are_enough_where_only_two_were_given():
    assert refusal(replace(GOOD, views=2, of=2)) is None
