"""Bundle adjustment by a network's own matches, of photos in which SIFT finds nothing; and when a network is asked for them."""

from __future__ import annotations

import types
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from recon3d.core.geometry import Geometry
from recon3d.core.matches import Matches
from recon3d.core.synthetic import Synthetic, synthetic_geometry
from recon3d.core.views import Views
from recon3d.io.detect import detect
from recon3d.io.load import load_views
from recon3d.io.undistortion import undistorted_views
from recon3d.metrics.poses import pair_errors
from recon3d.pipeline import bundle_adjustment
from recon3d.pipeline.bundle_adjustment import Database, Matched, improved, in_words, network_matches, pack, unpack
from recon3d.pipeline.choices import FEW
from recon3d.pipeline.request import Request
from recon3d.pipeline.to_adjust import adjusts
from recon3d.progress import Progress
from tests.sfm.synthetic_network_matches import anywhere, as_pairs, as_tracks
from tests.sfm.test_attempts import turned
from tests.sfm.test_bundle_adjustment import predicted

SCENE = Synthetic(views=4, points=150, height=480, width=640, arc=60)
MADE = {"vggt": as_tracks, "mast3r": as_pairs}
FIXED = torch.zeros(4, dtype=torch.bool)


@dataclass(frozen=True)
class Case:
    """`views` of black photos with wrong cameras, of which the lenses of `photos` are not known."""

    truth: Geometry
    views: Views
    photos: Views
    wrong: Geometry

    def adjusted(self, matches: Matches | None, fixed: torch.Tensor = FIXED):
        given = replace(self.wrong, matches=matches)
        return improved(self.views, given, self.photos, fixed, Matched(FEW, seed=0), Progress())


@pytest.fixture(scope="module")
def case(tmp_path_factory) -> Case:
    folder: Path = tmp_path_factory.mktemp("black")
    for i in range(4):
        Image.fromarray(np.zeros((480, 640, 3), np.uint8)).save(folder / f"{i}.png")
    truth = synthetic_geometry(SCENE)
    loaded = load_views(detect((folder,)), max_size=320).views
    guessed = predicted(truth, 3.0, longer=1.03)
    flat = undistorted_views(replace(loaded, lenses=guessed.lenses), 320)
    K = flat.pixel_from_photo @ torch.from_numpy(np.stack([lens.K for lens in guessed.lenses]))
    cameras = replace(
        truth.cameras, camera_from_world=torch.from_numpy(guessed.camera_from_world), K=K,
        sizes=torch.tensor([[240, 320]] * 4),
    )  # fmt: skip
    wrong = replace(truth, cameras=cameras, tracks=None)
    photos = replace(flat, lenses=(None,) * 4, camera_index=torch.zeros(4, dtype=torch.int64))
    return Case(truth, flat, photos, wrong)


@pytest.mark.parametrize("source", MADE)
def test_cameras_come_back_by_the_networks_matches_where_sift_has_none(case, source):
    found, report = case.adjusted(MADE[source](case.truth))
    assert report.kept and report.tracks == source and report.adjusted == 4 and f"matches of {source}" in in_words(report)
    errors = pair_errors(found.cameras.camera_from_world, case.truth.cameras.camera_from_world)
    before = pair_errors(case.wrong.cameras.camera_from_world, case.truth.cameras.camera_from_world)
    assert float(errors.worst.max()) < 0.05 < 2 < float(before.worst.max())
    true_K = case.views.pixel_from_photo[0] @ case.truth.cameras.K[0]
    torch.testing.assert_close(found.cameras.K[0], true_K, rtol=1e-3, atol=0.1)
    assert found.tracks is not None and found.matches is None
    exact, _ = case.truth.cameras.project(case.truth.points)
    nearest = torch.cdist(found.tracks.xy, exact.flatten(0, 1)).amin(1)
    assert float(nearest.max()) < 0.01  # observations lie in pixels of the photos, half a pixel would show
    kept, again = unpack(replace(case.wrong, matches=MADE[source](case.truth)), pack((found, report)))
    assert again == report and kept.matches is None and torch.equal(kept.cameras.K, found.cameras.K)


def test_wrong_matches_change_nothing_and_both_are_told(case):
    some = as_pairs(case.truth)
    found, report = case.adjusted(anywhere(some.where((some.track % 3 == 0) & (some.view < 3)), case.truth))
    assert not report.kept and "(SIFT)" in report.why and "(mast3r)" in report.why
    assert found.matches is None and found.cameras is case.wrong.cameras and found.points is case.wrong.points


def test_right_cameras_are_not_moved_by_right_matches(case):
    """Noise of half a pixel is no reason: held-back tracks fit the cameras that they were made by as well."""
    true = replace(case, wrong=replace(case.wrong, cameras=replace(
        case.truth.cameras, K=case.views.pixel_from_photo @ case.truth.cameras.K, sizes=case.wrong.cameras.sizes,
    )))  # fmt: skip
    found, report = true.adjusted(as_pairs(case.truth, noise=0.5))
    assert not report.kept and found.cameras is true.wrong.cameras
    assert report.tracks == "mast3r" and report.held_back_tracks is not None and report.px_before < 1


