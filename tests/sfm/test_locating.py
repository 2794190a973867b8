"""A further photo among known cameras, on synthetic matches: placed as it stands, with its own lens, or refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from recon3d.core.geometry import Geometry, Tracks
from recon3d.core.lens import Lens
from recon3d.sfm.held_back import ViewMatches
from recon3d.sfm.locating import located
from recon3d.sfm.settings import Matching
from recon3d.sfm.sightings import SceneViews, sightings
from tests.sfm.synthetic_matches import Capture, captured, synthetic_views

FOCALS = (1.1, 1.2, 1.2, 1.3, 1.2, 0.9)  # the last photo is the further one: its focal length is another one
PHOTO = len(FOCALS) - 1
MATCHING = Matching(max_image_size=1280)


def truth(**words) -> Geometry:
    """Cameras, points and tracks; the photo is the one of the given place among the scene's."""
    return captured(Capture(**{"focals": FOCALS, "points": 400, **words}))


def scene_of(geometry: Geometry, tracks: bool) -> SceneViews:
    assert geometry.tracks is not None
    known = geometry.tracks.view < PHOTO
    kept = known if tracks else torch.zeros_like(known)
    lenses = tuple(Lens.pinhole(K, 960, 1280) for K in geometry.cameras.K[:PHOTO].numpy())
    held = Tracks(geometry.tracks.view[kept], geometry.tracks.point[kept], geometry.tracks.xy[kept])
    return SceneViews(geometry.cameras.camera_from_world[:PHOTO].numpy(), lenses, held)


def matches_of(geometry: Geometry, wrong: float = 0.0) -> tuple[ViewMatches, ViewMatches]:
    """The photo's matches with each of the scene's views, a share of them with another point: used ones, and held back ones."""
    assert geometry.tracks is not None
    chance = np.random.default_rng(1)
    view, point, xy = (x.numpy() for x in (geometry.tracks.view, geometry.tracks.point, geometry.tracks.xy))
    here = {int(p): i for i, p in enumerate(point) if view[i] == PHOTO}
    first, a, b, points = [], [], [], []
    for i in np.flatnonzero(view != PHOTO):
        other = i if chance.random() >= wrong else chance.choice(np.flatnonzero(view == view[i]))
        if int(point[i]) in here:
            first.append(view[i])
            a.append(xy[other])
            b.append(xy[here[int(point[i])]])
            points.append(point[i])
    found = ViewMatches(np.array(first), np.full(len(first), PHOTO), np.array(a), np.array(b))
    held = np.array(points) % 5 == 0
    return found[~held], found[held]


def locate(geometry: Geometry, wrong: float = 0.0, tracks: bool = False, prior=None, originals=()):
    views = synthetic_views(geometry, lens_known=False)
    views = replace(views, camera_index=torch.arange(len(views)), focal_priors=(None,) * PHOTO + (prior,))
    used, held = matches_of(geometry, wrong)
    return located(views, PHOTO, scene_of(geometry, tracks), used, held, originals, MATCHING, 0)


def errors(found, geometry: Geometry) -> tuple[float, float]:
    """Degrees, and world units between the centres."""
    true = geometry.cameras.camera_from_world[PHOTO].numpy()
    turn = found.camera_from_world[:3, :3] @ true[:3, :3].T
    center = -true[:3, :3].T @ true[:3, 3]
    return float(np.degrees(np.arccos((np.trace(turn) - 1) / 2))), float(np.linalg.norm(np.array(found.center) - center))


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("tracks", [False, True])
def test_a_photo_of_another_lens_is_placed_and_its_error_is_what_is_told(seed, tracks):
    geometry = truth(seed=seed)
    found = locate(geometry, tracks=tracks)
    assert found.refused is None and found.lens is not None
    angle, away = errors(found, geometry)
    assert angle < 0.3 and found.agreement > 0.97 and found.photos == PHOTO
    assert away < 4 * found.center_deviation and found.center_deviation < 0.03 * 3.86  # its distance from the ball
    assert abs(found.lens.param("fx") / (0.9 * 1280) - 1) < max(4 * found.focal_deviation, 0.002)
    assert found.lens_source == "estimated"


