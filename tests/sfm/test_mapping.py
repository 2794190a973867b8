"""Structure from motion on real photos, against published cameras."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from recon3d.core.lens import Lens
from recon3d.errors import InputError
from recon3d.metrics.poses import pair_errors
from recon3d.progress import Progress
from recon3d.sfm.mapping import geometry
from recon3d.sfm.settings import FEW_VIEWS, Matching, attempts
from tests.sfm.shared_views import grey_pictures, scene_views, views_of
from tests.shared_folder import shared


def published(scene: str, names: tuple[str, ...]) -> tuple[torch.Tensor, tuple[Lens, ...]]:
    """Reference camera_from_world [N,4,4] and pinhole lenses of photos."""
    entries = {e["name"]: e for e in json.loads(shared(f"data/{scene}/cameras.json").read_text())["images"]}
    poses = torch.eye(4, dtype=torch.float64).repeat(len(names), 1, 1)
    poses[:, :3] = torch.tensor([entries[n]["camera_from_world"] for n in names], dtype=torch.float64)
    return poses, tuple(Lens.pinhole(np.array(entries[n]["K"]), entries[n]["height"], entries[n]["width"]) for n in names)


@pytest.fixture(scope="module")
def herz_jesu():
    """Four views of herz-jesu-P8 and what is found of them, computed once."""
    views = scene_views("herz-jesu-P8", 4)
    return views, geometry(views, grey_pictures(views), seed=0)


def test_two_runs_with_a_seed_give_the_same_bits():
    views = scene_views("herz-jesu-P8", 4)
    a, b = (geometry(views, grey_pictures(views), seed=3) for _ in range(2))
    assert a.registered == b.registered and a.lenses == b.lenses and a.repeatable
    for name in ("camera_from_world", "points", "errors", "track_view", "track_point", "track_xy"):
        assert getattr(a, name).numpy().tobytes() == getattr(b, name).numpy().tobytes(), name


def test_tracks_reproject_onto_full_size_photo_pixels_with_the_lens_that_was_found(herz_jesu):
    _, found = herz_jesu
    assert found.registered == (0, 1, 2, 3)
    in_world = found.points[found.track_point]
    cameras = found.camera_from_world[found.track_view]
    in_camera = (cameras[:, :3, :3] @ in_world[:, :, None])[:, :, 0] + cameras[:, :3, 3]
    rays = (in_camera[:, :2] / in_camera[:, 2:]).numpy()
    pixels = np.stack([found.lenses[v].pixels_of_rays(r) for v, r in zip(found.track_view.tolist(), rays, strict=True)])
    distance = np.linalg.norm(pixels - found.track_xy.numpy(), axis=1)
    mean = np.bincount(found.track_point, distance) / np.bincount(found.track_point)
    assert np.abs(mean - found.errors.numpy()).max() < 1e-6
    assert np.median(distance) < 0.5


def test_a_known_lens_is_held_and_comes_out_as_it_came_in():
    views = scene_views("herz-jesu-P8", 4)
    given = Lens("PINHOLE", (700.123456789, 701.0, 384.4, 255.3), 512, 768)
    known = views_of({n: i.permute(1, 2, 0).numpy() for n, i in zip(views.names, views.images, strict=True)}, given)
    found = geometry(known, grey_pictures(known), seed=0)
    assert all(lens == given for lens in found.lenses)
    assert float(found.errors.median()) < 0.6


def test_given_cameras_come_out_to_the_bit_and_a_photo_without_one_is_registered_to_them():
    views = scene_views("herz-jesu-P8", 5)
    poses, lenses = published("herz-jesu-P8", views.names)
    given = poses.clone()
    given[2] = torch.nan
    found = geometry(replace(views, lenses=lenses, known_camera_from_world=given), grey_pictures(views), seed=0)
    assert found.registered == (0, 1, 2, 3, 4) and found.settings == "known cameras"
    known = [0, 1, 3, 4]
    assert torch.equal(found.camera_from_world[known], poses[known]) and found.lenses == lenses
    assert float(pair_errors(found.camera_from_world, poses).worst.max()) < 0.5
    assert not found.disagreement["disagrees"] and found.disagreement["agreeing"] > 0.95


def test_what_was_measured_of_an_accepted_model_is_told_with_its_limits(herz_jesu):
    views, found = herz_jesu
    assert found.settings == "default" and found.why == "default settings registered enough"
    measured, limits = found.acceptance["measured"], found.acceptance["limits"]
    assert measured["views"] == 4 and measured["agreement"] >= limits["agreement"]
    assert float(pair_errors(found.camera_from_world, published("herz-jesu-P8", views.names)[0]).worst.median()) < 0.5


def test_where_the_default_settings_find_too_little_the_next_ones_are_tried_and_said():
    views, progress = scene_views("herz-jesu-P8", 3), Progress()
    found = geometry(views, grey_pictures(views), seed=0, progress=progress)
    assert found.registered == (0, 1, 2) and found.settings == "relaxed"
    assert found.why.startswith("default settings gave no cameras that can be believed")
    assert len(progress.notes) == 1 and "trying relaxed settings" in progress.notes[0]
    assert float(pair_errors(found.camera_from_world, published("herz-jesu-P8", views.names)[0]).rotation.max()) < 1


def test_of_many_photos_the_global_mapper_comes_first_and_its_cameras_are_right():
    """Flower's 13: no pair of them is wide enough for the defaults to start from."""
    views, progress = scene_views("flower", 13), Progress()
    settings = attempts(Matching(max_num_features=1500), 13)
    found = geometry(views, grey_pictures(views), seed=0, progress=progress, settings=settings)
    assert len(found.registered) == 13 and found.settings == "global" and not progress.notes
    errors = pair_errors(found.camera_from_world, published("flower", views.names)[0])
    assert float(errors.worst.median()) < 0.5