def test_without_matches_of_its_own_it_is_as_before(case):
    found, report = case.adjusted(None)
    assert found.cameras is case.wrong.cameras
    assert report.tracks == "sift" and "nothing to match" in report.why and "(SIFT)" not in report.why


@pytest.mark.parametrize(
    ("words", "known", "tried"),
    [
        ({}, False, True),
        ({"bundle_adjust": "on"}, False, True),
        ({"bundle_adjust": "off"}, False, False),
        ({"weights": "random"}, False, False),
        ({}, True, False),
        ({"geometry": "colmap"}, False, False),
    ],
)
def test_a_network_is_asked_only_where_cameras_may_be_adjusted(words, known, tried):
    request = Request(**({"geometry": "mast3r-512"} | words))
    loaded = types.SimpleNamespace(points=None, views=types.SimpleNamespace(pose_known=torch.full((3,), known)))
    assert adjusts(request, loaded, request.geometry) == tried  # type: ignore[arg-type]


def test_views_that_sift_does_not_reach_are_joined_and_the_others_stay(case, monkeypatch):
    """SIFT's tracks between three of four views; the network's through all. Depth of a plane before each camera."""
    all_views = as_tracks(case.truth)
    first_three = replace(all_views.where(all_views.view < 3), source="sift")

    def sift(views, photos, how, folder, progress) -> Database:
        return network_matches(first_three, photos, how, folder)

    monkeypatch.setattr(bundle_adjustment, "sift", sift)
    depth = tuple(torch.full((240, 320), 4.0) for _ in range(4))
    with_depth = replace(case, wrong=replace(case.wrong, depth=depth))
    by_sift, of_sift = with_depth.adjusted(None)
    found, report = with_depth.adjusted(as_pairs(case.truth))
    assert of_sift.following == ("3.png",) and of_sift.joined is None
    assert report.kept and report.tracks == "sift" and report.joined == ("3.png",) and report.following == ()
    assert (of_sift.adjusted, report.adjusted) == (3, 4) and "1 of them to the network's own" in in_words(report)
    poses = [g.cameras.camera_from_world for g in (by_sift, found, case.truth)]
    assert torch.equal(poses[0][:3], poses[1][:3])
    assert all(torch.equal(by_sift.depth[i], found.depth[i]) for i in range(3))
    errors = [float(pair_errors(p, poses[2]).worst.max()) for p in poses[:2]]
    assert errors[1] < 0.1 < 1 < errors[0]
    assert len(found.points) == report.points > len(by_sift.points)
    pixels, _ = found.cameras.project(found.points)
    seen = pixels[found.tracks.view, found.tracks.point] * 2
    assert float((seen - found.tracks.xy).norm(dim=1).max()) < 0.2
    some = as_pairs(case.truth)
    nothing, same = with_depth.adjusted(anywhere(some.where((some.track % 3 == 0) & (some.view > 1)), case.truth))
    assert same.joined is None and same.following == ("3.png",)
    assert torch.equal(nothing.cameras.camera_from_world, by_sift.cameras.camera_from_world)


def test_right_cameras_are_not_led_away_by_matches_that_agree_on_wrong_ones(case, monkeypatch):
    """The network's matches are exact for other cameras, four degrees off; SIFT's held-back tracks know the right ones."""
    truth = case.truth
    K = case.views.pixel_from_photo @ truth.cameras.K
    right = replace(case.wrong, cameras=replace(truth.cameras, K=K, sizes=case.wrong.cameras.sizes))
    elsewhere = turned(truth, 4.0, 1).camera_from_world
    other = replace(truth.cameras, camera_from_world=torch.from_numpy(elsewhere))
    pixels, _ = other.project(truth.points)
    led = replace(truth, tracks=replace(truth.tracks, xy=pixels[truth.tracks.view, truth.tracks.point]))
    biased = as_tracks(led)
    assert not replace(case, wrong=right).adjusted(None)[1].kept
    alone, _ = replace(case, wrong=right).adjusted(biased)
    away = pair_errors(alone.cameras.camera_from_world, truth.cameras.camera_from_world)
    assert float(away.worst.max()) > 1  # without SIFT's word they are followed
    exact = replace(as_tracks(truth), source="sift")
    monkeypatch.setattr(bundle_adjustment, "sift", lambda _, photos, how, folder, __: network_matches(exact, photos, how, folder))
    found, report = replace(case, wrong=right).adjusted(biased)
    assert not report.kept and "fit the cameras that they lead to worse (vggt)" in report.why
    assert found.cameras is right.cameras and report.tracks == "vggt" and report.adjusted is None