def test_wrong_matches_do_not_move_it_and_many_among_those_held_back_refuse_it():
    geometry = truth()
    few, many = locate(geometry, wrong=0.05), locate(geometry, wrong=0.3)
    assert few.refused is None and "held-back matches agree" in str(many.refused)
    assert max(errors(few, geometry)[0], errors(many, geometry)[0]) < 0.4


def test_matches_by_chance_are_refused():
    assert locate(truth(), wrong=1.0).refused is not None


def test_a_plane_seen_from_the_front_does_not_tell_its_focal_length_and_exif_does():
    geometry = captured(Capture(focals=(1.2,) * 5 + (1.2,), points=400, depth=0.0, arc=40))
    geometry = from_the_front(geometry)
    refused = locate(geometry).refused
    assert refused is not None and "focal length" in refused
    found = locate(geometry, prior=1.2 * 1280)
    assert found.refused is None and errors(found, geometry)[0] < 0.5
    assert found.lens_source == "EXIF" and 0.02 < found.focal_deviation < 0.1


def test_a_scenes_lens_that_a_plane_cannot_bear_out_is_a_guess_and_refused():
    geometry = from_the_front(captured(Capture(focals=(1.2,) * 6, points=400, depth=0.0, arc=40)))
    wrong, right = (Lens("SIMPLE_RADIAL", (f * 1280, 640, 480, 0.0), 960, 1280) for f in (0.8, 1.2))
    assert locate(geometry, originals=[wrong]).refused is not None
    found = locate(geometry, originals=[right], prior=1.25 * 1280)
    assert found.refused is None and found.lens == right
    assert errors(found, geometry)[1] < 4 * found.center_deviation < 0.2


def from_the_front(geometry: Geometry) -> Geometry:
    """The photo moved to where it looks at the plane of the points at right angles."""
    cameras, tracks = geometry.cameras, geometry.tracks
    assert tracks is not None
    poses = cameras.camera_from_world.clone()
    poses[PHOTO] = torch.eye(4, dtype=torch.float64)
    poses[PHOTO, 2, 3] = 1.2 * 3 / 0.7
    moved = replace(cameras, camera_from_world=poses)
    exact, _ = moved.project(geometry.points)
    mine = tracks.view == PHOTO
    noise = 0.5 * torch.randn(len(tracks.xy), 2, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    xy = torch.where(mine[:, None], exact[PHOTO, tracks.point] + noise, tracks.xy)
    return replace(geometry, cameras=moved, tracks=replace(tracks, xy=xy))


def test_the_scenes_lens_is_taken_where_it_fits_and_not_where_another_fits_better():
    geometry = truth()
    right, wrong = (Lens("SIMPLE_RADIAL", (f * 1280, 640, 480, 0.0), 960, 1280) for f in (0.9, 1.2))
    same = locate(geometry, originals=[wrong, right])
    other = locate(geometry, originals=[wrong])
    assert same.lens_source == "the scene's" and same.lens == right and same.focal_deviation == 0
    assert other.lens_source == "estimated" and other.refused is None
    sure = locate(geometry, originals=[right], prior=0.9 * 1280)  # without EXIF, that it is the scene's lens is a guess
    assert sure.lens == right and sure.center_deviation < same.center_deviation
    for found in (same, other):
        assert errors(found, geometry)[0] < 0.3


def test_points_stand_where_the_scenes_rays_meet():
    geometry = truth(noise=0.0)
    found = sightings(matches_of(geometry)[0], PHOTO, scene_of(geometry, False))
    apart = torch.cdist(torch.from_numpy(found.model.points), geometry.points).min(1).values
    assert len(found) > 250 and float(apart.max()) < 1e-4