@pytest.mark.parametrize(("views", "names"), [
    (3, "default, relaxed, global, few views"), (6, "default, relaxed, global, few views"),
    (7, "default, global, relaxed, few views"), (8, "default, global, relaxed, few views"), (9, "default, global, relaxed"),
    (12, "default, global, relaxed"), (13, "global, default"), (2000, "global, default"),
])  # fmt: skip
def test_which_settings_are_tried_in_which_order_goes_by_the_number_of_views(views, names):
    found = attempts(Matching(max_num_features=1000), views)
    assert ", ".join(s.name for s in found) == names
    assert all(s.matching == (FEW_VIEWS.matching if s.name == "few views" else Matching(max_num_features=1000)) for s in found)


@pytest.mark.slow
def test_three_photos_far_apart_are_found_with_few_view_settings():
    views = scene_views("fountain-P11", 3)
    found = geometry(views, grey_pictures(views), seed=0)
    assert found.registered == (0, 1, 2) and found.settings == "few views"
    assert float(pair_errors(found.camera_from_world, published("fountain-P11", views.names)[0]).rotation.max()) < 2


@pytest.mark.slow
def test_photos_that_barely_overlap_end_in_one_line_that_says_what_was_measured():
    views = scene_views("beach-drone", 3)
    with pytest.raises(InputError, match=r"^photos: no cameras can be believed: with default settings .*; with few views") as e:
        geometry(views, grey_pictures(views), seed=0)
    assert re.search(r"only [02] of 3 images are joined, where 3 are needed", str(e.value))


def test_black_photos_are_refused_for_having_nothing_to_match():
    views = views_of({f"{i}.jpg": np.zeros((48, 64, 3), np.uint8) for i in range(3)})
    with pytest.raises(InputError, match=r"^photos: nothing to match: no image has more than 0 features\. "):
        geometry(views, grey_pictures(views), seed=0, where="photos")


def test_photos_of_different_places_are_refused_for_not_overlapping():
    fountain, church = scene_views("fountain-P11", 2), scene_views("herz-jesu-P8", 2)
    pictures = {"a.jpg": fountain.images[0], "b.jpg": church.images[0]}
    views = views_of({n: p.permute(1, 2, 0).numpy() for n, p in pictures.items()})
    with pytest.raises(InputError, match=r"no two images overlap: 0 of 1 pairs have more than 15 matches"):
        geometry(views, grey_pictures(views), seed=0)


def test_mapping_refuses_shapes_that_contradict_each_other():
    from recon3d.sfm.mapping import Mapping

    with pytest.raises(ValueError, match=r"Mapping\.track_xy"):
        Mapping(
            (0,), torch.eye(4)[None], (), torch.zeros(2, 3), torch.zeros(2), torch.zeros(3), torch.zeros(3),
            torch.zeros(4, 2), "default", "", True,
        )  # fmt: skip
