"""What stands in one photo only is found and left out; what is merely hard to fit stays."""

from dataclasses import replace

import pytest
import torch

from recon3d.core.geometry import Geometry
from recon3d.core.views import Views
from recon3d.metrics.image import psnr
from recon3d.reconstruction.refinement.distractors import EVERY, Distractors
from recon3d.reconstruction.refinement.refine import Refinement, refine
from recon3d.rendering.render import render
from tests.reconstruction.refinement.test_refinement import disturbed, values
from tests.reconstruction.scenes import plane_photos, splat_photos

PATCH = (slice(50, 100), slice(60, 110))  # 9 % of the wall's photos
RED = torch.tensor([0.9, 0.1, 0.1])[:, None, None]


@pytest.fixture(scope="module")
def wall() -> tuple[Views, Geometry, list[torch.Tensor]]:
    """Photos of a wall, its cameras, and its exact z-depth in every photo."""
    views, geometry, normal = plane_photos()
    normal = torch.from_numpy(normal)
    depths = []
    for i in range(len(views)):
        along = geometry.cameras.rays(i) @ geometry.cameras.world_from_camera[i, :3, :3].T
        center = geometry.cameras.centers_in_world[i]
        depths.append((-(normal @ center) / (along @ normal)).float())
    return views, geometry, depths


def found(wall, photos: list[torch.Tensor], masks=None, drawn=None, at_once=True) -> dict[int, torch.Tensor]:
    """What is found when every photo was rendered as the wall looks, as often as it takes to be judged."""
    views, geometry, depths = wall
    distractors = Distractors(geometry.cameras, list(range(len(views))), "cpu")
    distractors.at_once = at_once
    for _ in range(2 * EVERY):
        for i, photo in enumerate(photos):
            rgb = views.rgb(i) if drawn is None else drawn[i]
            distractors.observe(i, rgb, photo, None if masks is None else masks[i], depths[i], torch.ones_like(depths[i]))
        distractors.settle()
    size = depths[0].shape
    return {i: ~distractors.allowed(i, None, size) for i in distractors.found}  # type: ignore[operator]


def with_patch(photo: torch.Tensor) -> torch.Tensor:
    painted = photo.clone()
    painted[:, *PATCH] = RED
    return painted


@pytest.mark.parametrize("at_once", [True, False], ids=["as on a CPU", "as on other devices"])
def test_a_patch_in_one_photo_is_found_there_and_nowhere_else(wall, at_once):
    photos = [with_patch(wall[0].rgb(i)) if i == 1 else wall[0].rgb(i) for i in range(4)]
    places = found(wall, photos, at_once=at_once)
    assert list(places) == [1]
    inside = torch.zeros_like(places[1])
    inside[PATCH] = True
    assert places[1][inside].float().mean() > 0.95
    assert places[1][~inside].float().mean() < 0.09  # a rim of two cells, of 4 pixels each, is 7.5 %


def test_nothing_is_found_in_photos_that_fit_nor_in_one_of_another_exposure(wall):
    photos = [wall[0].rgb(i) for i in range(4)]
    assert found(wall, photos) == {}
    photos[2] = photos[2] * 0.5
    assert found(wall, photos) == {}


def test_what_no_photo_shows_as_it_is_drawn_is_the_scene_s_fault(wall):
    """A patch of the renderings alone: each photo differs there from its own, and others do no better."""
    photos = [wall[0].rgb(i) for i in range(4)]
    assert found(wall, photos, drawn=[with_patch(photo) for photo in photos]) == {}
    assert found(wall, photos, drawn=[with_patch(p) if i == 1 else p for i, p in enumerate(photos)]) == {}


def test_what_a_mask_excludes_is_not_judged(wall):
    photos = [with_patch(wall[0].rgb(i)) if i == 1 else wall[0].rgb(i) for i in range(4)]
    masks = [torch.ones(photo.shape[1:], dtype=torch.bool) for photo in photos]
    masks[1][40:110, 50:120] = False
    assert found(wall, photos, masks) == {}
    assert found(wall, photos, [*masks[:3], torch.zeros_like(masks[3])]) == {}


def test_a_static_scene_is_refined_to_the_same_bits_as_without_a_look():
    views, geometry, truth = splat_photos()
    options = Refinement(steps=90, max_gaussians=400)
    looked, plain = (refine(views, geometry, disturbed(truth), replace(options, robust=r)) for r in (True, False))
    assert looked.distractors == {} and values(looked.gaussians) == values(plain.gaussians)


def test_somebody_in_two_of_six_photos_leaves_the_scene_as_it_was_and_repeats_with_a_seed():
    views, geometry, truth = splat_photos()
    images = list(views.images)
    where = {1: (slice(20, 44), slice(10, 30)), 4: (slice(24, 48), slice(34, 54))}
    for i, place in where.items():
        images[i] = images[i].clone()
        images[i][:, *place] = (RED * 255).to(torch.uint8)
    dirty = replace(views, images=tuple(images))
    options = Refinement(steps=240, max_gaussians=400, half_until=0.0)
    robust, again, plain = (refine(dirty, geometry, disturbed(truth), replace(options, robust=r)) for r in (True, True, False))
    assert values(robust.gaussians) == values(again.gaussians) and set(robust.distractors) == set(where)

    def there(gaussians) -> float:
        pictures = render(gaussians, geometry.cameras, device="cpu").rgb.clamp(0, 1)
        return sum(psnr(pictures[i][:, *place], views.rgb(i)[:, *place]) for i, place in where.items()) / 2

    assert there(robust.gaussians) > there(plain.gaussians) + 1.5
